// mlflowha._testing: the C++ test doubles. A module of its own, so that programs which don't test load none of it.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>
#include <mlflowha/core/uri.hpp>
#include <mlflowha/testing/fake_server.hpp>
#include <mlflowha/testing/fault_proxy.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "gil.hpp"

namespace mlflowha_python {

namespace py = pybind11;
namespace testing = mlflowha::testing;

namespace {

using testing::FakeBackend;
using testing::FakeServer;
using testing::FaultProxy;

testing::FaultScript script_of(std::string_view text) { return value_of(testing::FaultScript::parse(text)); }

testing::ServerVersion release_of(int major) {
  if (major != 2 && major != 3)
    throw py::value_error("mlflow: value is " + std::to_string(major) + ", expected 2 or 3");
  return major == 2 ? testing::ServerVersion::v2 : testing::ServerVersion::v3;
}

mlflowha::Duration latency_of(double value) {
  if (!(value >= 0 && value <= 86400)) {
    throw py::value_error("latency: value is " + std::to_string(value) + ", expected 0..86400 seconds");
  }
  return std::chrono::duration_cast<mlflowha::Duration>(std::chrono::duration<double>(value));
}

/// Deletes in the process that made it alone: the threads that would have to end aren't in a forked child.
struct DeleteAtHome {
  pid_t home = ::getpid();
  template <class T>
  void operator()(T* made) const {
    if (home != ::getpid()) return;
    const WithoutGil free;
    delete made;
  }
};

using ServerHolder = std::unique_ptr<FakeServer, DeleteAtHome>;
using ProxyHolder = std::unique_ptr<FaultProxy, DeleteAtHome>;

/// What the C++ side throws for a port that can't be bound.
template <class F>
auto guarded(F&& f) {
  try {
    return f();
  } catch (const mlflowha::Exception& exception) {
    raise(exception.error());
  }
}

std::vector<py::dict> to_dicts(const std::vector<testing::FaultCount>& counts) {
  std::vector<py::dict> list;
  for (const testing::FaultCount& count : counts) {
    py::dict one;
    one["line"] = count.line;
    one["rule"] = count.rule;
    one["matched"] = count.matched;
    one["fired"] = count.fired;
    list.push_back(std::move(one));
  }
  return list;
}

py::dict to_dict(const testing::BackendCounts& counts) {
  py::dict made;
  made["requests"] = counts.requests;
  made["experiments"] = counts.experiments;
  made["runs"] = counts.runs;
  made["model_versions"] = counts.model_versions;
  made["logged_models"] = counts.logged_models;
  made["points"] = counts.points;
  made["repeated_points"] = counts.repeated_points;
  made["by_path"] = counts.by_path;
  return made;
}

ServerHolder make_server(std::shared_ptr<FakeBackend> backend, int port, const std::string& faults, std::uint64_t seed,
                         double latency, const std::string& username, const std::string& password,
                         const std::string& bearer) {
  if (port < 0 || port > UINT16_MAX)
    throw py::value_error("port: value is " + std::to_string(port) + ", expected 0..65535");
  testing::FakeServerOptions options;
  options.port = static_cast<std::uint16_t>(port);
  options.faults = script_of(faults);
  options.seed = seed;
  options.latency = latency_of(latency);
  options.username = username;
  options.password = password;
  options.bearer = bearer;
  return guarded([&] { return ServerHolder(new FakeServer(std::move(backend), options)); });
}

ProxyHolder make_proxy(const std::string& upstream, int port, const std::string& faults, std::uint64_t seed) {
  if (port < 0 || port > UINT16_MAX)
    throw py::value_error("port: value is " + std::to_string(port) + ", expected 0..65535");
  testing::FaultProxyOptions options;
  options.port = static_cast<std::uint16_t>(port);
  options.faults = script_of(faults);
  options.seed = seed;
  const mlflowha::Uri uri = value_of(mlflowha::parse_uri(upstream));
  return guarded([&] { return ProxyHolder(new FaultProxy(uri, std::move(options))); });
}

}  // namespace

}  // namespace mlflowha_python

PYBIND11_MODULE(_testing, module) {
  using namespace mlflowha_python;
  using Free = py::call_guard<WithoutGil>;
  module.doc() = "mlflowha's test doubles. Private: import mlflowha.testing.";

  py::class_<FakeBackend, std::shared_ptr<FakeBackend>>(module, "Backend")
      .def(py::init([](int mlflow, std::uint64_t seed) {
             testing::BackendOptions options;
             options.version = release_of(mlflow);
             options.seed = seed;
             return std::make_shared<FakeBackend>(options);
           }),
           py::arg("mlflow") = 3, py::arg("seed") = 1)
      .def(
          "set_database",
          [](FakeBackend& self, const std::string& state) {
            using State = testing::DatabaseState;
            if (state != "up" && state != "down" && state != "read_only") {
              throw py::value_error("state: value is \"" + state + "\", expected up, down or read_only");
            }
            self.set_database(state == "up" ? State::up : state == "down" ? State::down : State::read_only);
          },
          py::arg("state"))
      .def("counts", [](const FakeBackend& self) { return to_dict(self.counts()); })
      .def("runs",
           [](const FakeBackend& self) {
             std::vector<std::string> ids;
             for (const testing::StoredRun& run : self.runs()) ids.push_back(run.run_id);
             return ids;
           })
      .def(
          "points",
          [](const FakeBackend& self, const std::string& run_id, const std::string& key) {
            std::vector<std::tuple<std::int64_t, std::int64_t, double>> points;
            for (const testing::StoredPoint& point : self.points(run_id, key)) {
              const double value = point.is_nan ? std::numeric_limits<double>::quiet_NaN() : point.value;
              points.emplace_back(point.timestamp, point.step, value);
            }
            return points;
          },
          py::arg("run_id"), py::arg("key"))
      .def("runs_sharing_tag", &FakeBackend::runs_sharing_tag, py::arg("key"));

  py::class_<FakeServer, ServerHolder>(module, "Server")
      .def(py::init(&make_server), py::arg("backend"), py::kw_only(), py::arg("port") = 0, py::arg("faults") = "",
           py::arg("seed") = 1, py::arg("latency") = 0.0, py::arg("username") = "", py::arg("password") = "",
           py::arg("bearer") = "")
      .def_property_readonly("port", &FakeServer::port)
      .def_property_readonly("url", &FakeServer::url)
      .def_property_readonly("running", &FakeServer::running)
      .def("stop", &FakeServer::stop, Free())
      .def("kill", &FakeServer::kill, Free())
      .def("start", [](FakeServer& self) { guarded([&] { self.start(); }); })
      .def("pause", &FakeServer::pause, Free())
      .def("resume", &FakeServer::resume, Free())
      .def(
          "set_release", [](FakeServer& self, int mlflow) { self.set_version(release_of(mlflow)); }, py::arg("mlflow"))
      .def(
          "set_faults", [](FakeServer& self, const std::string& text) { self.set_faults(script_of(text)); },
          py::arg("faults"))
      .def("fault_counts", [](const FakeServer& self) { return to_dicts(self.fault_counts()); })
      .def("requests", &FakeServer::requests)
      .def("connections", &FakeServer::connections);

  py::class_<FaultProxy, ProxyHolder>(module, "Proxy")
      .def(py::init(&make_proxy), py::arg("upstream"), py::kw_only(), py::arg("port") = 0, py::arg("faults") = "",
           py::arg("seed") = 1)
      .def_property_readonly("port", &FaultProxy::port)
      .def_property_readonly("url", &FaultProxy::url)
      .def("stop", &FaultProxy::stop, Free())
      .def("kill", &FaultProxy::kill, Free())
      .def("start", [](FaultProxy& self) { guarded([&] { self.start(); }); })
      .def("pause", &FaultProxy::pause, Free())
      .def("resume", &FaultProxy::resume, Free())
      .def(
          "set_faults", [](FaultProxy& self, const std::string& text) { self.set_faults(script_of(text)); },
          py::arg("faults"))
      .def("fault_counts", [](const FaultProxy& self) { return to_dicts(self.fault_counts()); })
      .def("requests", &FaultProxy::requests)
      .def("connections", &FaultProxy::connections)
      .def("forwarded", &FaultProxy::forwarded);
}
