#include "interrupt.hpp"

#include <algorithm>
#include <utility>

namespace mlflowha_python {

namespace {

unsigned long main_thread = 0;
thread_local BlockingCall* innermost = nullptr;

class Hook final : public mlflowha::WaitHook {
 public:
  void waiting() noexcept override {
    if (BlockingCall* call = BlockingCall::current()) call->look();
  }
};

class Clock final : public mlflowha::Clock {
 public:
  [[nodiscard]] mlflowha::TimePoint now() const noexcept override { return system_->now(); }
  [[nodiscard]] mlflowha::WallTime wall_now() const noexcept override { return system_->wall_now(); }
  void sleep_until(mlflowha::TimePoint until, const mlflowha::CancellationToken& cancel) override {
    BlockingCall* call = BlockingCall::current();
    if (call == nullptr) return system_->sleep_until(until, cancel);
    for (auto now = system_->now(); now < until && !cancel.stop_requested(); now = system_->now()) {
      system_->sleep_until(std::min(until, now + BlockingCall::interval), cancel);
      call->look();
      if (call->over(system_->now())) throw Unwound();
    }
  }

 private:
  const std::shared_ptr<mlflowha::Clock> system_ = mlflowha::system_clock();
};

}  // namespace

BlockingCall::BlockingCall(const Cancel* cancel) {
  looks_ = PyThread_get_thread_ident() == main_thread;
  if (cancel != nullptr) {
    source_ = cancel->source;
  } else if (looks_) {
    source_.emplace();
  }
  if (!looks_) return;
  outer_ = std::exchange(innermost, this);
  next_ = std::chrono::steady_clock::now() + interval;
}

BlockingCall::BlockingCall(mlflowha::TimePoint until) : until_(until) {
  looks_ = PyThread_get_thread_ident() == main_thread;
  outer_ = std::exchange(innermost, this);
  next_ = std::chrono::steady_clock::now() + interval;
}

BlockingCall::~BlockingCall() {
  if (!looks_ && !until_) return;
  innermost = outer_;
  Py_XDECREF(type_);
  Py_XDECREF(value_);
  Py_XDECREF(trace_);
}

BlockingCall* BlockingCall::current() noexcept { return innermost; }

void BlockingCall::look() noexcept {
  if (!looks_) return;
  const auto now = std::chrono::steady_clock::now();
  // A millisecond early is on time: poll() and the clock may both wake a little before what they were told.
  if (now + std::chrono::milliseconds(1) < next_ || type_ != nullptr) return;
  const PyGILState_STATE state = PyGILState_Ensure();
  if (PyErr_CheckSignals() != 0) {
    PyErr_Fetch(&type_, &value_, &trace_);
    if (source_) (void)source_->request_stop();
  }
  PyGILState_Release(state);
  next_ = std::chrono::steady_clock::now() + interval;
}

void BlockingCall::rethrow() {
  if (type_ == nullptr) return;
  PyErr_Restore(std::exchange(type_, nullptr), std::exchange(value_, nullptr), std::exchange(trace_, nullptr));
  throw py::error_already_set();
}

std::shared_ptr<mlflowha::WaitHook> interrupting_hook() {
  static const auto hook = std::make_shared<Hook>();
  return hook;
}

std::shared_ptr<mlflowha::Clock> interruptible_clock() {
  static const auto clock = std::make_shared<Clock>();
  return clock;
}

void note_main_thread() {
  main_thread = py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();
}

}  // namespace mlflowha_python
