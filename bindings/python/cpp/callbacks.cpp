#include "callbacks.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <thread>

#include "errors.hpp"

namespace mlflowha_python {

namespace py = pybind11;
using namespace std::chrono_literals;

namespace {

thread_local const Callbacks* telling = nullptr;

[[noreturn]] void sleep_until_the_end() {
  for (;;) (void)::pause();
}

PyObject* callable_or_null(const py::object& callback, const char* name) {
  if (callback.is_none()) return nullptr;
  if (PyCallable_Check(callback.ptr()) == 0) {
    PyErr_Format(PyExc_TypeError, "%s: value is %R, expected a callable", name, callback.ptr());
    throw py::error_already_set();
  }
  return callback.inc_ref().ptr();
}

}  // namespace

bool interpreter_ends() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

Callbacks::Callbacks(const py::object& on_degraded, const py::object& on_recovered)
    : degraded_(callable_or_null(on_degraded, "on_degraded")) {
  try {
    recovered_ = callable_or_null(on_recovered, "on_recovered");
  } catch (...) {
    Py_XDECREF(degraded_);
    throw;
  }
}

Callbacks::~Callbacks() {
  if (interpreter_ends() || Py_IsInitialized() == 0) return;  // what isn't freed now never needs to be
  try {
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_XDECREF(degraded_);
    Py_XDECREF(recovered_);
    PyGILState_Release(state);
  } catch (const abi::__forced_unwind&) {
    sleep_until_the_end();
  }
}

void Callbacks::on_degraded(const mlflowha::Error& why) noexcept {
  tell(degraded_, [&] { return to_exception(why); });
}

void Callbacks::on_recovered(mlflowha::Duration after) noexcept {
  tell(recovered_, [&] { return py::object(py::float_(std::chrono::duration<double>(after).count())); });
}

template <class Argument>
void Callbacks::tell(PyObject* callback, const Argument& argument) noexcept {
  if (callback == nullptr) return;
  begin();
  if (!muted_.load() && !interpreter_ends()) {
    try {
      const PyGILState_STATE state = PyGILState_Ensure();
      telling = this;
      try {
        // No object of pybind11's is alive in the call: it would be released without the GIL if the thread were ended.
        PyObject* given = argument().release().ptr();
        PyObject* result = PyObject_CallFunctionObjArgs(callback, given, nullptr);
        if (result == nullptr) PyErr_WriteUnraisable(callback);
        Py_XDECREF(result);
        Py_DECREF(given);
      } catch (py::error_already_set& error) {
        error.restore();
        PyErr_WriteUnraisable(callback);
      } catch (const std::exception&) {
        PyErr_Clear();  // no memory for the argument
      }
      PyGILState_Release(state);
      telling = nullptr;
    } catch (const abi::__forced_unwind&) {
      sleep_until_the_end();
    }
  }
  end();
}

void Callbacks::begin() noexcept {
  if (pid_.exchange(::getpid()) != ::getpid()) under_way_.store(0);
  ++under_way_;
}

void Callbacks::end() noexcept { --under_way_; }

bool Callbacks::busy() const noexcept { return pid_.load() == ::getpid() && under_way_.load() != 0; }

bool Callbacks::on_this_thread() const noexcept { return telling == this; }

void Callbacks::mute() noexcept {
  muted_.store(true);
  if (on_this_thread()) return;
  for (int i = 0; i < 1000 && busy(); ++i) std::this_thread::sleep_for(1ms);
}

}  // namespace mlflowha_python
