#ifndef MLFLOWHA_TESTS_CONTRACT_SERVER_HPP
#define MLFLOWHA_TESTS_CONTRACT_SERVER_HPP

// Which server the contract suite talks to: MLFLOWHA_CONTRACT_SERVER is "fake" (FakeServer of mlflowha::testing) or the
// state file of tools/mlflow_stack.py. The same tests run against each, so that the fake can't drift from the real
// thing.

#include <mlflowha/mlflowha.hpp>

#include <string>
#include <vector>

namespace mlflowha_tests {

struct ContractServer {
  std::vector<std::string> urls;
  int major = 3;  ///< MLflow's major version; the fake behaves as 3
  bool fake = false;
  std::string kill_switch{};      ///< the file of tools/kill_switch; "" where servers don't have it
  std::string bucket{};           ///< "s3://..." where the server keeps artifacts in an object store
  mlflowha::AuthOptions login{};  ///< of an administrator, where the server has the authentication application

  [[nodiscard]] bool has_logins() const { return !login.username.empty(); }
};

/// True for a real MLflow 3: what the fake doesn't imitate and 2.x doesn't have is tested there.
[[nodiscard]] inline bool is_real_3(const ContractServer& server) { return !server.fake && server.major >= 3; }

/// Started once; ends with the program.
const ContractServer& contract_server();
/// Options for the suite's servers, logged in where that is needed; without endpoints.
mlflowha::ClientOptions contract_options();
/// One client for the whole suite, so that the suite also shows that a client can be kept.
const mlflowha::Client& contract_client();
/// Adds a line to what contract/coverage.py reads, once: "operation success", "... error", "... dropped", "... killed".
/// Thread-safe.
void record_call(const std::string& line);
/// A name that no other test and no earlier run of the suite has used.
std::string fresh_name(const std::string& stem);
/// An experiment of its own.
std::string fresh_experiment();
/// A run in an experiment of its own.
mlflowha::Run fresh_run();

}  // namespace mlflowha_tests

#endif
