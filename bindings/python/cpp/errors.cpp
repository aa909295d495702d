#include "errors.hpp"

#include <chrono>
#include <string>

namespace mlflowha_python {

namespace py = pybind11;

namespace {

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

/// Text of an Error is valid UTF-8 except for what a caller put in.
py::str text(std::string_view bytes) {
  PyObject* made = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "backslashreplace");
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(made);
}

}  // namespace

py::object to_exception(const mlflowha::Error& error) {
  py::list attempts;
  for (const mlflowha::AttemptRecord& attempt : error.attempts) {
    attempts.append(py::make_tuple(text(attempt.endpoint), text(attempt.purpose), text(attempt.outcome),
                                   seconds(attempt.started), seconds(attempt.duration), attempt.http_status,
                                   attempt.transport_code, attempt.maybe_applied));
  }
  return py::module_::import("mlflowha.errors")
      .attr("_from_core")(text(to_string(error.kind())), text(to_string(error.code)), static_cast<int>(error.code),
                          error.http_status, text(error.error_code), text(error.message), text(to_string(error.effect)),
                          text(to_string(error.stop_reason)), attempts, text(error.request_id), text(describe(error)));
}

void raise(const mlflowha::Error& error) {
  const py::object exception = to_exception(error);
  PyErr_SetObject(py::type::of(exception).ptr(), exception.ptr());
  throw py::error_already_set();
}

py::object to_object(const std::optional<mlflowha::Error>& error) {
  if (!error) return py::none();
  return to_exception(*error);
}

}  // namespace mlflowha_python
