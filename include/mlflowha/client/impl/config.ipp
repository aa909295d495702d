#ifndef MLFLOWHA_CLIENT_IMPL_CONFIG_IPP
#define MLFLOWHA_CLIENT_IMPL_CONFIG_IPP

#include <mlflowha/client/options.hpp>
#include <mlflowha/core/impl/uri.ipp>
#include <mlflowha/core/impl/user_info.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE std::string show(Duration duration) {
  return fmt::format("{} s", std::chrono::duration<double>(duration).count());
}

/// Collects faults, one line each: field, value, expectation.
class FaultList {
 public:
  void add(std::string_view field, std::string_view value, std::string_view expected) {
    line(fmt::format("{} is {}, expected {}", field, value, expected));
  }
  void line(std::string_view text) {
    if (text.empty()) return;
    if (!text_.empty()) text_ += '\n';
    text_ += text;
  }
  void at_least(std::string_view field, Duration value, Duration low) {
    if (value < low) add(field, show(value), "at least " + show(low));
  }
  /// Another group's faults, with the group's name in front of each line.
  void lines(std::string_view group, std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      line(fmt::format("{}{}", group, text.substr(0, end)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

MLFLOWHA_INLINE void check_timeouts(const TimeoutOptions& timeouts, FaultList& faults) {
  static constexpr Duration shortest = std::chrono::milliseconds(1);
  faults.at_least("timeouts.call", timeouts.call, shortest);
  faults.at_least("timeouts.attempt", timeouts.attempt, shortest);
  faults.at_least("timeouts.connect", timeouts.connect, shortest);
  if (timeouts.slowest_transfer == 0) faults.add("timeouts.slowest_transfer", "0", "at least 1 byte/s");
  if (timeouts.attempt > timeouts.call) {
    faults.add("timeouts.attempt", show(timeouts.attempt), "at most timeouts.call, which is " + show(timeouts.call));
  }
  if (timeouts.connect >= timeouts.attempt) {
    // Otherwise an unreachable server looks like a slow one: the request might have been sent.
    faults.add("timeouts.connect", show(timeouts.connect),
               "less than timeouts.attempt, which is " + show(timeouts.attempt));
  }
}

MLFLOWHA_INLINE void check_retry(const RetryOptions& retry, FaultList& faults) {
  if (retry.max_attempts < 0) {
    faults.add("retry.max_attempts", fmt::format("{}", retry.max_attempts), "0 (no limit) or more");
  }
  faults.lines("retry.backoff.", retry.backoff.faults());
  faults.lines("retry.budget.", retry.budget.faults());
}

MLFLOWHA_INLINE std::string show(AllOpen value) { return value == AllOpen::wait ? "wait" : "fail_fast"; }
MLFLOWHA_INLINE std::string show(Selection value) {
  return value == Selection::primary_first ? "primary_first" : "p2c_ewma";
}
MLFLOWHA_INLINE std::string show(bool value) { return value ? "true" : "false"; }
template <class Number>
std::string show_number(Number value) {
  return fmt::format("{}", value);
}

/// All settings in the order of docs/options.md.
MLFLOWHA_INLINE std::vector<SettingOrigin> list_settings(const ClientOptions& o) {
  std::vector<SettingOrigin> list;
  const auto add = [&](std::string_view setting, std::string value) {
    list.push_back({std::string(setting), "", std::move(value)});
  };
  std::string endpoints;
  for (const std::string& endpoint : o.endpoints) endpoints += (endpoints.empty() ? "" : ",") + endpoint;
  add("endpoints", endpoints);
  add("timeouts.call", show(o.timeouts.call));
  add("timeouts.attempt", show(o.timeouts.attempt));
  add("timeouts.connect", show(o.timeouts.connect));
  add("timeouts.slowest_transfer", show_number(o.timeouts.slowest_transfer));
  add("retry.enabled", show(o.retry.enabled));
  add("retry.max_attempts", show_number(o.retry.max_attempts));
  add("retry.backoff.base", show(o.retry.backoff.base));
  add("retry.backoff.throttled_base", show(o.retry.backoff.throttled_base));
  add("retry.backoff.factor", show_number(o.retry.backoff.factor));
  add("retry.backoff.cap", show(o.retry.backoff.cap));
  add("retry.backoff.retry_after_slack", show(o.retry.backoff.retry_after_slack));
  add("retry.budget.capacity", show_number(o.retry.budget.capacity));
  add("retry.budget.retry_cost", show_number(o.retry.budget.retry_cost));
  add("retry.budget.throttled_cost", show_number(o.retry.budget.throttled_cost));
  add("retry.budget.success_gain", show_number(o.retry.budget.success_gain));
  add("retry.respect_retry_after", show(o.retry.respect_retry_after));
  add("retry.when_all_open", show(o.retry.when_all_open));
  add("breaker.consecutive_failures", show_number(o.breaker.consecutive_failures));
  add("breaker.failure_rate", show_number(o.breaker.failure_rate));
  add("breaker.minimum_calls", show_number(o.breaker.minimum_calls));
  add("breaker.window", show(o.breaker.window));
  add("breaker.open_for", show(o.breaker.open_for));
  add("breaker.open_for_max", show(o.breaker.open_for_max));
  add("breaker.open_growth", show_number(o.breaker.open_growth));
  add("breaker.open_jitter", show_number(o.breaker.open_jitter));
  add("breaker.growth_decay", show(o.breaker.growth_decay));
  add("breaker.probe_successes", show_number(o.breaker.probe_successes));
  add("breaker.probe_lease", show(o.breaker.probe_lease));
  add("pool.selection", show(o.pool.selection));
  add("pool.failback_after", show(o.pool.failback_after));
  add("pool.failback_successes", show_number(o.pool.failback_successes));
  add("pool.check_identity", show(o.pool.check_identity));
  add("exactly_once.watch_for", show(o.exactly_once.watch_for));
  add("exactly_once.remove_twins", show(o.exactly_once.remove_twins));
  add("tls.ca_file", o.tls.ca_file);
  add("tls.client_cert", o.tls.client_cert);
  add("tls.client_key", o.tls.client_key);
  add("tls.insecure", show(o.tls.insecure));
  add("auth.username", hide_password(o.auth.username));
  add("auth.password", to_string(o.auth.password));
  add("auth.bearer_token", to_string(o.auth.bearer_token));
  return list;
}

/// Whether `line` has `setting` as a word of its own: "tls.client_cert" is not in "tls.client_cert_x".
MLFLOWHA_INLINE bool names_setting(std::string_view line, std::string_view setting) noexcept {
  const auto part_of_name = [](char c) { return is_alnum(c) || c == '_' || c == '.'; };
  for (std::size_t at = line.find(setting); at != std::string_view::npos; at = line.find(setting, at + 1)) {
    const std::size_t end = at + setting.size();
    if ((at == 0 || !part_of_name(line[at - 1])) && (end == line.size() || !part_of_name(line[end]))) return true;
  }
  return false;
}

/// Each fault with the variables that have set what it names: whoever set them doesn't know our names of the settings.
MLFLOWHA_INLINE std::string with_origins(std::string_view faults, const ClientOptions& options) {
  const std::vector<SettingOrigin> settings = list_settings(options);
  std::string text;
  while (!faults.empty()) {
    const std::size_t end = std::min(faults.find('\n'), faults.size());
    const std::string_view line = faults.substr(0, end);
    std::string sources;
    for (const SettingOrigin& setting : settings) {
      if (!names_setting(line, setting.setting)) continue;
      for (const SettingOrigin& origin : options.origins) {
        if (origin.setting != setting.setting || origin.value != setting.value) continue;
        if (sources.find(origin.source) != std::string::npos) continue;
        sources += fmt::format("{}{}", sources.empty() ? "" : ", ", origin.source);
      }
    }
    text += fmt::format("{}{}", text.empty() ? "" : "\n", line);
    if (!sources.empty()) text += fmt::format(" (set by {})", sources);
    faults.remove_prefix(std::min(end + 1, faults.size()));
  }
  return text;
}

}  // namespace detail

MLFLOWHA_INLINE Duration TimeoutOptions::for_transfer(std::uint64_t bytes) const noexcept {
  constexpr double longest = 24 * 3600.0;  // whatever is slower has other troubles; and Duration can't overflow
  const double seconds = static_cast<double>(bytes) / static_cast<double>(slowest_transfer);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::min(seconds, longest)));
}

MLFLOWHA_INLINE Result<Config> make_config(ClientOptions options) {
  detail::FaultList faults;
  Config config;

  std::string list;
  for (const std::string& endpoint : options.endpoints) list += (list.empty() ? "" : ",") + endpoint;
  Result<std::vector<Uri>> endpoints = parse_endpoint_list(list);
  if (endpoints) {
    config.endpoints_ = std::move(*endpoints);
  } else if (options.endpoints.empty()) {
    faults.line(
        "endpoints: the list is empty; set MLFLOW_TRACKING_URI=http://HOST:PORT[,http://HOST:PORT...] or "
        "ClientOptions::endpoints");
  } else {
    faults.line(endpoints.error().message);
  }

  detail::check_timeouts(options.timeouts, faults);
  detail::check_retry(options.retry, faults);
  faults.at_least("exactly_once.watch_for", options.exactly_once.watch_for, Duration::zero());

  // A probe that is carried by a call may take a whole attempt before it reports.
  if (options.breaker.probe_lease <= options.timeouts.attempt) {
    options.breaker.probe_lease = std::min<Duration>(
        detail::saturating_sum(options.timeouts.attempt, std::chrono::seconds(1)), std::chrono::hours(24));
    // Whoever set the attempts has moved the lease along.
    const std::string attempt = detail::show(options.timeouts.attempt);
    for (SettingOrigin origin : std::vector<SettingOrigin>(options.origins)) {
      if (origin.setting != "timeouts.attempt" || origin.value != attempt) continue;
      options.origins.push_back(
          {"breaker.probe_lease", std::move(origin.source), detail::show(options.breaker.probe_lease)});
    }
  }
  config.pool_.selection = options.pool.selection;
  config.pool_.breaker = options.breaker;
  config.pool_.failback_after = options.pool.failback_after;
  config.pool_.failback_successes = options.pool.failback_successes;
  config.pool_.check_identity = options.pool.check_identity;
  faults.lines("breaker.", options.breaker.faults());
  EndpointSetOptions pool_alone = config.pool_;
  pool_alone.breaker = {};
  faults.lines("pool.", pool_alone.faults());

  options.http.tls = options.tls;
  options.http.auth = options.auth;
  if (!options.transport) {
    for (const std::string& fault : mlflowha::faults(options.http)) faults.line(fault);
  }
  if (options.timeouts.call > std::chrono::hours(24)) {
    faults.add("timeouts.call", detail::show(options.timeouts.call), "at most 24 hours");
  }

  if (!faults.text().empty()) {
    Error error;
    error.code = Errc::invalid_config;
    error.message = detail::with_origins(faults.text(), options);
    return error;
  }

  config.plan_.backoff = options.retry.backoff;
  config.plan_.max_attempts = options.retry.enabled ? options.retry.max_attempts : 1;
  config.plan_.attempt_timeout = options.timeouts.attempt;
  config.plan_.connect_timeout = options.timeouts.connect;
  config.plan_.minimum_attempt = std::min<Duration>(config.plan_.minimum_attempt, options.timeouts.attempt / 10);
  config.plan_.when_all_open = options.retry.when_all_open;
  config.options_ = std::move(options);
  return config;
}

MLFLOWHA_INLINE std::vector<SettingOrigin> Config::settings() const {
  std::vector<SettingOrigin> settings = detail::list_settings(options_);
  const std::vector<SettingOrigin> defaults = detail::list_settings(ClientOptions{});
  for (std::size_t i = 0; i < settings.size(); ++i) {
    SettingOrigin& setting = settings[i];
    setting.source = setting.value == defaults[i].value ? "default" : "code";
    for (const SettingOrigin& origin : options_.origins) {
      if (origin.setting == setting.setting && origin.value == setting.value) setting.source = origin.source;
    }
  }
  return settings;
}

MLFLOWHA_END_NAMESPACE

#endif
