#ifndef MLFLOWHA_TESTS_SUPPORT_TEMPORARY_DIRECTORY_HPP
#define MLFLOWHA_TESTS_SUPPORT_TEMPORARY_DIRECTORY_HPP

// A directory of its own for a test that needs a real disk; gone with the object.

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace mlflowha_tests {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "mlflowha-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("can't make " + name);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace mlflowha_tests

#endif
