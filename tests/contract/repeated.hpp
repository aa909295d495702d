#ifndef MLFLOWHA_TESTS_CONTRACT_REPEATED_HPP
#define MLFLOWHA_TESTS_CONTRACT_REPEATED_HPP

// Repeated: calls that servers carry out and that get no answer. For the tests of what may be sent twice. A call stands
// here once and loses its answer in both ways: to a proxy that drops it, and to the death of the server, with its whole
// process group, between the commit and the reply (tools/kill_switch).

#include <mlflowha/mlflowha.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace mlflowha_tests {

/// Collects calls; one of the plays makes them and checks what came of them. Either play writes the operations whose
/// answer was lost to the record of calls, as "operation dropped" or "operation killed", for contract/coverage.py.
class Repeated {
 public:
  /// `line` is "METHOD END-OF-PATH" and tells the call's request from those of the others. `call` takes a Client and
  /// gives its Result, which `check` gets on the test's own thread. `login`: of somebody other than the suite.
  template <class Call, class Check>
  void add(std::string line, Call call, Check check, mlflowha::AuthOptions login = {}) {
    using Answer = std::invoke_result_t<Call, const mlflowha::Client&>;
    const auto answer = std::make_shared<std::optional<Answer>>();
    calls_.push_back({std::move(line), [=](const mlflowha::Client& client) { answer->emplace(call(client)); },
                      [=] { check(**answer); }, std::move(login)});
  }
  /// For a call that need only succeed.
  template <class Call>
  void add(std::string line, Call call) {
    add(std::move(line), std::move(call), [](const auto& result) { CHECK(result); });
  }
  /// For a call that is not sent again: the caller is told that nobody knows, and `check` counts.
  template <class Call, class Check>
  void add_never(std::string line, Call call, Check check, mlflowha::AuthOptions login = {}) {
    const auto told = [check](const auto& result) {
      REQUIRE_FALSE(result);
      CHECK(result.error().effect == mlflowha::Effect::unknown);
      CHECK(result.error().stop_reason == mlflowha::StopReason::non_idempotent);
      check();
    };
    add(std::move(line), std::move(call), told, std::move(login));
  }

  /// One after the other, each through proxies that drop the answer to its request.
  void play_dropped() const;
  /// All at once, each from a thread and a client of its own; the server that they meet is killed when all are carried
  /// out. So one death serves them all.
  void play_killed() const;

 private:
  struct OneCall {
    std::string line;
    std::function<void(const mlflowha::Client&)> call;
    std::function<void()> check;
    mlflowha::AuthOptions login;

    [[nodiscard]] mlflowha::ClientOptions options(const std::string& what) const;
  };
  std::vector<OneCall> calls_;
};

}  // namespace mlflowha_tests

#endif
