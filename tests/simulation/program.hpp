#ifndef MLFLOWHA_TESTS_SIMULATION_PROGRAM_HPP
#define MLFLOWHA_TESTS_SIMULATION_PROGRAM_HPP

// Program: the user of a simulated client. Makes random calls, writes down in a Ledger what it was told, and checks
// what a single call promises: its deadline, its effect, and success where a server was there to serve it.

#include <mlflowha/client/client.hpp>
#include <mlflowha/testing/fake_clock.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "simulation/dice.hpp"
#include "simulation/ledger.hpp"
#include "simulation/simulation.hpp"
#include "simulation/watched_transport.hpp"
#include "simulation/world.hpp"

namespace mlflowha_tests {

class Program {
 public:
  Program(const World& world, mlflowha::Client client, std::shared_ptr<mlflowha::testing::FakeClock> clock,
          WatchedTransport& transport, Dice& dice, bool tell);

  /// One random call.
  void step();
  /// Whether a read succeeds, in at most that time.
  bool read(mlflowha::Duration timeout);
  /// Looks for twins now; whether that succeeded.
  bool reconcile(mlflowha::Duration timeout);
  /// The smallest call there is, to let time do something.
  void idle();
  /// A call that must succeed now that nothing is wrong.
  void must_log();

  Ledger ledger;
  Coverage coverage;
  std::vector<std::string> faults;

 private:
  /// Which errors are no surprise to this call, besides outages.
  enum class Expect : std::uint8_t { success, exists, missing };
  struct Manner {
    std::string what;
    bool write = true;
    bool create = false;
    Expect expect = Expect::success;
    bool composite = false;  ///< several requests under one deadline
    bool needs_new = false;  ///< only a 3.x can serve it
  };
  struct Before;

  template <class Call>
  auto carry_out(const Manner& manner, const mlflowha::CallOptions& options, Call&& call);
  mlflowha::CallOptions draw_call_options();
  Before prepare(const Manner& manner, const mlflowha::CallOptions& options);
  void judge(const Manner& manner, const Before& before, const mlflowha::Error* error);
  void judge_health(const Manner& manner);
  void judge_error(const Manner& manner, const Before& before, const mlflowha::Error& error);
  void judge_release(const Manner& manner, const mlflowha::Error& error);
  [[nodiscard]] mlflowha::Duration time_with(const Place& healthy, const Manner& manner, const Before& before) const;
  [[nodiscard]] bool promised(const Manner& manner, const Before& before, mlflowha::Duration& bound);
  void complain(const Manner& manner, const std::string& text);
  template <class T>
  static Fate fate_of(const mlflowha::Result<T>& result);

  void create_run();
  void create_experiment();
  void log_metric(RunBook& run);
  void log_param(RunBook& run);
  void set_tag(RunBook& run);
  void delete_tag(RunBook& run);
  void log_batch(RunBook& run);
  void end_run(RunBook& run);
  void get_run(const RunBook& run);
  void get_server_info();
  void delete_experiment_tag();
  void get_history(const RunBook& run);
  void search_run(const RunBook& run);
  double draw_value();

  const World& world_;
  const mlflowha::Client client_;
  const std::shared_ptr<mlflowha::testing::FakeClock> clock_;
  WatchedTransport& transport_;
  Dice& dice_;
  const bool tell_;
  const mlflowha::TimePoint began_;
  std::int64_t number_ = 0;  // of everything that must be unique
};

}  // namespace mlflowha_tests

#endif
