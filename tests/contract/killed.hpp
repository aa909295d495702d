#ifndef MLFLOWHA_TESTS_CONTRACT_KILLED_HPP
#define MLFLOWHA_TESTS_CONTRACT_KILLED_HPP

// Killed: calls whose server dies, with its whole process group, after it has carried them out and before any of them
// has its answer. For the tests of what may be sent twice; see tools/kill_switch.

#include <mlflowha/mlflowha.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "contract/server.hpp"
#include "support/catch.hpp"

namespace mlflowha_tests {

/// Collects calls; play() makes them all at once, each from a thread and a client of its own, has the server that they
/// meet killed when all are carried out, and checks what came of them.
class Killed {
 public:
  /// `line` is "METHOD END-OF-PATH" and tells the call's request from those of the others. `call` takes a Client and
  /// gives its Result, which `check` gets on the test's own thread.
  template <class Call, class Check>
  void add(std::string line, Call call, Check check) {
    using Answer = std::invoke_result_t<Call, const mlflowha::Client&>;
    const auto answer = std::make_shared<std::optional<Answer>>();
    calls_.push_back({std::move(line), [=](const mlflowha::Client& client) { answer->emplace(call(client)); },
                      [=] { check(**answer); }});
  }
  /// For a call that need only succeed.
  template <class Call>
  void add(std::string line, Call call) {
    add(std::move(line), std::move(call), [](const auto& result) { CHECK(result); });
  }

  void play() {
    const std::string& file = contract_server().kill_switch;
    {
      std::ofstream lines(file + ".new");
      for (const OneCall& one : calls_) lines << one.line << '\n';
    }
    std::filesystem::rename(file + ".new", file);
    std::vector<std::thread> threads;
    for (const OneCall& one : calls_) {
      threads.emplace_back([&one] {
        mlflowha::ClientOptions options = contract_options();
        options.endpoints = contract_server().urls;
        options.timeouts.attempt = std::chrono::seconds(40);  // the answers are held until the last call is there
        options.timeouts.call = std::chrono::seconds(120);    // the only server of a list must start again
        one.call(mlflowha::Client::create(std::move(options)).value());
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(std::filesystem::exists(file));  // otherwise nobody died
    std::ifstream missed(file + ".missed");
    for (std::string line; std::getline(missed, line);) FAIL_CHECK("not carried out at once: " << line);
    for (const OneCall& one : calls_) {
      INFO(one.line);
      one.check();
    }
  }

 private:
  struct OneCall {
    std::string line;
    std::function<void(const mlflowha::Client&)> call;
    std::function<void()> check;
  };
  std::vector<OneCall> calls_;
};

}  // namespace mlflowha_tests

#endif
