#ifndef MLFLOWHA_PYTHON_CALLBACKS_HPP
#define MLFLOWHA_PYTHON_CALLBACKS_HPP

// Callbacks: Python functions as the observer of a RunLogger, called with the GIL on the logger's own thread.
//
// What could go wrong, and what is done about it:
//   - A callback raises: sys.unraisablehook gets it.
//   - The interpreter ends while the thread wants the GIL: before Python 3.14 that ends the thread by pthread_exit(),
//     which would unwind a noexcept function. The thread sleeps instead (gil.hpp), and the logger is then left alone:
//     taking it down would wait for the thread. At exit mute() comes first, so this is rare.
//   - A callback drops the last reference to its logger, or the garbage collector does so in a callback: the logger is
//     taken down on another thread, because its own can't wait for itself.
//   - A fork: only the child's own callbacks count as under way there.

#include <pybind11/pybind11.h>
#include <mlflowha/logging/run_logger.hpp>

#include <sys/types.h>

#include <atomic>

namespace mlflowha_python {

/// True once the interpreter has begun to end: then only the thread that ends it gets the GIL.
[[nodiscard]] bool interpreter_ends() noexcept;

class Callbacks final : public mlflowha::LoggerObserver {
 public:
  /// Callables or None. With the GIL held.
  Callbacks(const pybind11::object& on_degraded, const pybind11::object& on_recovered);
  ~Callbacks() override;
  Callbacks(const Callbacks&) = delete;
  Callbacks& operator=(const Callbacks&) = delete;

  void on_degraded(const mlflowha::Error& why) noexcept override;
  void on_recovered(mlflowha::Duration after) noexcept override;

  /// Calls nothing from now on, and waits a second at most for a call that is under way. Without the GIL.
  void mute() noexcept;
  /// Whether a call is under way in this process.
  [[nodiscard]] bool busy() const noexcept;
  /// Whether this thread is in one of these callbacks.
  [[nodiscard]] bool on_this_thread() const noexcept;

 private:
  template <class Argument>
  void tell(PyObject* callback, const Argument& argument) noexcept;
  void begin() noexcept;
  void end() noexcept;

  PyObject* degraded_ = nullptr;  // null: nobody wants to know
  PyObject* recovered_ = nullptr;
  std::atomic<bool> muted_{false};
  std::atomic<int> under_way_{0};
  std::atomic<pid_t> pid_{0};  // whose under_way_ it is
};

}  // namespace mlflowha_python

#endif
