#ifndef MLFLOWHA_PYTHON_INTERRUPT_HPP
#define MLFLOWHA_PYTHON_INTERRUPT_HPP

// BlockingCall: the GIL is free while a call waits, and Ctrl-C still ends it. A call of Python's main thread looks for
// signals every 40 ms, through the transport's WaitHook and the clock; when a signal's handler raises, the call's token
// is triggered and the exception is raised instead of the call's result. Calls that take less time never look.

#include <pybind11/pybind11.h>
#include <mlflowha/core/cancellation.hpp>
#include <mlflowha/core/clock.hpp>
#include <mlflowha/http/curl_transport.hpp>

#include <chrono>
#include <memory>
#include <optional>

#include "gil.hpp"

namespace mlflowha_python {

namespace py = pybind11;

/// Ends calls from another thread: `_core.Cancel`.
struct Cancel {
  mlflowha::CancellationSource source;
};

/// What the clock throws out of a wait that has neither a token nor an end.
struct Unwound {};

/// One blocking call of this thread. Made and destroyed with the GIL held.
class BlockingCall {
 public:
  explicit BlockingCall(const Cancel* cancel = nullptr);
  /// A call that may wait for room in a spool (WhenFull::block), which only its clock can end: by a signal, or at
  /// `until`. run() then throws Unwound. Nothing else in such a call sleeps by that clock.
  explicit BlockingCall(mlflowha::TimePoint until);
  ~BlockingCall();
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;

  [[nodiscard]] mlflowha::CancellationToken token() const {
    return source_ ? source_->get_token() : mlflowha::CancellationToken();
  }
  /// f(token) without the GIL. Throws what a signal's handler raised meanwhile.
  template <class F>
  auto run(F&& f) {
    try {
      auto result = [&] {
        const WithoutGil free;
        return f(token());
      }();
      rethrow();
      return result;
    } catch (const Unwound&) {
      rethrow();
      throw;
    }
  }

  /// Looks for signals if it is time to. Without the GIL, on the call's own thread.
  void look() noexcept;
  /// Whether a wait is to be left by Unwound.
  [[nodiscard]] bool over(mlflowha::TimePoint now) const noexcept {
    return until_ && (type_ != nullptr || now >= *until_);
  }
  /// The innermost call of this thread that looks or unwinds; others than Python's main one don't look.
  [[nodiscard]] static BlockingCall* current() noexcept;
  /// How often a call looks.
  static constexpr std::chrono::milliseconds interval{40};

 private:
  void rethrow();

  std::optional<mlflowha::CancellationSource> source_;  // none: nobody can cancel
  std::optional<mlflowha::TimePoint> until_;            // set: the call unwinds
  BlockingCall* outer_ = nullptr;
  bool looks_ = false;
  std::chrono::steady_clock::time_point next_;
  PyObject* type_ = nullptr;  // what a handler raised
  PyObject* value_ = nullptr;
  PyObject* trace_ = nullptr;
};

/// What the transport and the client's clock need to be interruptible.
[[nodiscard]] std::shared_ptr<mlflowha::WaitHook> interrupting_hook();
[[nodiscard]] std::shared_ptr<mlflowha::Clock> interruptible_clock();

/// Notes which thread is the main one; again in each forked child, where that is the thread that forked.
void note_main_thread();

}  // namespace mlflowha_python

#endif
