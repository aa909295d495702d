#ifndef MLFLOWHA_TESTS_UNIT_API_SUPPORT_HPP
#define MLFLOWHA_TESTS_UNIT_API_SUPPORT_HPP

// What the tests of the API room share: typed calls over a canned answer, and the recordings of real servers.

#include <mlflowha/api/calls.hpp>
#include <mlflowha/api/operation.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/source_dir.hpp"

namespace mlflowha_tests {

/// Keeps what was to be sent and answers what it was told to.
class CannedCalls : public mlflowha::api::Calls {
 public:
  explicit CannedCalls(std::string body = "{}", int status = 200) {
    answer.status = status, answer.body = std::move(body);
  }

  mlflowha::Response answer;
  mutable std::vector<mlflowha::api::PreparedRequest> sent;
  mutable const mlflowha::api::Operation* operation = nullptr;
  mutable int tags_made = 0;

 protected:
  mlflowha::Result<mlflowha::Response> execute(const mlflowha::api::Operation& of,
                                               mlflowha::api::PreparedRequest&& request,
                                               const mlflowha::CallOptions&) const override {
    operation = &of;
    sent.push_back(std::move(request));
    if (answer.status >= 300) {
      mlflowha::Error error;
      error.http_status = answer.status;
      return error;
    }
    return answer;
  }
  std::string new_request_tag() const override { return "tag-" + std::to_string(++tags_made); }
  mlflowha::WallTime wall_now() const override { return mlflowha::WallTime(std::chrono::milliseconds(1700000000123)); }
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("can't read " + path.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// What real servers of these versions answered (tests/golden/record.py).
inline const std::vector<std::string> golden_versions{"3.17.2", "2.22.5"};
inline std::filesystem::path golden_folder(const std::string& version) { return source_dir() / "golden" / version; }
/// The recorded answer of that name, with its status.
inline mlflowha::Response golden(const std::string& version, const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder(version))) {
    const std::string file = entry.path().filename().string();
    if (file.rfind(name + '.', 0) != 0 || file.size() != name.size() + 9) continue;
    mlflowha::Response response;
    response.status = std::stoi(file.substr(name.size() + 1, 3));
    response.body = read_file(entry.path());
    return response;
  }
  throw std::runtime_error("no recording " + name + " of " + version);
}

}  // namespace mlflowha_tests

#endif
