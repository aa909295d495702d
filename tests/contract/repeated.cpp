#include "contract/repeated.hpp"

#include <mlflowha/testing/fault_proxy.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "contract/server.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;

namespace mlflowha_tests {

namespace {

/// Notes the operations whose requests were sent and not answered.
class LostAnswers : public Observer {
 public:
  explicit LostAnswers(std::string what) : what_(std::move(what)) {}
  void on_attempt(const AttemptEvent& event) noexcept override {
    if (event.record.maybe_applied && event.record.http_status == 0)
      record_call(std::string(event.operation) + ' ' + what_);
  }

 private:
  std::string what_;
};

}  // namespace

ClientOptions Repeated::OneCall::options(const std::string& what) const {
  ClientOptions options = contract_options();
  if (!login.username.empty()) options.auth = login;
  options.observer = std::make_shared<LostAnswers>(what);
  return options;
}

void Repeated::play_dropped() const {
  for (const OneCall& one : calls_) {
    INFO(one.line);
    FaultRule rule = when();
    rule.match.methods = {one.line.substr(0, one.line.find(' '))};
    rule.path(one.line.substr(one.line.rfind('/') + 1)).times(1).apply_then_drop();  // slashes may be percent-encoded
    ClientOptions options = one.options("dropped");
    std::vector<std::unique_ptr<FaultProxy>> proxies;
    for (const std::string& url : contract_server().urls) {
      FaultProxyOptions proxy;
      if (proxies.empty()) proxy.faults = FaultScript({rule});
      proxies.push_back(std::make_unique<FaultProxy>(parse_uri(url).value(), proxy));
      options.endpoints.push_back(proxies.back()->url());
    }
    one.call(Client::create(std::move(options)).value());
    CHECK(proxies.front()->fault_counts().at(0).fired == 1);  // otherwise nothing was shown
    one.check();
  }
}

void Repeated::play_killed() const {
  const std::string& file = contract_server().kill_switch;
  {
    std::ofstream lines(file + ".new");
    for (const OneCall& one : calls_) lines << one.line << '\n';
  }
  std::filesystem::remove(file + ".missed");  // of an earlier play
  std::filesystem::rename(file + ".new", file);
  std::vector<std::thread> threads;
  for (const OneCall& one : calls_) {
    threads.emplace_back([&one] {
      ClientOptions options = one.options("killed");
      options.endpoints = contract_server().urls;
      options.timeouts.attempt = std::chrono::seconds(40);  // the answers are held until the last call is there
      options.timeouts.call = std::chrono::seconds(120);    // the only server of a list must start again
      one.call(Client::create(std::move(options)).value());
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

}  // namespace mlflowha_tests
