#ifndef MLFLOWHA_TESTS_CONTRACT_HARMED_HPP
#define MLFLOWHA_TESTS_CONTRACT_HARMED_HPP

// Harmed: the contract suite's servers as seen through faults.

#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fault_proxy.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "contract/server.hpp"

namespace mlflowha_tests {

/// A client whose every endpoint is a fault proxy in front of the suite's servers; `script` is played by all of them,
/// or by the first one only.
struct Harmed {
  explicit Harmed(const mlflowha::testing::FaultScript& script, bool first_only = false) {
    mlflowha::ClientOptions options;
    std::uint64_t seed = 1;
    for (const std::string& url : contract_server().urls) {
      mlflowha::testing::FaultProxyOptions proxy;
      if (!first_only || seed == 1) proxy.faults = script;
      proxy.seed = seed++;
      proxies.push_back(std::make_unique<mlflowha::testing::FaultProxy>(mlflowha::parse_uri(url).value(), proxy));
      options.endpoints.push_back(proxies.back()->url());
    }
    client = std::make_unique<mlflowha::Client>(mlflowha::Client::create(options).value());
  }
  /// Faults that were played.
  std::uint64_t fired() const {
    std::uint64_t count = 0;
    for (const auto& proxy : proxies) {
      for (const mlflowha::testing::FaultCount& fault : proxy->fault_counts()) count += fault.fired;
    }
    return count;
  }
  /// What the first reconcile() finds that finds anything; nothing after half a minute.
  std::vector<mlflowha::Twin> twins() const {
    std::vector<mlflowha::Twin> found;
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (found.empty() && std::chrono::steady_clock::now() < patience) found = client->reconcile().value().twins;
    return found;
  }
  std::vector<std::unique_ptr<mlflowha::testing::FaultProxy>> proxies;
  std::unique_ptr<mlflowha::Client> client;
};

}  // namespace mlflowha_tests

#endif
