#include "options.hpp"

#include <pybind11/stl.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "errors.hpp"
#include "interrupt.hpp"

namespace mlflowha_python {

using mlflowha::ClientOptions;
using mlflowha::RunLoggerOptions;

namespace {

std::string shown(py::handle value) { return py::repr(value).cast<std::string>(); }

[[noreturn]] void refuse(const char* name, py::handle value, const char* expected) {
  throw py::value_error(std::string(name) + ": value is " + shown(value) + ", expected " + expected);
}

[[noreturn]] void refuse_type(const char* name, py::handle value, const char* expected) {
  throw py::type_error(std::string(name) + ": value is " + shown(value) + ", expected " + expected);
}

template <class T>
T to(py::handle value, const char* name, const char* expected) {
  try {
    return value.cast<T>();
  } catch (const py::cast_error&) {
    refuse_type(name, value, expected);
  }
}

bool to_flag(py::handle value, const char* name) {
  if (!PyBool_Check(value.ptr())) refuse_type(name, value, "True or False");
  return value.ptr() == Py_True;
}

std::string to_text(py::handle value, const char* name) { return to<std::string>(value, name, "a text"); }

/// As to(), of what no error may show, though it isn't what it should be: a password may come as a number.
template <class T = std::string>
T to_unshown(py::handle value, const std::string& name, const char* expected = "a text") {
  try {
    return value.cast<T>();
  } catch (const py::cast_error&) {
    const auto type = py::type::handle_of(value).attr("__name__").cast<std::string>();
    throw py::type_error(name + ": value is of type " + type + ", expected " + expected);
  }
}

template <class Options>
using Setter = std::function<void(Options&, py::handle, const char*)>;
template <class Options>
using Setters = std::map<std::string, Setter<Options>, std::less<>>;

template <class Options>
void apply(const Setters<Options>& setters, Options& options, const py::dict& settings, const char* what) {
  for (const auto& [key, value] : settings) {
    const std::string name = py::str(key).cast<std::string>();
    const auto setter = setters.find(name);
    if (setter == setters.end()) {
      std::string known;
      for (const auto& [candidate, unused] : setters) known += (known.empty() ? "" : ", ") + candidate;
      throw py::value_error(std::string(what) + ": there is no setting " + name + "; there are " + known);
    }
    setter->second(options, value, name.c_str());
  }
}

// A setter of the member that `get` finds.
template <class Options, class Get>
Setter<Options> time(Get get) {
  return [get](Options& o, py::handle v, const char* n) { get(o) = to_duration(v, n); };
}
template <class Options, class Get>
Setter<Options> number(Get get) {
  return [get](Options& o, py::handle v, const char* n) {
    using T = std::remove_reference_t<decltype(get(o))>;
    const char* const expected = std::is_integral_v<T> ? "a whole number" : "a number";
    if (PyBool_Check(v.ptr())) refuse_type(n, v, expected);
    get(o) = to<T>(v, n, expected);
  };
}
template <class Options, class Get>
Setter<Options> flag(Get get) {
  return [get](Options& o, py::handle v, const char* n) { get(o) = to_flag(v, n); };
}
template <class Options, class Get>
Setter<Options> text(Get get) {
  return [get](Options& o, py::handle v, const char* n) { get(o) = to_text(v, n); };
}
template <class Options, class Get>
Setter<Options> path(Get get) {
  return [get](Options& o, py::handle v, const char* n) { get(o) = to_path(v, n); };
}
template <class Options, class Get>
Setter<Options> unshown(Get get) {
  return [get](Options& o, py::handle v, const char* n) { get(o) = to_unshown(v, n); };
}

#define MEMBER(path) [](auto& o) -> auto& { return o.path; }

const Setters<ClientOptions>& client_setters() {
  using O = ClientOptions;
  static const Setters<O> setters{
      {"endpoints",
       [](O& o, py::handle v, const char* n) {
         o.endpoints = PyUnicode_Check(v.ptr())
                           ? std::vector<std::string>{to_unshown(v, n)}
                           : to_unshown<std::vector<std::string>>(v, n, "a text or a list of texts");
       }},
      {"timeouts.call", time<O>(MEMBER(timeouts.call))},
      {"timeouts.attempt", time<O>(MEMBER(timeouts.attempt))},
      {"timeouts.connect", time<O>(MEMBER(timeouts.connect))},
      {"timeouts.slowest_transfer", number<O>(MEMBER(timeouts.slowest_transfer))},
      {"retry.enabled", flag<O>(MEMBER(retry.enabled))},
      {"retry.max_attempts", number<O>(MEMBER(retry.max_attempts))},
      {"retry.backoff.base", time<O>(MEMBER(retry.backoff.base))},
      {"retry.backoff.throttled_base", time<O>(MEMBER(retry.backoff.throttled_base))},
      {"retry.backoff.factor", number<O>(MEMBER(retry.backoff.factor))},
      {"retry.backoff.cap", time<O>(MEMBER(retry.backoff.cap))},
      {"retry.backoff.retry_after_slack", time<O>(MEMBER(retry.backoff.retry_after_slack))},
      {"retry.budget.capacity", number<O>(MEMBER(retry.budget.capacity))},
      {"retry.budget.retry_cost", number<O>(MEMBER(retry.budget.retry_cost))},
      {"retry.budget.throttled_cost", number<O>(MEMBER(retry.budget.throttled_cost))},
      {"retry.budget.success_gain", number<O>(MEMBER(retry.budget.success_gain))},
      {"retry.respect_retry_after", flag<O>(MEMBER(retry.respect_retry_after))},
      {"retry.when_all_open",
       [](O& o, py::handle v, const char* n) {
         const std::string word = to_text(v, n);
         if (word != "wait" && word != "fail_fast") refuse(n, v, "wait or fail_fast");
         o.retry.when_all_open = word == "wait" ? mlflowha::AllOpen::wait : mlflowha::AllOpen::fail_fast;
       }},
      {"breaker.consecutive_failures", number<O>(MEMBER(breaker.consecutive_failures))},
      {"breaker.failure_rate", number<O>(MEMBER(breaker.failure_rate))},
      {"breaker.minimum_calls", number<O>(MEMBER(breaker.minimum_calls))},
      {"breaker.window", time<O>(MEMBER(breaker.window))},
      {"breaker.open_for", time<O>(MEMBER(breaker.open_for))},
      {"breaker.open_for_max", time<O>(MEMBER(breaker.open_for_max))},
      {"breaker.open_growth", number<O>(MEMBER(breaker.open_growth))},
      {"breaker.open_jitter", number<O>(MEMBER(breaker.open_jitter))},
      {"breaker.growth_decay", time<O>(MEMBER(breaker.growth_decay))},
      {"breaker.probe_successes", number<O>(MEMBER(breaker.probe_successes))},
      {"breaker.probe_lease", time<O>(MEMBER(breaker.probe_lease))},
      {"pool.selection",
       [](O& o, py::handle v, const char* n) {
         const std::string word = to_text(v, n);
         if (word != "primary_first" && word != "p2c_ewma") refuse(n, v, "primary_first or p2c_ewma");
         o.pool.selection =
             word == "primary_first" ? mlflowha::Selection::primary_first : mlflowha::Selection::p2c_ewma;
       }},
      {"pool.failback_after", time<O>(MEMBER(pool.failback_after))},
      {"pool.failback_successes", number<O>(MEMBER(pool.failback_successes))},
      {"pool.check_identity", flag<O>(MEMBER(pool.check_identity))},
      {"exactly_once.watch_for", time<O>(MEMBER(exactly_once.watch_for))},
      {"exactly_once.remove_twins", flag<O>(MEMBER(exactly_once.remove_twins))},
      {"tls.ca_file", path<O>(MEMBER(tls.ca_file))},
      {"tls.ca_path", path<O>(MEMBER(tls.ca_path))},
      {"tls.client_cert", path<O>(MEMBER(tls.client_cert))},
      {"tls.client_key", path<O>(MEMBER(tls.client_key))},
      {"tls.client_key_password", unshown<O>(MEMBER(tls.client_key_password))},
      {"tls.insecure", flag<O>(MEMBER(tls.insecure))},
      {"auth.username", unshown<O>(MEMBER(auth.username))},
      {"auth.password", unshown<O>(MEMBER(auth.password))},
      {"auth.bearer_token", unshown<O>(MEMBER(auth.bearer_token))},
      {"http.user_agent", text<O>(MEMBER(http.user_agent))},
      {"http.max_idle_age", time<O>(MEMBER(http.max_idle_age))},
      {"http.max_response_bytes", number<O>(MEMBER(http.max_response_bytes))},
      {"http.use_environment_proxy", flag<O>(MEMBER(http.use_environment_proxy))},
  };
  return setters;
}

const Setters<RunLoggerOptions>& logger_setters() {
  using O = RunLoggerOptions;
  static const Setters<O> setters{
      {"experiment", text<O>(MEMBER(experiment))},
      {"experiment_id", text<O>(MEMBER(experiment_id))},
      {"run_name", text<O>(MEMBER(run_name))},
      {"user_id", text<O>(MEMBER(user_id))},
      {"run_id", text<O>(MEMBER(run_id))},
      {"start_time", number<O>(MEMBER(start_time))},
      {"request_tag", text<O>(MEMBER(request_tag))},
      {"directory", path<O>(MEMBER(directory))},
      {"tags",
       [](O& o, py::handle v, const char* n) {
         for (auto& [key, value] : to<std::map<std::string, std::string>>(v, n, "a dict of texts")) {
           o.tags.push_back({.key = key, .value = std::move(value)});
         }
       }},
      {"durability",
       [](O& o, py::handle v, const char* n) {
         const std::string word = to_text(v, n);
         if (word == "none") {
           o.durability = mlflowha::Durability::none;
         } else if (word == "interval") {
           o.durability = mlflowha::Durability::interval;
         } else if (word == "each") {
           o.durability = mlflowha::Durability::each;
         } else {
           refuse(n, v, "none, interval or each");
         }
       }},
      {"when_full",
       [](O& o, py::handle v, const char* n) {
         const std::string word = to_text(v, n);
         if (word == "spill") {
           o.when_full = mlflowha::WhenFull::spill;
         } else if (word == "block") {
           o.when_full = mlflowha::WhenFull::block;
         } else if (word == "reject") {
           o.when_full = mlflowha::WhenFull::reject;
         } else {
           refuse(n, v, "spill, block or reject");
         }
       }},
      {"keep_artifacts",
       [](O& o, py::handle v, const char* n) {
         const std::string word = to_text(v, n);
         if (word != "copy" && word != "link") refuse(n, v, "copy or link");
         o.keep_artifacts = word == "copy" ? mlflowha::ArtifactKeep::copy : mlflowha::ArtifactKeep::link;
       }},
      {"max_artifact_bytes", number<O>(MEMBER(max_artifact_bytes))},
      {"verify_on_close", [](O& o, py::handle v, const char* n) { o.verify_on_close = to_flag(v, n); }},
      {"sync_interval", time<O>(MEMBER(sync_interval))},
      {"max_spool_bytes", number<O>(MEMBER(max_spool_bytes))},
      {"max_spool_age", time<O>(MEMBER(max_spool_age))},
      {"max_buffer_bytes", number<O>(MEMBER(max_buffer_bytes))},
      {"linger", time<O>(MEMBER(linger))},
      {"gather", time<O>(MEMBER(gather))},
  };
  return setters;
}

#undef MEMBER

/// A mapping that stands for the process's environment.
class Mapping final : public mlflowha::Environment {
 public:
  explicit Mapping(std::map<std::string, std::string, std::less<>> variables) : variables_(std::move(variables)) {}
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const override {
    const auto found = variables_.find(name);
    if (found == variables_.end()) return std::nullopt;
    return found->second;
  }
  [[nodiscard]] std::optional<std::string> read_file(std::string_view path) const override {
    if (path.substr(0, 2) != "~/") return mlflowha::process_environment().read_file(path);
    const auto home = get("HOME");
    if (!home || home->empty()) return std::nullopt;
    return mlflowha::process_environment().read_file(*home + std::string(path.substr(1)));
  }

 private:
  std::map<std::string, std::string, std::less<>> variables_;
};

/// The process's environment without the addresses, for a caller who brings his own: a variable that this library can't
/// read ("sqlite:///mlflow.db") is no fault then.
class WithoutAddresses final : public mlflowha::Environment {
 public:
  explicit WithoutAddresses(const Environment& from) : from_(from) {}
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const override {
    if (name == "MLFLOWHA_ENDPOINTS" || name == "MLFLOW_TRACKING_URI") return std::nullopt;
    return from_.get(name);
  }
  [[nodiscard]] std::optional<std::string> read_file(std::string_view path) const override {
    return from_.read_file(path);
  }

 private:
  const Environment& from_;
};

/// "mlflowha+http://a:5000" is what a plugin's scheme makes of an address.
void drop_scheme_prefix(std::vector<std::string>& endpoints) {
  constexpr std::string_view prefix = "mlflowha+";
  for (std::string& endpoint : endpoints) {
    for (std::size_t at = 0; (at = endpoint.find(prefix, at)) != std::string::npos;) endpoint.erase(at, prefix.size());
  }
}

/// Who only says how long a call may last means its attempts, too.
void fit_timeouts(ClientOptions& options, const py::dict& settings) {
  auto& call = options.timeouts.call;
  auto& attempt = options.timeouts.attempt;
  auto& connect = options.timeouts.connect;
  if (!settings.contains("timeouts.attempt") && attempt > call) attempt = call;
  if (!settings.contains("timeouts.connect") && connect >= attempt) connect = attempt / 2;
  if (!settings.contains("timeouts.call") && call < attempt) call = attempt;
}

/// What libcurl was built with may not exist here; then Python's own places are asked.
void choose_authorities(ClientOptions& options) {
  if (options.tls.insecure || !options.tls.ca_file.empty() || !options.tls.ca_path.empty()) return;
  bool https = false;
  for (const std::string& endpoint : options.endpoints) https = https || endpoint.find("https:") != std::string::npos;
  if (!https) return;
  const py::object found = py::module_::import("mlflowha._authorities").attr("find")();
  if (found.is_none()) return;
  const bool directory = py::module_::import("os.path").attr("isdir")(found).cast<bool>();
  (directory ? options.tls.ca_path : options.tls.ca_file) = to_path(found, "tls.ca_file");
}

}  // namespace

std::string to_path(py::handle value, const char* name) {
  PyObject* bytes = nullptr;
  if (PyUnicode_FSConverter(value.ptr(), &bytes) == 0) {
    PyErr_Clear();
    refuse_type(name, value, "a path");
  }
  return std::string(std::string_view(py::reinterpret_steal<py::bytes>(bytes)));
}

py::str path_str(std::string_view path) {
  PyObject* made = PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size()));
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(made);
}

mlflowha::Duration to_duration(py::handle value, const char* name) {
  py::object number = py::reinterpret_borrow<py::object>(value);
  // What has no such member makes Python raise an error and drop it again: floats aren't asked.
  if (!PyFloat_CheckExact(value.ptr()) && py::hasattr(value, "total_seconds")) number = value.attr("total_seconds")();
  if (PyBool_Check(number.ptr())) refuse_type(name, value, "seconds, as a number or a timedelta");
  const double seconds = to<double>(number, name, "seconds, as a number or a timedelta");
  // Past the end of the type the library says what it allows.
  if (std::isnan(seconds)) refuse(name, value, "seconds, as a number or a timedelta");
  constexpr double most = 1e9;
  return std::chrono::duration_cast<mlflowha::Duration>(
      std::chrono::duration<double>(std::min(most, std::max(-most, seconds))));
}

std::optional<mlflowha::Duration> to_timeout(py::handle value) {
  if (value.is_none()) return std::nullopt;
  return to_duration(value, "timeout");
}

ClientOptions client_options(const py::dict& settings, const py::object& environment) {
  std::optional<Mapping> mapping;
  if (!environment.is_none()) {
    std::map<std::string, std::string, std::less<>> variables;
    for (const auto& [key, value] : environment.cast<py::dict>()) {
      const std::string name = to_text(key, "environment");
      // os.environ has what isn't UTF-8 as halves of surrogate pairs.
      PyObject* bytes = PyUnicode_Check(value.ptr()) ? PyUnicode_EncodeFSDefault(value.ptr()) : nullptr;
      PyErr_Clear();
      const py::object held =
          bytes != nullptr ? py::reinterpret_steal<py::object>(bytes) : py::reinterpret_borrow<py::object>(value);
      variables.emplace(name, to_unshown(held, "environment: " + name));
    }
    mapping.emplace(std::move(variables));
  }
  const mlflowha::Environment& all =
      mapping ? static_cast<const mlflowha::Environment&>(*mapping) : mlflowha::process_environment();
  const WithoutAddresses rest(all);
  ClientOptions options =
      value_of(settings.contains("endpoints") ? ClientOptions::from_env(rest) : ClientOptions::from_env(all));
  apply(client_setters(), options, settings, "Client");
  drop_scheme_prefix(options.endpoints);
  fit_timeouts(options, settings);
  choose_authorities(options);
  options.http.wait_hook = interrupting_hook();
  options.clock = interruptible_clock();
  return options;
}

RunLoggerOptions logger_options(const py::dict& settings) {
  RunLoggerOptions options;
  apply(logger_setters(), options, settings, "RunLogger");
  return options;
}

}  // namespace mlflowha_python
