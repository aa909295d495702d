#ifndef MLFLOWHA_PYTHON_GIL_HPP
#define MLFLOWHA_PYTHON_GIL_HPP

// WithoutGil: a block that waits lets other threads have the GIL. Every binding that waits uses it, in place of
// pybind11's gil_scoped_release, because of daemon threads: before Python 3.14 one that wants the GIL back while the
// interpreter ends is ended by pthread_exit(), and unwinding a destructor aborts the process. Here it sleeps until the
// process is gone, as Python itself lets it from 3.14 on.

#include <cxxabi.h>
#include <unistd.h>

#include <pybind11/pybind11.h>

namespace mlflowha_python {

/// The GIL is free as long as this lives. Made with the GIL held.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (const abi::__forced_unwind&) {
      for (;;) (void)::pause();
    }
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace mlflowha_python

#endif
