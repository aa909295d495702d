#ifndef MLFLOWHA_CLIENT_IMPL_ENVIRONMENT_IPP
#define MLFLOWHA_CLIENT_IMPL_ENVIRONMENT_IPP

#include <mlflowha/client/impl/config.ipp>
#include <mlflowha/client/options.hpp>
#include <mlflowha/core/impl/uri.ipp>

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE Environment::~Environment() = default;

namespace detail {

class ProcessEnvironment final : public Environment {
 public:
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const override {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  }

  [[nodiscard]] std::optional<std::string> read_file(std::string_view path) const override {
    std::string full(path);
    if (path.substr(0, 2) == "~/") {
      const auto home = get("HOME");
      if (!home || home->empty()) return std::nullopt;
      full = *home + full.substr(1);
    }
    std::ifstream file(full, std::ios::binary);
    if (!file) return std::nullopt;
    // An iterator would throw where the file turns out to be a directory.
    std::string text;
    std::array<char, 4096> part{};
    while (file.read(part.data(), part.size()) || file.gcount() > 0) {
      text.append(part.data(), static_cast<std::size_t>(file.gcount()));
    }
    if (file.bad()) return std::nullopt;
    return text;
  }
};

/// Reads variables into options and collects every fault on the way. An empty variable counts as not set, as in MLflow.
class EnvironmentReader {
 public:
  EnvironmentReader(const Environment& environment, ClientOptions& options)
      : environment_(environment), options_(options) {}

  std::optional<std::string> text(std::string_view name) const {
    auto value = environment_.get(name);
    if (value && trim(*value).empty()) value.reset();
    return value;
  }

  std::optional<bool> boolean(std::string_view name) {
    const auto value = text(name);
    if (!value) return std::nullopt;
    const std::string lower = to_lower(trim(*value));
    if (lower == "true" || lower == "1") return true;
    if (lower == "false" || lower == "0") return false;
    fault(name, *value, "true, false, 1 or 0");
    return std::nullopt;
  }

  std::optional<std::int32_t> integer(std::string_view name, std::int32_t low, std::int32_t high) {
    const auto value = text(name);
    if (!value) return std::nullopt;
    const std::string_view digits = trim(*value);
    std::int32_t number = 0;
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (status != std::errc{} || end != digits.data() + digits.size() || number < low || number > high) {
      fault(name, *value, fmt::format("a whole number, {}..{}", low, high));
      return std::nullopt;
    }
    return number;
  }

  std::optional<double> number(std::string_view name, double low, double high, std::string_view what = "a number") {
    const auto value = text(name);
    if (!value) return std::nullopt;
    const std::string_view digits = trim(*value);
    double result = 0;
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), result);
    if (status != std::errc{} || end != digits.data() + digits.size() || !std::isfinite(result) || result < low ||
        result > high) {
      fault(name, *value, fmt::format("{}, {}..{}", what, low, high));
      return std::nullopt;
    }
    return result;
  }

  std::optional<Duration> seconds(std::string_view name, double low, double high) {
    const auto value = number(name, low, high, "a number of seconds");
    if (!value) return std::nullopt;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*value));
  }

  void fault(std::string_view name, std::string_view value, std::string_view expected) {
    fault(fmt::format("{}: value is \"{}\", expected {}", name, sanitize(value, 100), expected));
  }
  void fault(const std::string& what) {
    if (!faults_.empty()) faults_ += "\n";
    faults_ += what;
  }
  void warn(std::string what) { options_.warnings.push_back(std::move(what)); }
  /// Notes who set what; the value as it applies is filled in once everything has been read.
  void origin(std::string_view setting, std::string_view source) {
    options_.origins.push_back({std::string(setting), std::string(source), ""});
  }
  [[nodiscard]] const std::string& faults() const noexcept { return faults_; }

 private:
  const Environment& environment_;
  ClientOptions& options_;
  std::string faults_;
};

/// Without what the plugin of the Python package is addressed by, in whichever items it stands: the commands of the
/// same environment are to work, too.
MLFLOWHA_INLINE std::string without_plugin_prefix(std::string_view list) {
  static constexpr std::string_view plugin = "mlflowha+";
  std::string plain;
  for (;;) {
    const std::size_t comma = list.find(',');
    std::string_view item = trim(list.substr(0, comma));
    if (item.substr(0, plugin.size()) == plugin) item.remove_prefix(plugin.size());
    plain += item;
    if (comma == std::string_view::npos) return plain;
    plain += ',';
    list.remove_prefix(comma + 1);
  }
}

MLFLOWHA_INLINE void read_endpoints(EnvironmentReader& in, ClientOptions& options) {
  for (std::string_view name : {"MLFLOWHA_ENDPOINTS", "MLFLOW_TRACKING_URI"}) {
    const auto value = in.text(name);
    if (!value) continue;
    const auto list = parse_endpoint_list(without_plugin_prefix(*value));
    if (!list) {
      in.fault(fmt::format("{}: {}", name, list.error().message));
      return;
    }
    for (const Uri& uri : *list) options.endpoints.push_back(uri.base());
    in.origin("endpoints", name);
    return;
  }
}

/// The seed documents' names and MLflow's own mean the same things; where both are set they must agree.
MLFLOWHA_INLINE void read_retry(EnvironmentReader& in, ClientOptions& options) {
  if (const auto enabled = in.boolean("MLFLOW_ENABLE_RETRY")) {
    options.retry.enabled = *enabled;
    in.origin("retry.enabled", "MLFLOW_ENABLE_RETRY");
  }
  const auto attempts = in.integer("MLFLOW_RETRY_MAX_ATTEMPTS", 1, 1000);
  const auto retries = in.integer("MLFLOW_HTTP_REQUEST_MAX_RETRIES", 0, 999);
  if (attempts && retries && *attempts != *retries + 1) {
    in.fault(
        fmt::format("MLFLOW_RETRY_MAX_ATTEMPTS={0} (attempts in all) contradicts "
                    "MLFLOW_HTTP_REQUEST_MAX_RETRIES={1} (retries after the first attempt), expected {0} and {2}; "
                    "unset one of them",
                    *attempts, *retries, *attempts - 1));
  } else if (attempts) {
    options.retry.max_attempts = *attempts;
    in.origin("retry.max_attempts", "MLFLOW_RETRY_MAX_ATTEMPTS");
  } else if (retries) {
    options.retry.max_attempts = *retries + 1;
    in.origin("retry.max_attempts", "MLFLOW_HTTP_REQUEST_MAX_RETRIES");
  }
  const auto factor = in.number("MLFLOW_RETRY_BACKOFF_FACTOR", 1, 120);
  const auto mlflow_factor = in.number("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", 1, 120);
  if (factor && mlflow_factor && *factor != *mlflow_factor) {
    in.fault(
        fmt::format("MLFLOW_RETRY_BACKOFF_FACTOR={} contradicts MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR={}, expected "
                    "the same value; unset one of them",
                    *factor, *mlflow_factor));
  } else if (factor) {
    options.retry.backoff.factor = *factor;
    in.origin("retry.backoff.factor", "MLFLOW_RETRY_BACKOFF_FACTOR");
  } else if (mlflow_factor) {
    options.retry.backoff.factor = *mlflow_factor;
    in.origin("retry.backoff.factor", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR");
  }
  if (in.number("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", 0, 3600)) {
    in.warn("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER has no effect: waits are drawn from their whole range (full jitter)");
  }
  if (const auto respect = in.boolean("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER")) {
    options.retry.respect_retry_after = *respect;
    in.origin("retry.respect_retry_after", "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER");
  }
  if (const auto when = in.text("MLFLOWHA_WHEN_ALL_OPEN")) {
    const std::string_view value = trim(*when);
    if (value == "wait" || value == "fail_fast") {
      options.retry.when_all_open = value == "wait" ? AllOpen::wait : AllOpen::fail_fast;
      in.origin("retry.when_all_open", "MLFLOWHA_WHEN_ALL_OPEN");
    } else {
      in.fault("MLFLOWHA_WHEN_ALL_OPEN", *when, "wait or fail_fast");
    }
  }
}

MLFLOWHA_INLINE void read_breaker_and_pool(EnvironmentReader& in, ClientOptions& options) {
  if (const auto threshold = in.integer("MLFLOW_CIRCUIT_BREAKER_THRESHOLD", 1, 1000)) {
    options.breaker.consecutive_failures = *threshold;
    in.origin("breaker.consecutive_failures", "MLFLOW_CIRCUIT_BREAKER_THRESHOLD");
  }
  if (const auto open = in.seconds("MLFLOW_CIRCUIT_BREAKER_TIMEOUT", 0.001, 86400)) {
    options.breaker.open_for = *open;
    in.origin("breaker.open_for", "MLFLOW_CIRCUIT_BREAKER_TIMEOUT");
    if (options.breaker.open_for_max < *open) {
      options.breaker.open_for_max = *open;
      in.origin("breaker.open_for_max", "MLFLOW_CIRCUIT_BREAKER_TIMEOUT");
    }
  }
  if (const auto selection = in.text("MLFLOWHA_SELECTION")) {
    const std::string_view value = trim(*selection);
    if (value == "primary_first" || value == "p2c_ewma") {
      options.pool.selection = value == "primary_first" ? Selection::primary_first : Selection::p2c_ewma;
      in.origin("pool.selection", "MLFLOWHA_SELECTION");
    } else {
      in.fault("MLFLOWHA_SELECTION", *selection, "primary_first or p2c_ewma");
    }
  }
  if (const auto check = in.boolean("MLFLOWHA_CHECK_IDENTITY")) {
    options.pool.check_identity = *check;
    in.origin("pool.check_identity", "MLFLOWHA_CHECK_IDENTITY");
  }
}

MLFLOWHA_INLINE void read_timeouts(EnvironmentReader& in, ClientOptions& options) {
  // 2 ms: whatever is shorter leaves no whole millisecond to connect in.
  const auto call = in.seconds("MLFLOWHA_CALL_TIMEOUT", 0.002, 86400);
  const auto attempt = in.seconds("MLFLOWHA_ATTEMPT_TIMEOUT", 0.002, 86400);
  const auto mlflow = in.seconds("MLFLOW_HTTP_REQUEST_TIMEOUT", 0.002, 86400);
  const auto connect = in.seconds("MLFLOWHA_CONNECT_TIMEOUT", 0.001, 86400);
  // Where a variable moves another setting along, so that the two fit, it is named as that one's origin, too.
  constexpr std::string_view call_name = "MLFLOWHA_CALL_TIMEOUT";
  std::string_view attempt_name = attempt ? "MLFLOWHA_ATTEMPT_TIMEOUT" : "MLFLOW_HTTP_REQUEST_TIMEOUT";
  if (attempt) {
    options.timeouts.attempt = *attempt;
    in.origin("timeouts.attempt", attempt_name);
    if (mlflow && *mlflow != *attempt) {
      in.fault(
          "MLFLOWHA_ATTEMPT_TIMEOUT contradicts MLFLOW_HTTP_REQUEST_TIMEOUT (both are seconds per attempt), "
          "expected the same value; unset one of them");
    }
  } else if (mlflow) {
    options.timeouts.attempt = *mlflow;
    in.origin("timeouts.attempt", attempt_name);
  } else if (call && *call < options.timeouts.attempt) {
    options.timeouts.attempt = *call;  // whoever gives a call 5 s gives no attempt more
    attempt_name = call_name;
    in.origin("timeouts.attempt", attempt_name);
  }
  if (call) {
    options.timeouts.call = *call;
    in.origin("timeouts.call", call_name);
  } else if (options.timeouts.call < options.timeouts.attempt) {
    options.timeouts.call =
        options.timeouts.attempt;  // whoever allows an attempt 120 s wants the call to last that long
    in.origin("timeouts.call", attempt_name);
  }
  if (connect) {
    options.timeouts.connect = *connect;
    in.origin("timeouts.connect", "MLFLOWHA_CONNECT_TIMEOUT");
  } else if (options.timeouts.connect >= options.timeouts.attempt) {
    options.timeouts.connect = options.timeouts.attempt / 2;
    in.origin("timeouts.connect", attempt_name);
  }
}

MLFLOWHA_INLINE void read_tls(EnvironmentReader& in, ClientOptions& options) {
  const auto insecure = in.boolean("MLFLOW_TRACKING_INSECURE_TLS");
  const auto ca = in.text("MLFLOW_TRACKING_SERVER_CERT_PATH");
  if (insecure.value_or(false) && ca) {
    in.fault(
        "MLFLOW_TRACKING_INSECURE_TLS=true contradicts MLFLOW_TRACKING_SERVER_CERT_PATH, expected only one of them");
  }
  if (insecure) {
    options.tls.insecure = *insecure;
    in.origin("tls.insecure", "MLFLOW_TRACKING_INSECURE_TLS");
  }
  if (ca) {
    options.tls.ca_file = *ca;
    in.origin("tls.ca_file", "MLFLOW_TRACKING_SERVER_CERT_PATH");
  }
  if (const auto certificate = in.text("MLFLOW_TRACKING_CLIENT_CERT_PATH")) {
    options.tls.client_cert = *certificate;  // one PEM with certificate and key
    in.origin("tls.client_cert", "MLFLOW_TRACKING_CLIENT_CERT_PATH");
  }
}

/// `~/.mlflow/credentials`: INI, section [mlflow], keys mlflow_tracking_username and mlflow_tracking_password.
struct CredentialsFile {
  std::string username;
  std::string password;
};
MLFLOWHA_INLINE CredentialsFile parse_credentials(std::string_view text) {
  CredentialsFile credentials;
  bool in_section = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      in_section = line == "[mlflow]";
      continue;
    }
    const std::size_t separator = line.find_first_of("=:");
    if (!in_section || separator == std::string_view::npos) continue;
    const std::string key = to_lower(trim(line.substr(0, separator)));
    const std::string_view value = trim(line.substr(separator + 1));
    if (key == "mlflow_tracking_username") credentials.username = value;
    if (key == "mlflow_tracking_password") credentials.password = value;
  }
  return credentials;
}

/// A value as MLflow's configparser takes it: %% is a percent sign, and another % an error there.
MLFLOWHA_INLINE std::optional<std::string> without_doubled_percent(std::string_view value) {
  std::string plain;
  for (std::size_t at = 0; at < value.size(); ++at) {
    if (value[at] == '%' && value.substr(++at, 1) != "%") return std::nullopt;
    plain += value[at];
  }
  return plain;
}

/// As MLflow does: the environment wins over the file, item by item; basic credentials win over a token.
MLFLOWHA_INLINE void read_auth(EnvironmentReader& in, const Environment& environment, ClientOptions& options) {
  static constexpr std::string_view path = "~/.mlflow/credentials";
  auto username = in.text("MLFLOW_TRACKING_USERNAME");
  auto password = in.text("MLFLOW_TRACKING_PASSWORD");
  if (username) in.origin("auth.username", "MLFLOW_TRACKING_USERNAME");
  if (password) in.origin("auth.password", "MLFLOW_TRACKING_PASSWORD");
  if (!username || !password) {
    if (const auto file = environment.read_file(path)) {
      const CredentialsFile credentials = parse_credentials(*file);
      const auto take = [&](std::optional<std::string>& to, const std::string& value, std::string_view setting) {
        if (to || value.empty()) return;
        in.origin(setting, path);
        to = without_doubled_percent(value);
        if (to) return;
        // Never with the value, whichever of the two it is.
        in.fault(
            fmt::format("{}: mlflow_tracking_{} has a single %, expected every % in it to be doubled, as MLflow's "
                        "own client expects it",
                        path, setting.substr(setting.find('.') + 1)));
      };
      take(username, credentials.username, "auth.username");
      take(password, credentials.password, "auth.password");
    }
  }
  const auto token = in.text("MLFLOW_TRACKING_TOKEN");
  if (username && password) {
    options.auth.username = *username;
    options.auth.password = *password;
    if (token) in.warn("MLFLOW_TRACKING_TOKEN has no effect: username and password are set and win, as in MLflow");
  } else {
    if (username || password) {
      in.warn(fmt::format("the tracking {} is set without the {}: basic authentication is off, as in MLflow",
                          username ? "username" : "password", username ? "password" : "username"));
    }
    if (token) {
      options.auth.bearer_token = *token;
      in.origin("auth.bearer_token", "MLFLOW_TRACKING_TOKEN");
    }
  }
  for (std::string_view name : {"MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4"}) {
    if (const auto value = in.text(name); value && to_lower(trim(*value)) != "false" && trim(*value) != "0") {
      in.fault(name, *value, "nothing: request signing plugins of the Python client are not available here");
    }
  }
}

}  // namespace detail

MLFLOWHA_INLINE const Environment& process_environment() noexcept {
  static const detail::ProcessEnvironment environment;
  return environment;
}

MLFLOWHA_INLINE Result<ClientOptions> ClientOptions::from_env(const Environment& environment) {
  ClientOptions options;
  detail::EnvironmentReader in(environment, options);
  detail::read_endpoints(in, options);
  detail::read_retry(in, options);
  detail::read_breaker_and_pool(in, options);
  detail::read_timeouts(in, options);
  detail::read_tls(in, options);
  detail::read_auth(in, environment, options);
  if (!in.faults().empty()) {
    Error error;
    error.code = Errc::invalid_config;
    error.message = in.faults();
    return error;
  }
  const std::vector<SettingOrigin> settings = detail::list_settings(options);
  for (SettingOrigin& origin : options.origins) {
    for (const SettingOrigin& setting : settings) {
      if (setting.setting == origin.setting) origin.value = setting.value;
    }
  }
  return options;
}

MLFLOWHA_END_NAMESPACE

#endif
