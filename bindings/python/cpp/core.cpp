// mlflowha._core: the library for the Python package. Private; users import mlflowha.

#include <sys/stat.h>

#include <pybind11/pybind11.h>
#include <mlflowha/http/curl_transport.hpp>
#include <mlflowha/version.hpp>

#include <cstdlib>
#include <string>

#include "interrupt.hpp"
#include "module.hpp"

namespace {

namespace py = pybind11;

// What the environment says, None for what is unset, and when the file of credentials was changed last: what os.environ
// and os.stat say, in a fifth of their time. With the GIL held, because Python changes the environment under it, too.
py::tuple surroundings(const py::tuple& names) {
  py::tuple values(names.size() + 1);
  values[0] = py::none();
  const char* const home = std::getenv("HOME");
  const std::string file = std::string(home == nullptr ? "" : home) + "/.mlflow/credentials";
  struct stat found = {};
  if (home != nullptr && ::stat(file.c_str(), &found) == 0) {
    values[0] = py::make_tuple(py::bytes(file), static_cast<long long>(found.st_mtim.tv_sec),
                               static_cast<long long>(found.st_mtim.tv_nsec));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto name = names[i].cast<std::string>();
    const char* const value = std::getenv(name.c_str());
    PyObject* const made = value == nullptr ? Py_NewRef(Py_None) : PyUnicode_DecodeFSDefault(value);
    if (made == nullptr) throw py::error_already_set();
    values[i + 1] = py::reinterpret_steal<py::object>(made);
  }
  return values;
}

}  // namespace

PYBIND11_MODULE(_core, module, pybind11::mod_gil_used()) {
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
  module.def("surroundings", &surroundings, py::arg("names"),
             "These variables (None: unset), after the state of the file of credentials.");
}
