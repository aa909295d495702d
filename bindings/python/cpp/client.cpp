// _core.Client: mlflowha::Client for the façade and the MLflow plugin. Requests and answers are JSON text.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/api/json_call.hpp>
#include <mlflowha/client/client.hpp>
#include <mlflowha/logging/replayer.hpp>

#include <optional>
#include <string>
#include <vector>

#include "errors.hpp"
#include "gil.hpp"
#include "interrupt.hpp"
#include "module.hpp"
#include "options.hpp"

namespace mlflowha_python {

using mlflowha::CallOptions;
using mlflowha::Client;

namespace {

/// f(CallOptions) without the GIL; the value or the exception.
template <class F>
auto perform(const py::object& timeout, const Cancel* cancel, F&& f, const std::string& request_tag = {}) {
  CallOptions options;
  options.request_tag = request_tag;
  options.timeout = to_timeout(timeout);
  BlockingCall call(cancel);
  return value_of(call.run([&](const mlflowha::CancellationToken& token) {
    options.cancel = token;
    return f(options);
  }));
}

py::str to_str(const std::string& text) {
  PyObject* made = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(made);
}

template <class Enum>
Enum word_of(std::string_view word, std::initializer_list<std::pair<std::string_view, Enum>> words, const char* what) {
  std::string known;
  for (const auto& [name, value] : words) {
    if (name == word) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  throw py::value_error(std::string(what) + ": value is \"" + std::string(word) + "\", expected one of " + known);
}

mlflowha::CustomOperation custom(std::string_view method, std::string path,
                                 const std::optional<std::string>& idempotency,
                                 const std::vector<std::string>& already_done, const std::string& since,
                                 std::string_view answer) {
  using mlflowha::Idempotency;
  using mlflowha::Method;
  using mlflowha::api::AnswerKind;
  mlflowha::CustomOperation operation;
  operation.method = word_of<Method>(method,
                                     {{"GET", Method::get},
                                      {"POST", Method::post},
                                      {"PUT", Method::put},
                                      {"PATCH", Method::patch},
                                      {"DELETE", Method::del}},
                                     "method");
  operation.path = std::move(path);
  if (idempotency) {
    operation.idempotency = word_of<Idempotency>(*idempotency,
                                                 {{"read", Idempotency::read},
                                                  {"same_again", Idempotency::same_again},
                                                  {"once", Idempotency::once},
                                                  {"never", Idempotency::never}},
                                                 "idempotency");
  }
  if (already_done.size() > operation.already_done.size()) {
    throw py::value_error("already_done: expected at most two codes");
  }
  std::copy(already_done.begin(), already_done.end(), operation.already_done.begin());
  if (!since.empty()) operation.since = value_of(mlflowha::parse_server_version(since));
  operation.answer = word_of<AnswerKind>(
      answer, {{"json", AnswerKind::json}, {"text", AnswerKind::text}, {"bytes", AnswerKind::bytes}}, "answer");
  return operation;
}

// (key, value, timestamp, step[, dataset_name, dataset_digest, model_id])
std::vector<mlflowha::Metric> to_metrics(const py::sequence& rows) {
  std::vector<mlflowha::Metric> metrics;
  metrics.reserve(rows.size());
  for (const py::handle row : rows) {
    const auto cells = py::cast<py::tuple>(row);
    if (cells.size() != 4 && cells.size() != 7) {
      throw py::value_error("metrics: expected tuples of 4 or 7, found one of " + std::to_string(cells.size()));
    }
    mlflowha::Metric& metric = metrics.emplace_back();
    metric.key = cells[0].cast<std::string>();
    metric.value = cells[1].cast<double>();
    if (!cells[2].is_none()) metric.timestamp = cells[2].cast<std::int64_t>();
    metric.step = cells[3].cast<std::int64_t>();
    if (cells.size() == 4) continue;
    metric.dataset_name = cells[4].cast<std::string>();
    metric.dataset_digest = cells[5].cast<std::string>();
    metric.model_id = cells[6].cast<std::string>();
  }
  return metrics;
}

template <class Pair>
std::vector<Pair> to_pairs(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::vector<Pair> pairs;
  pairs.reserve(rows.size());
  for (const auto& [key, value] : rows) pairs.push_back({.key = key, .value = value});
  return pairs;
}

py::dict to_dict(const mlflowha::ReconcileReport& report) {
  py::list twins;
  for (const mlflowha::Twin& twin : report.twins) {
    py::dict one;
    one["operation"] = twin.operation;
    one["kept_id"] = twin.kept_id;
    one["twin_id"] = twin.twin_id;
    one["request_tag"] = twin.request_tag;
    one["removed"] = twin.removed;
    twins.append(one);
  }
  py::dict made;
  made["looked_after"] = report.looked_after;
  made["twins"] = twins;
  return made;
}

py::str replay(const Client& client, const py::object& directory, bool dry_run, const py::object& patience,
               const py::object& timeout, const Cancel* cancel) {
  mlflowha::ReplayOptions options;
  options.directory = to_path(directory, "directory");
  options.dry_run = dry_run;
  options.patience = to_duration(patience, "patience");
  if (const auto limit = to_timeout(timeout)) options.timeout = *limit;
  BlockingCall call(cancel);
  return to_str(to_json(value_of(call.run([&](const mlflowha::CancellationToken& token) {
    options.cancel = token;
    return mlflowha::replay(client, options);
  }))));
}

}  // namespace

void add_client(py::module_& module) {
  py::class_<Cancel>(module, "Cancel", "Ends calls from another thread.")
      .def(py::init<>())
      .def(
          "cancel", [](Cancel& self) { (void)self.source.request_stop(); }, "Ends every call that has this object.")
      .def_property_readonly("cancelled", [](const Cancel& self) { return self.source.stop_requested(); });

  const auto seconds = py::arg("timeout") = py::none();
  const auto ends = py::arg("cancel") = py::none();
  using Timeout = const py::object&;
  py::class_<Client>(module, "Client", "mlflowha::Client; see bindings/python/README.md.")
      .def(py::init([](const py::dict& settings, const py::object& environment) {
             return value_of(Client::create(client_options(settings, environment)));
           }),
           py::arg("settings") = py::dict(), py::arg("environment") = py::none())
      .def_static(
          "from_env",
          [](const std::optional<std::string>& uri) {
            py::dict settings;
            if (uri) settings["endpoints"] = *uri;
            return value_of(Client::create(client_options(settings, py::none())));
          },
          py::arg("uri") = py::none())
      .def(
          "call",
          [](const Client& self, const std::string& operation, const std::string& body, Timeout timeout,
             const Cancel* cancel, const std::string& request_tag) {
            return to_str(perform(
                timeout, cancel, [&](const CallOptions& options) { return self.call(operation, body, options); },
                request_tag));
          },
          py::arg("operation"), py::arg("body") = "{}", seconds, ends, py::arg("request_tag") = "")
      .def(
          "call_bytes",
          [](const Client& self, const std::string& operation, const std::string& body, Timeout timeout,
             const Cancel* cancel) {
            return py::bytes(perform(timeout, cancel,
                                     [&](const CallOptions& options) { return self.call(operation, body, options); }));
          },
          py::arg("operation"), py::arg("body") = "{}", seconds, ends)
      .def(
          "call_custom",
          [](const Client& self, const std::string& method, const std::string& path, const std::string& body,
             const std::optional<std::string>& idempotency, const std::vector<std::string>& already_done,
             const std::string& since, const std::string& answer, Timeout timeout, const Cancel* cancel) -> py::object {
            const auto operation = custom(method, path, idempotency, already_done, since, answer);
            const std::string got = perform(
                timeout, cancel, [&](const CallOptions& options) { return self.call(operation, body, options); });
            if (answer == "bytes") return py::bytes(got);
            return to_str(got);
          },
          py::arg("method"), py::arg("path"), py::arg("body") = "{}", py::kw_only(),
          py::arg("idempotency") = py::none(), py::arg("already_done") = std::vector<std::string>(),
          py::arg("since") = "", py::arg("answer") = "json", seconds, ends)
      .def(
          "upload_artifact",
          [](const Client& self, const std::string& path, const py::bytes& content, Timeout timeout,
             const Cancel* cancel) {
            mlflowha::UploadArtifact request;
            request.artifact_path = path;
            request.content = std::string(std::string_view(content));
            perform(timeout, cancel,
                    [&](const CallOptions& options) { return self.upload_artifact(request, options); });
          },
          py::arg("path"), py::arg("content"), seconds, ends)
      .def(
          "log_artifact",
          [](const Client& self, const std::string& run_id, const std::string& local_path,
             const std::string& artifact_path, Timeout timeout, const Cancel* cancel) {
            perform(timeout, cancel, [&](const CallOptions& options) {
              return self.log_artifact(run_id, local_path, artifact_path, options);
            });
          },
          py::arg("run_id"), py::arg("local_path"), py::arg("artifact_path") = "", seconds, ends)
      .def(
          "log_artifacts",
          [](const Client& self, const std::string& run_id, const std::string& local_dir,
             const std::string& artifact_path, Timeout timeout, const Cancel* cancel) {
            perform(timeout, cancel, [&](const CallOptions& options) {
              return self.log_artifacts(run_id, local_dir, artifact_path, options);
            });
          },
          py::arg("run_id"), py::arg("local_dir"), py::arg("artifact_path") = "", seconds, ends)
      .def(
          "put_artifact",
          [](const Client& self, const std::string& root_uri, const std::string& path, const std::string& local_file,
             Timeout timeout, const Cancel* cancel) {
            perform(timeout, cancel,
                    [&](const CallOptions& options) { return self.put_artifact(root_uri, path, local_file, options); });
          },
          py::arg("root_uri"), py::arg("path"), py::arg("local_file"), seconds, ends)
      .def(
          "fetch_artifact",
          [](const Client& self, const std::string& root_uri, const std::string& path, const std::string& local_file,
             Timeout timeout, const Cancel* cancel) {
            perform(timeout, cancel, [&](const CallOptions& options) {
              return self.fetch_artifact(root_uri, path, local_file, options);
            });
          },
          py::arg("root_uri"), py::arg("path"), py::arg("local_file"), seconds, ends)
      .def(
          "log_batch",
          [](const Client& self, const std::string& run_id, const py::sequence& metrics,
             const std::vector<std::pair<std::string, std::string>>& params,
             const std::vector<std::pair<std::string, std::string>>& tags, Timeout timeout, const Cancel* cancel) {
            auto points = to_metrics(metrics);
            auto all_params = to_pairs<mlflowha::Param>(params);
            auto all_tags = to_pairs<mlflowha::RunTag>(tags);
            perform(timeout, cancel, [&](const CallOptions& options) {
              return self.log_batch(run_id, std::move(points), std::move(all_params), std::move(all_tags), options);
            });
          },
          py::arg("run_id"), py::arg("metrics") = py::list(),
          py::arg("params") = std::vector<std::pair<std::string, std::string>>(),
          py::arg("tags") = std::vector<std::pair<std::string, std::string>>(), seconds, ends)
      .def(
          "reconcile",
          [](const Client& self, Timeout timeout, const Cancel* cancel) {
            return to_dict(
                perform(timeout, cancel, [&](const CallOptions& options) { return self.reconcile(options); }));
          },
          seconds, ends)
      .def("replay", &replay, py::arg("directory"), py::arg("dry_run") = false, py::arg("patience") = 120.0, seconds,
           ends)
      .def("health",
           [](const Client& self) {
             mlflowha::HealthSnapshot snapshot;
             {
               const WithoutGil free;
               snapshot = self.health();
             }
             return to_str(to_json(snapshot));
           })
      .def(
          "reset_circuit_breaker",
          [](const Client& self, const std::string& endpoint) { value_of(self.reset_circuit_breaker(endpoint)); },
          py::arg("endpoint") = "")
      .def(
          "force_open", [](const Client& self, const std::string& endpoint) { value_of(self.force_open(endpoint)); },
          py::arg("endpoint") = "")
      .def(
          "set_breaker_override",
          [](const Client& self, const std::string& order, const std::string& endpoint) {
            using Override = mlflowha::BreakerOverride;
            value_of(self.set_breaker_override(word_of<Override>(order,
                                                                 {{"none", Override::none},
                                                                  {"forced_open", Override::forced_open},
                                                                  {"disabled", Override::disabled},
                                                                  {"metrics_only", Override::metrics_only}},
                                                                 "order"),
                                               endpoint));
          },
          py::arg("order"), py::arg("endpoint") = "")
      .def_property_readonly("endpoints",
                             [](const Client& self) {
                               std::vector<std::string> list;
                               for (const mlflowha::Uri& uri : self.config().endpoints()) list.push_back(uri.base());
                               return list;
                             })
      .def_property_readonly("warnings", [](const Client& self) { return self.config().options().warnings; })
      .def_property_readonly("ca_file",
                             [](const Client& self) { return path_str(self.config().options().tls.ca_file); })
      .def("settings", [](const Client& self) {
        std::vector<std::tuple<std::string, std::string, py::str>> list;
        for (const mlflowha::SettingOrigin& setting : self.config().settings()) {
          list.emplace_back(setting.setting, setting.source, path_str(setting.value));
        }
        return list;
      });
}

}  // namespace mlflowha_python
