#ifndef MLFLOWHA_CLIENT_OPTIONS_HPP
#define MLFLOWHA_CLIENT_OPTIONS_HPP

// ClientOptions: everything a user may set, in groups, as plain values with their defaults in place. Validated once
// into an immutable Config with every fault listed. Code beats environment beats default: start from
// ClientOptions::from_env() to let the environment fill in what the code doesn't set afterwards.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/core/uri.hpp>
#include <mlflowha/http/options.hpp>
#include <mlflowha/resilience/options.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

class Observer;
class Rng;
class Transport;

/// How long things may take.
struct TimeoutOptions {
  Duration call = std::chrono::seconds(30);     ///< one call with all its attempts, waits and verifications
  Duration attempt = std::chrono::seconds(10);  ///< one attempt, connecting included
  Duration connect = std::chrono::seconds(2);   ///< resolving, connecting, TLS; must be shorter than `attempt`
  /// Bytes per second that a file is expected to move with at least: an attempt that carries one may take that much
  /// longer, a call without a timeout of its own three times that. No byte moving for as long as `attempt` ends it.
  std::uint64_t slowest_transfer = std::uint64_t{1} << 20;

  /// How much longer an attempt may take that carries a file of that size.
  [[nodiscard]] MLFLOWHA_EXPORT Duration for_transfer(std::uint64_t bytes) const noexcept;
  /// How long a call that carries it may take by default.
  [[nodiscard]] Duration call_with(std::uint64_t bytes) const noexcept { return call + 3 * for_transfer(bytes); }
};

/// When and how often a call is sent again.
struct RetryOptions {
  bool enabled = true;            ///< false: one attempt per call
  std::int32_t max_attempts = 0;  ///< in all, the first included; 0 = as many as the call's time allows
  BackoffOptions backoff;
  RetryBudgetOptions budget;
  bool respect_retry_after = true;  ///< wait as a server asks, within limits
  AllOpen when_all_open = AllOpen::wait;
};

/// Which server is used when. See resilience/endpoint_set.hpp for what each figure does.
struct PoolOptions {
  Selection selection = Selection::primary_first;
  Duration failback_after = std::chrono::seconds(30);
  std::int32_t failback_successes = 3;
  bool check_identity = true;  ///< refuse an endpoint that fronts another database than the rest of the list
};

/// Exactly-once creates.
struct ExactlyOnceOptions {
  /// How long to look out for the twin of an object whose create was sent to a server that didn't answer: a stopped
  /// server may apply it when it wakes up.
  Duration watch_for = std::chrono::minutes(15);
  bool remove_twins = true;  ///< false: only report them to the Observer
};

/// Where a value of the configuration came from.
struct SettingOrigin {
  std::string setting;  ///< "retry.max_attempts"
  std::string source;   ///< "MLFLOW_RETRY_MAX_ATTEMPTS", "~/.mlflow/credentials"
  std::string value;    ///< as it was read, or as it applies; "[secret]" for secrets

  friend bool operator==(const SettingOrigin&, const SettingOrigin&) = default;
};

/// Reads one environment variable; nothing when it isn't set. A seam for tests.
class MLFLOWHA_EXPORT Environment {
 public:
  virtual ~Environment();
  [[nodiscard]] virtual std::optional<std::string> get(std::string_view name) const = 0;
  /// The text of a file, nothing when it can't be read. `path` may start with "~/".
  [[nodiscard]] virtual std::optional<std::string> read_file(std::string_view path) const = 0;
};
/// The process's own.
[[nodiscard]] MLFLOWHA_EXPORT const Environment& process_environment() noexcept;

struct ClientOptions {
  std::vector<std::string> endpoints;  ///< "http://a:5000", first = preferred
  TimeoutOptions timeouts;
  RetryOptions retry;
  CircuitBreakerOptions breaker;
  PoolOptions pool;
  ExactlyOnceOptions exactly_once;
  TlsOptions tls;
  AuthOptions auth;
  CurlTransportOptions http;  ///< what else the transport takes; its `tls` and `auth` are set from the two above

  // Seams; null = the real thing.
  std::shared_ptr<Observer> observer;
  std::shared_ptr<Clock> clock;
  std::shared_ptr<Rng> rng;
  std::shared_ptr<Transport> transport;

  /// What the environment and ~/.mlflow/credentials supplied, in the order read.
  std::vector<SettingOrigin> origins;
  /// Things that were understood but probably not meant, e.g. a variable that has no effect here.
  std::vector<std::string> warnings;

  /// Defaults, overridden by the environment: the seed documents' names, MLflow's own and ours (docs/options.md). Every
  /// value that can't be read, is out of range or contradicts another is listed in one Errc::invalid_config.
  [[nodiscard]] MLFLOWHA_EXPORT static Result<ClientOptions> from_env(
      const Environment& environment = process_environment());
};

/// Validated options. Immutable; made by make_config only.
class MLFLOWHA_EXPORT Config {
 public:
  [[nodiscard]] const ClientOptions& options() const noexcept { return options_; }
  [[nodiscard]] const std::vector<Uri>& endpoints() const noexcept { return endpoints_; }
  [[nodiscard]] const CallPlanOptions& plan() const noexcept { return plan_; }
  [[nodiscard]] const EndpointSetOptions& pool() const noexcept { return pool_; }

  /// Every setting with its value and who set it ("default", "code", or the variable's or file's name). Secrets show as
  /// "[secret]".
  [[nodiscard]] std::vector<SettingOrigin> settings() const;

 private:
  friend MLFLOWHA_EXPORT Result<Config> make_config(ClientOptions options);
  Config() = default;

  ClientOptions options_;
  std::vector<Uri> endpoints_;
  CallPlanOptions plan_;
  EndpointSetOptions pool_;
};

/// Checks everything and lists all faults in one Errc::invalid_config (or invalid_endpoint where only the list is bad).
[[nodiscard]] MLFLOWHA_EXPORT Result<Config> make_config(ClientOptions options);

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/config.ipp>
#include <mlflowha/client/impl/environment.ipp>
#endif

#endif
