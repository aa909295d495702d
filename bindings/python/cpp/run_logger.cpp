// _core.RunLogger. log_metric is a plain C function with vectorcall, because pybind11's dispatch alone costs as much as
// all that the library does; everything else is called seldom enough.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>
#include <mlflowha/logging/run_logger.hpp>
#include <mlflowha/logging/spool.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "callbacks.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "interrupt.hpp"
#include "module.hpp"
#include "options.hpp"

namespace mlflowha_python {

using mlflowha::Duration;
using mlflowha::RunLogger;

namespace {

using namespace std::chrono_literals;

/// Stopping the threads must not wait for one that wants the GIL.
struct DeleteWithoutGil {
  std::shared_ptr<const Callbacks> callbacks{};  ///< may be null

  void operator()(RunLogger* logger) const {
    if (callbacks && callbacks->busy()) {
      if (callbacks->on_this_thread()) return delete_elsewhere(logger);
      if (interpreter_ends()) return;  // its thread may be asleep for good: callbacks.hpp
    }
    if (PyGILState_Check() != 0) {
      const WithoutGil free;
      delete logger;
    } else {
      delete logger;
    }
  }

  /// What was logged is in the spool before the other thread is left to itself.
  static void delete_elsewhere(RunLogger* logger) {
    const WithoutGil free;
    (void)logger->commit();
    try {
      std::thread([logger] { delete logger; }).detach();
    } catch (const std::system_error&) {
      // no thread to be had: it stays
    }
  }
};

struct Logger {
  std::shared_ptr<RunLogger> logger;
  std::shared_ptr<Callbacks> callbacks;  ///< null: none
  pid_t pid = 0;
  bool ended = false;
  /// log_metric never waits: neither for the disk nor for room.
  bool quick = false;
  std::optional<mlflowha::CloseReport> report;  ///< of the close() that did it
};

/// f() without the GIL; the value or the exception.
template <class F>
auto free_of_gil(F&& f) {
  auto result = [&] {
    const WithoutGil free;
    return f();
  }();
  return value_of(std::move(result));
}

/// As free_of_gil(), of a call that may wait for room: a signal's exception ends the wait. Nothing has been taken then.
template <class F>
auto logged(F&& f, mlflowha::TimePoint until = mlflowha::TimePoint::max()) {
  BlockingCall call(until);
  return call.run([&](const mlflowha::CancellationToken&) { return f(); });
}

std::int64_t timestamp_of(const std::optional<std::int64_t>& timestamp) {
  return timestamp.value_or(mlflowha::now_at_call);
}

// --- log_metric ----------------------------------------------------------------------------------------------------

constexpr const char* quick_name = "mlflowha._core.RunLogger";

struct MetricArguments {
  PyObject* items[4] = {nullptr, nullptr, nullptr, nullptr};  // key, value, step, timestamp
};

bool read_arguments(PyObject* const* args, Py_ssize_t count, PyObject* names, MetricArguments& found) {
  static constexpr const char* known[] = {"key", "value", "step", "timestamp"};
  if (count > 4) {
    PyErr_Format(PyExc_TypeError, "log_metric() takes at most 4 arguments (%zd given)", count);
    return false;
  }
  std::copy(args, args + count, found.items);
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    int at = 0;
    while (at < 4 && PyUnicode_CompareWithASCIIString(name, known[at]) != 0) ++at;
    if (at == 4 || found.items[at] != nullptr) {
      PyErr_Format(PyExc_TypeError, "log_metric() got %s argument '%U'", at == 4 ? "an unexpected" : "twice the", name);
      return false;
    }
    found.items[at] = args[count + i];
  }
  if (found.items[0] == nullptr || found.items[1] == nullptr) {
    PyErr_SetString(PyExc_TypeError, "log_metric() needs key and value");
    return false;
  }
  return true;
}

/// What the package's other calls make of an argument: for what isn't simply a number, and for their exceptions. Null
/// with an exception set.
py::object read_slowly(const char* reader, const char* name, PyObject* item) {
  PyErr_Clear();
  try {
    return py::module_::import("mlflowha._wire").attr(reader)(name, py::handle(item));
  } catch (py::error_already_set& error) {
    error.restore();
    return {};
  }
}

bool read_value(PyObject* item, double& value) {
  value = PyFloat_AsDouble(item);
  if (value != -1.0 || PyErr_Occurred() == nullptr) return true;
  const py::object found = read_slowly("real", "value", item);
  if (found) value = PyFloat_AS_DOUBLE(found.ptr());
  return static_cast<bool>(found);
}

/// A whole number from `least` on; `fallback` for None and what isn't there.
bool read_number(PyObject* item, const char* reader, const char* name, std::int64_t least, std::int64_t fallback,
                 std::int64_t& number) {
  number = fallback;
  if (item == nullptr || item == Py_None) return true;
  if (!PyBool_Check(item)) {
    number = PyLong_AsLongLong(item);
    if (number >= least && (number != -1 || PyErr_Occurred() == nullptr)) return true;
  }
  const py::object found = read_slowly(reader, name, item);
  if (found) number = PyLong_AsLongLong(found.ptr());
  return static_cast<bool>(found);
}

PyObject* log_metric(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  const auto* state = static_cast<const Logger*>(PyCapsule_GetPointer(self, quick_name));
  MetricArguments given;
  if (state == nullptr || !read_arguments(args, count, names, given)) return nullptr;
  if (!PyUnicode_Check(given.items[0])) {
    return PyErr_Format(PyExc_TypeError, "key: value is %R, expected a text", given.items[0]);
  }
  Py_ssize_t size = 0;
  const char* key = PyUnicode_AsUTF8AndSize(given.items[0], &size);
  if (key == nullptr) {  // half of a pair of surrogates, which is refused
    (void)read_slowly("text", "key", given.items[0]);
    return nullptr;
  }
  double value = 0;
  std::int64_t step = 0;
  std::int64_t timestamp = 0;
  if (!read_value(given.items[1], value)) return nullptr;
  if (!read_number(given.items[2], "whole", "step", std::numeric_limits<std::int64_t>::min(), 0, step)) return nullptr;
  if (!read_number(given.items[3], "moment", "timestamp", 0, mlflowha::now_at_call, timestamp)) return nullptr;
  const std::string_view name(key, static_cast<std::size_t>(size));
  try {
    if (state->quick) {
      value_of(state->logger->log_metric(name, value, step, timestamp));
    } else {
      value_of(logged([&] { return state->logger->log_metric(name, value, step, timestamp); }));
    }
  } catch (py::error_already_set& error) {
    error.restore();
    return nullptr;
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyMethodDef log_metric_definition = {"log_metric",
                                     reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&log_metric)),
                                     METH_FASTCALL | METH_KEYWORDS, "log_metric(key, value, step=0, timestamp=None)"};

py::object bound_log_metric(const Logger& self) {
  auto copy = std::make_unique<Logger>(self);
  PyObject* capsule = PyCapsule_New(copy.get(), quick_name, [](PyObject* dying) {
    delete static_cast<Logger*>(PyCapsule_GetPointer(dying, quick_name));
  });
  if (capsule == nullptr) throw py::error_already_set();
  (void)copy.release();
  const auto owner = py::reinterpret_steal<py::object>(capsule);
  PyObject* function = PyCFunction_NewEx(&log_metric_definition, owner.ptr(), nullptr);
  if (function == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(function);
}

// --- the rest ------------------------------------------------------------------------------------------------------

py::dict to_dict(const mlflowha::FlushReport& report) {
  py::dict made;
  made["drained"] = report.drained;
  made["waiting"] = report.waiting;
  made["run_id"] = report.run_id;
  made["refused"] = report.refused;
  return made;
}

py::object dict_or_none(const std::optional<mlflowha::VerifyReport>& report) {
  if (!report) return py::none();
  py::dict made;
  made["done"] = report->done;
  made["checked"] = report->checked;
  made["resent"] = report->resent;
  made["different"] = report->different;
  made["foreign"] = report->foreign;
  made["unchecked"] = report->unchecked;
  made["notes"] = report->notes;
  made["error"] = to_object(report->error);
  return std::move(made);
}

py::dict to_dict(const mlflowha::CloseReport& report) {
  py::dict made;
  made["drained"] = report.drained;
  made["waiting"] = report.waiting;
  made["quarantined"] = report.quarantined;
  made["run_id"] = report.run_id;
  made["refused"] = report.refused;
  made["spool"] = path_str(report.spool);
  made["replay"] = path_str(report.replay);
  made["verified"] = dict_or_none(report.verified);
  made["last_error"] = to_object(report.last_error);
  return made;
}

py::dict to_dict(const mlflowha::LoggerStatus& status) {
  py::dict made;
  made["state"] = std::string(to_string(status.state));
  made["run_id"] = status.run_id;
  made["waiting"] = status.waiting;
  made["lag"] = std::chrono::duration<double>(status.lag).count();
  made["delivered"] = status.delivered;
  made["refused"] = status.refused;
  made["last_error"] = to_object(status.last_error);
  return made;
}

/// flush() and close() wait for the thread that callbacks run on.
void refuse_in_callback(const Logger& self, const char* what) {
  if (!self.callbacks || !self.callbacks->on_this_thread()) return;
  PyErr_Format(PyExc_RuntimeError, "%s() in a callback of the same RunLogger would wait for itself", what);
  throw py::error_already_set();
}

/// RunLogger::flush(), but a signal ends it: there is no token for it, so it is done in parts. Each flush hurries the
/// sender, which must not happen often in an outage; between them only the spool's counters are looked at.
mlflowha::FlushReport flush(const Logger& self, Duration timeout) {
  refuse_in_callback(self, "flush");
  const auto clock = interruptible_clock();
  const auto deadline = mlflowha::Deadline::after(clock->now(), timeout);
  for (;;) {
    BlockingCall call;
    const auto report = value_of(call.run([&](const mlflowha::CancellationToken& token) {
      const bool interruptible = BlockingCall::current() != nullptr;
      const Duration left = deadline.remaining(clock->now());
      auto done = self.logger->flush(interruptible ? std::min<Duration>(left, BlockingCall::interval) : left);
      if (!interruptible || !done || done->drained || !done->refused.empty()) return done;
      const auto again = std::min(deadline.at(), clock->now() + 1s);
      while (clock->now() < again && !token.stop_requested() && self.logger->status().waiting != 0) {
        clock->sleep_until(std::min(again, clock->now() + 10ms), token);
      }
      return done;
    }));
    if (report.drained || !report.refused.empty() || deadline.passed(clock->now())) return report;
  }
}

/// The end of the run, waiting for room until then if that is wanted.
mlflowha::Result<void> end(Logger& self, const std::string& status, std::int64_t end_time, mlflowha::TimePoint until) {
  auto ended = [&]() -> mlflowha::Result<void> {
    try {
      return logged([&] { return self.logger->end(mlflowha::RunStatus::from_name(status), end_time); }, until);
    } catch (const Unwound&) {
      mlflowha::Error error;
      error.code = mlflowha::Errc::storage_full;
      error.message = "there was no room in the spool for the end of the run; not taken";
      return error;
    }
  }();
  self.ended = self.ended || ended.has_value();
  return ended;
}

py::dict close(Logger& self, Duration timeout, const std::string& status) {
  if (self.report) return to_dict(*self.report);
  refuse_in_callback(self, "close");
  const auto clock = mlflowha::system_clock();
  const auto deadline = mlflowha::Deadline::after(clock->now(), timeout);
  // A forked child's close() leaves the run to its parent.
  if (!self.ended && self.pid == ::getpid()) {
    auto ended = end(self, status, mlflowha::now_at_call, deadline.at());
    if (!ended && ended.error().code == mlflowha::Errc::storage_full) {
      (void)flush(self, deadline.remaining(clock->now()));  // what is delivered makes room
      ended = end(self, status, mlflowha::now_at_call, deadline.at());
    }
    value_of(std::move(ended));  // the library's close() would call the run finished
  }
  (void)flush(self, deadline.remaining(clock->now()));
  // What time is left is for reading the run back.
  const Duration left = deadline.remaining(clock->now());
  BlockingCall call;
  std::optional<mlflowha::CloseReport> report;  // kept also when a signal's exception is raised in its place
  try {
    auto closed = call.run([&](const mlflowha::CancellationToken& token) {
      auto done = self.logger->close(left > 0s ? std::max<Duration>(left, 100ms) : left, token);
      if (done) report = *done;
      return done;
    });
    (void)value_of(std::move(closed));
  } catch (...) {
    self.report = std::move(report);
    throw;
  }
  self.report = std::move(report);
  return to_dict(*self.report);
}

Logger start(const mlflowha::Client& client, const py::dict& settings, const py::object& on_degraded,
             const py::object& on_recovered) {
  mlflowha::RunLoggerOptions options = logger_options(settings);
  Logger made;
  if (!on_degraded.is_none() || !on_recovered.is_none()) {
    made.callbacks = std::make_shared<Callbacks>(on_degraded, on_recovered);
    options.observer = made.callbacks;
  }
  made.quick = options.durability != mlflowha::Durability::each && options.when_full == mlflowha::WhenFull::spill;
  made.pid = ::getpid();
  auto started = free_of_gil([&] { return RunLogger::start(client, std::move(options)); });
  made.logger = std::shared_ptr<RunLogger>(new RunLogger(std::move(started)), DeleteWithoutGil{made.callbacks});
  return made;
}

mlflowha::DatasetInput to_input(const py::dict& dataset, const std::vector<std::pair<std::string, std::string>>& tags) {
  mlflowha::DatasetInput input;
  const auto text = [&](const char* name) {
    return dataset.contains(name) ? dataset[name].cast<std::string>() : std::string();
  };
  input.dataset.name = text("name");
  input.dataset.digest = text("digest");
  input.dataset.source_type = text("source_type");
  input.dataset.source = text("source");
  input.dataset.schema = text("schema");
  input.dataset.profile = text("profile");
  for (const auto& [key, value] : tags) input.tags.push_back({.key = key, .value = value});
  return input;
}

}  // namespace

void add_run_logger(py::module_& module) {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  py::class_<Logger>(module, "RunLogger", "mlflowha::RunLogger; see bindings/python/README.md.")
      .def(py::init(&start), py::arg("client"), py::arg("settings") = py::dict(), py::arg("on_degraded") = py::none(),
           py::arg("on_recovered") = py::none())
      .def_property_readonly("log_metric", &bound_log_metric)
      .def(
          "log_metrics",
          [](const Logger& self, const std::vector<std::pair<std::string, double>>& metrics, std::int64_t step,
             const std::optional<std::int64_t>& timestamp) {
            std::vector<mlflowha::Metric> points;
            points.reserve(metrics.size());
            for (const auto& [key, value] : metrics) {
              points.push_back({.key = key, .value = value, .timestamp = timestamp_of(timestamp), .step = step});
            }
            value_of(logged([&] { return self.logger->log_metrics(std::move(points)); }));
          },
          py::arg("metrics"), py::arg("step") = 0, py::arg("timestamp") = py::none())
      .def(
          "log_points",
          [](const Logger& self, const std::vector<py::tuple>& points) {
            std::vector<mlflowha::Metric> list;
            list.reserve(points.size());
            for (const py::tuple& cells : points) {
              if (cells.size() != 7) throw py::value_error("points: expected tuples of 7");
              list.push_back({.key = cells[0].cast<std::string>(),
                              .value = cells[1].cast<double>(),
                              .timestamp = cells[2].cast<std::int64_t>(),
                              .step = cells[3].cast<std::int64_t>(),
                              .dataset_name = cells[4].cast<std::string>(),
                              .dataset_digest = cells[5].cast<std::string>(),
                              .model_id = cells[6].cast<std::string>()});
            }
            value_of(logged([&] { return self.logger->log_metrics(std::move(list)); }));
          },
          py::arg("points"), "(key, value, timestamp, step, dataset_name, dataset_digest, model_id) of each")
      .def(
          "log_params",
          [](const Logger& self, const Pairs& params) {
            std::vector<mlflowha::Param> list;
            for (const auto& [key, value] : params) list.push_back({.key = key, .value = value});
            value_of(logged([&] { return self.logger->log_params(std::move(list)); }));
          },
          py::arg("params"))
      .def(
          "set_tags",
          [](const Logger& self, const Pairs& tags) {
            std::vector<mlflowha::RunTag> list;
            for (const auto& [key, value] : tags) list.push_back({.key = key, .value = value});
            value_of(logged([&] { return self.logger->set_tags(std::move(list)); }));
          },
          py::arg("tags"))
      .def(
          "log_input",
          [](const Logger& self, const py::dict& dataset, const Pairs& tags) {
            auto input = to_input(dataset, tags);
            value_of(logged([&] { return self.logger->log_input(std::move(input)); }));
          },
          py::arg("dataset"), py::arg("tags") = Pairs())
      .def(
          "log_artifact",
          [](const Logger& self, const std::string& local_path, const std::string& artifact_path) {
            value_of(logged([&] { return self.logger->log_artifact(local_path, artifact_path); }));
          },
          py::arg("local_path"), py::arg("artifact_path") = "")
      .def(
          "log_artifacts",
          [](const Logger& self, const std::string& local_dir, const std::string& artifact_path) {
            value_of(logged([&] { return self.logger->log_artifacts(local_dir, artifact_path); }));
          },
          py::arg("local_dir"), py::arg("artifact_path") = "")
      .def(
          "end",
          [](Logger& self, const std::string& status, const std::optional<std::int64_t>& end_time,
             const py::object& timeout) {
            const auto limit = to_timeout(timeout);
            const auto now = mlflowha::system_clock()->now();
            const auto until = limit ? mlflowha::Deadline::after(now, *limit).at() : mlflowha::TimePoint::max();
            value_of(end(self, status, timestamp_of(end_time), until));
          },
          py::arg("status") = "FINISHED", py::arg("end_time") = py::none(), py::arg("timeout") = py::none())
      .def("mute",
           [](const Logger& self) {
             const WithoutGil free;
             if (self.callbacks) self.callbacks->mute();
           })
      .def("commit", [](const Logger& self) { free_of_gil([&] { return self.logger->commit(); }); })
      .def(
          "flush",
          [](const Logger& self, const py::object& timeout) {
            return to_dict(flush(self, to_duration(timeout, "timeout")));
          },
          py::arg("timeout"))
      .def(
          "close",
          [](Logger& self, const py::object& timeout, const std::string& status) {
            return close(self, to_duration(timeout, "timeout"), status);
          },
          py::arg("timeout"), py::arg("status") = "FINISHED")
      .def_property_readonly("closed", [](const Logger& self) { return self.report.has_value(); })
      .def("status",
           [](const Logger& self) {
             mlflowha::LoggerStatus status;
             {
               const WithoutGil free;
               status = self.logger->status();
             }
             return to_dict(status);
           })
      .def_property_readonly("local_id", [](const Logger& self) { return self.logger->local_id(); });

  module.def(
      "list_spools",
      [](const py::object& given) {
        const std::string directory = to_path(given, "directory");
        std::vector<std::pair<py::str, bool>> list;
        for (const mlflowha::SpoolFile& file : free_of_gil([&] { return mlflowha::Spool::list(directory); })) {
          list.emplace_back(path_str(file.path), file.in_use);
        }
        return list;
      },
      py::arg("directory"), "(path, whether its owner lives) of each spool file.");
}

}  // namespace mlflowha_python
