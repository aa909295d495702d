// mlflowha._core: the library for the Python package. Private; users import mlflowha.

#include <pybind11/pybind11.h>
#include <mlflowha/http/curl_transport.hpp>
#include <mlflowha/version.hpp>

#include <string>

#include "interrupt.hpp"
#include "module.hpp"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_used()) {
  namespace py = pybind11;
  module.doc() = "mlflowha's C++ library. Private: import mlflowha.";
  module.attr("__version__") = MLFLOWHA_VERSION_STRING;
  mlflowha_python::note_main_thread();
  const py::object note = py::cpp_function([] { mlflowha_python::note_main_thread(); });
  py::module_::import("os").attr("register_at_fork")(py::arg("after_in_child") = note);
  mlflowha_python::add_client(module);
  mlflowha_python::add_run_logger(module);
  module.def(
      "curl_info", [] { return mlflowha::curl_library_info(); }, "libcurl, its TLS library and name resolution.");
  module.def(
      "build_info",
      [] {
        py::dict info;
        info["version"] = MLFLOWHA_VERSION_STRING;
        info["compiler"] = std::string(
#if defined(__clang__)
            "clang " __clang_version__
#else
            "g++ " __VERSION__
#endif
        );
        info["pybind11"] = std::to_string(PYBIND11_VERSION_MAJOR) + "." + std::to_string(PYBIND11_VERSION_MINOR);
        return info;
      },
      "What this module was made of.");
}
