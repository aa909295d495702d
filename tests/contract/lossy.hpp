#ifndef MLFLOWHA_TESTS_CONTRACT_LOSSY_HPP
#define MLFLOWHA_TESTS_CONTRACT_LOSSY_HPP

// A client that loses one answer: the server has carried the request out, and nobody says so. For the tests of what may
// be sent twice.

#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fault_proxy.hpp>

#include <memory>
#include <string>
#include <vector>

#include "contract/server.hpp"
#include "support/catch.hpp"

namespace mlflowha_tests {

/// A client behind proxies that drop the answer to the first request to `path`.
class Lossy {
 public:
  explicit Lossy(const std::string& path, mlflowha::Method method = mlflowha::Method::post) {
    mlflowha::ClientOptions options = contract_options();
    for (const std::string& url : contract_server().urls) {
      mlflowha::testing::FaultProxyOptions proxy;
      if (proxies_.empty())
        proxy.faults = mlflowha::testing::FaultScript(
            {mlflowha::testing::when().method(method).path(path).times(1).apply_then_drop()});
      proxies_.push_back(std::make_unique<mlflowha::testing::FaultProxy>(mlflowha::parse_uri(url).value(), proxy));
      options.endpoints.push_back(proxies_.back()->url());
    }
    client_ = std::make_unique<mlflowha::Client>(mlflowha::Client::create(options).value());
  }
  ~Lossy() { CHECK(proxies_.front()->fault_counts().at(0).fired == 1); }  // otherwise nothing was shown
  Lossy(const Lossy&) = delete;
  Lossy& operator=(const Lossy&) = delete;

  const mlflowha::Client* operator->() const { return client_.get(); }

 private:
  std::vector<std::unique_ptr<mlflowha::testing::FaultProxy>> proxies_;
  std::unique_ptr<mlflowha::Client> client_;
};

}  // namespace mlflowha_tests

#endif
