#ifndef MLFLOWHA_RESILIENCE_OPTIONS_HPP
#define MLFLOWHA_RESILIENCE_OPTIONS_HPP

// What may be set of each part of the resilience room, without the parts: a program that only makes a client compiles
// these values and nothing of the machines that they govern. Used by client/options.hpp and by the parts themselves.

#include <mlflowha/core/clock.hpp>

#include <cstdint>
#include <string>

MLFLOWHA_BEGIN_NAMESPACE

/// How long a call waits before it is sent again (full jitter). See resilience/backoff.hpp.
struct BackoffOptions {
  Duration base = std::chrono::milliseconds(50);      ///< upper bound of the first wait
  Duration throttled_base = std::chrono::seconds(1);  ///< the same after 429 and the like
  double factor = 2.0;                                ///< 1.0 .. 120 (MLflow's own limit)
  Duration cap = std::chrono::seconds(5);
  Duration retry_after_slack = std::chrono::seconds(5);  ///< a server may ask for at most this much more than we'd wait

  /// Empty, or one line per fault, each naming field, value and what was expected.
  [[nodiscard]] MLFLOWHA_EXPORT std::string faults() const;
};

/// What retries cost out of the tokens that all calls of a client share. See resilience/retry_budget.hpp.
struct RetryBudgetOptions {
  std::int32_t capacity = 500;  ///< 0 disables the budget (every retry is granted)
  std::int32_t retry_cost = 14;
  std::int32_t throttled_cost = 5;
  std::int32_t success_gain = 1;

  /// Empty, or one line per fault, each naming field, value and what was expected. A price above the capacity is a
  /// fault: it would refuse every retry.
  [[nodiscard]] MLFLOWHA_EXPORT std::string faults() const;
};

/// When an endpoint counts as broken, and for how long. See resilience/circuit_breaker.hpp.
struct CircuitBreakerOptions {
  std::int32_t consecutive_failures = 5;        ///< 0 turns this trip off
  double failure_rate = 0.5;                    ///< trips at >= rate of the window; 0 turns this trip off
  std::int32_t minimum_calls = 10;              ///< the window must hold at least this many
  Duration window = std::chrono::seconds(10);   ///< in 10 buckets
  Duration open_for = std::chrono::seconds(1);  ///< first time open
  Duration open_for_max = std::chrono::seconds(60);
  double open_growth = 2.0;  ///< per trip in a row
  double open_jitter = 0.5;  ///< the last this share of the open time is random (equal jitter at 0.5)
  Duration growth_decay = std::chrono::seconds(30);  ///< one growth step is forgotten per this long closed
  std::int32_t probe_successes = 2;                  ///< in a row, to close
  Duration probe_lease = std::chrono::seconds(11);   ///< a probe that hasn't reported by then counts as failed

  /// Empty, or one line per fault, each naming field, value and what was expected. Contradictions count as faults
  /// (both trips off; window shorter than 10 ms; open_for > open_for_max).
  [[nodiscard]] MLFLOWHA_EXPORT std::string faults() const;
};

/// What an operator may order. Cleared by reset(). The automatic state rests below the order and goes on where it was
/// when the order is lifted (none), with empty counters.
enum class BreakerOverride : std::uint8_t {
  none,
  forced_open,   ///< refuses everything
  disabled,      ///< grants everything, counts nothing
  metrics_only,  ///< grants everything, counts, never trips
};

enum class Selection : std::uint8_t {
  primary_first,  ///< the first healthy one in list order (default)
  p2c_ewma,       ///< two random choices, the one with less latency x load (peak EWMA)
};

/// Which endpoint is used when, and how one comes back. See resilience/endpoint_set.hpp.
struct EndpointSetOptions {
  Selection selection = Selection::primary_first;
  CircuitBreakerOptions breaker;
  std::int32_t failback_successes = 3;
  Duration failback_after = std::chrono::seconds(30);
  Duration ramp = std::chrono::seconds(10);
  Duration panic_interval = std::chrono::seconds(1);
  Duration probe_interval =
      std::chrono::milliseconds(250);  ///< first gap between side probes of one endpoint, doubling ...
  Duration probe_interval_max = std::chrono::seconds(10);  ///< ... to this, +-20 %
  Duration probe_refused_max = std::chrono::seconds(2);    ///< ... or to this while nothing can be sent (cheap for all)
  Duration ewma_tau = std::chrono::seconds(10);
  Duration hold_max = std::chrono::seconds(30);  ///< a Retry-After sets an endpoint back no longer than this
  bool check_identity = true;                    ///< identify each endpoint at first contact (lists of 2 or more)

  /// Empty, or one line per fault, each naming field, value and what was expected; the breaker's included.
  [[nodiscard]] MLFLOWHA_EXPORT std::string faults() const;
};

/// An endpoint's place in the list of its client, from 0.
using EndpointIndex = std::uint32_t;

/// What a call does when every breaker is open, or the retry budget is spent.
enum class AllOpen : std::uint8_t {
  wait,       ///< goes on until its deadline: with the next probe, or slowly (default: training must survive a restart)
  fail_fast,  ///< returns at once with Errc::circuit_open or Errc::budget_exhausted (inference services)
};

/// Limits of one call with all its attempts. See resilience/call_plan.hpp.
struct CallPlanOptions {
  BackoffOptions backoff;
  std::int32_t max_attempts = 0;  ///< of the call itself, verifications not counted; 0 = as many as the deadline allows
  std::int32_t max_server_errors = 5;  ///< answers of Verdict::server_error after which the call is over: a request
                                       ///< that always fails would never end
  Duration attempt_timeout = std::chrono::seconds(10);
  Duration connect_timeout = std::chrono::seconds(2);
  Duration minimum_attempt = std::chrono::milliseconds(10);  ///< with less time left than this no attempt is started
  AllOpen when_all_open = AllOpen::wait;

  /// Empty, or one line per fault, each naming field, value and what was expected.
  [[nodiscard]] MLFLOWHA_EXPORT std::string faults() const;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/resilience/impl/options.ipp>
#endif

#endif
