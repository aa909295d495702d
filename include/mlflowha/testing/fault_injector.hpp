#ifndef MLFLOWHA_TESTING_FAULT_INJECTOR_HPP
#define MLFLOWHA_TESTING_FAULT_INJECTOR_HPP

// FaultInjector: plays a FaultScript. It counts, draws lots and looks at the time that it is given, and says what shall
// go wrong with a connection or a request; FakeTransport, FakeServer and FaultProxy do it. No I/O, no clock of its own.

#include <mlflowha/testing/fault_script.hpp>

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

/// What shall happen to one connection or request.
struct FaultPlan {
  Duration delay{0};
  double bytes_per_second = 0;  ///< 0 = as fast as it goes
  FaultAction action;           ///< kind none: it is answered as usual
  int rule = -1;                ///< index of the rule that `action` came from
};

/// How often a rule has been used since the script was started.
struct FaultCount {
  int line = 0;
  std::string rule;           ///< in the language
  std::uint64_t matched = 0;  ///< requests (connections) that fulfilled everything but the counting and the lot
  std::uint64_t fired = 0;
};

/// Thread-safe. With one thread, the same script, seed and sequence of questions give the same answers; with several, a
/// rule's n-th match has the same fate in every run, whichever thread meets it.
class MLFLOWHA_EXPORT FaultInjector {
 public:
  explicit FaultInjector(FaultScript script = {}, std::uint64_t seed = 1, TimePoint start = TimePoint{});

  /// Replaces the rules. Their counters and their clock start anew; the numbers of connections and requests go on.
  void replace(FaultScript script, TimePoint now);

  /// A client connects. Only rules with refuse or connect_hang are asked.
  [[nodiscard]] FaultPlan on_connection(TimePoint now);
  /// A request has arrived, on the connection with that number. All other rules are asked.
  [[nodiscard]] FaultPlan on_request(std::string_view method, std::string_view target, std::uint64_t connection,
                                     TimePoint now);

  /// What the listener as a whole does at `now` because of rules that depend on nothing but the time: none (accept),
  /// refuse or connect_hang; and when that may change (TimePoint::max() for never).
  struct ListenerState {
    FaultKind kind = FaultKind::none;
    TimePoint next_change;
  };
  [[nodiscard]] ListenerState listener(TimePoint now) const;

  [[nodiscard]] std::uint64_t connections() const;
  [[nodiscard]] std::uint64_t requests() const;
  [[nodiscard]] std::vector<FaultCount> counts() const;

 private:
  struct Counter {
    std::uint64_t matched = 0;
    std::uint64_t fired = 0;
  };
  [[nodiscard]] bool in_time(const FaultMatch& match, TimePoint now) const;
  [[nodiscard]] bool draw(std::size_t rule);

  mutable std::mutex mutex_;  // guards everything
  FaultScript script_;
  const std::uint64_t default_seed_;
  TimePoint start_;
  std::vector<Counter> counters_;
  std::uint64_t connections_ = 0;
  std::uint64_t requests_ = 0;
};

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/testing/impl/fault_injector.ipp>
#endif

#endif
