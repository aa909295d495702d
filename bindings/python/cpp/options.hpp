#ifndef MLFLOWHA_PYTHON_OPTIONS_HPP
#define MLFLOWHA_PYTHON_OPTIONS_HPP

// ClientOptions and RunLoggerOptions from dicts. A client's settings have the names of docs/options.md
// ("timeouts.call"); times are seconds.

#include <pybind11/pybind11.h>
#include <mlflowha/client/options.hpp>
#include <mlflowha/logging/run_logger.hpp>

#include <string>
#include <string_view>

namespace mlflowha_python {

namespace py = pybind11;

// Names of files aren't always UTF-8. Python has the bytes that aren't as halves of surrogate pairs.

/// A str, bytes or path.
[[nodiscard]] std::string to_path(py::handle value, const char* name);
/// A name of a file, or a text that may hold one, as os.fsdecode() has it.
[[nodiscard]] py::str path_str(std::string_view path);

/// Seconds as a number or a timedelta.
[[nodiscard]] mlflowha::Duration to_duration(py::handle value, const char* name);
/// None: nothing.
[[nodiscard]] std::optional<mlflowha::Duration> to_timeout(py::handle value);

/// The environment's options (`environment`: a mapping that stands for the process's own, or None) with those of
/// `settings` over them. Raises ValueError or TypeError naming a setting that isn't one or has the wrong type, and
/// InvalidArgumentError for what the library refuses.
[[nodiscard]] mlflowha::ClientOptions client_options(const py::dict& settings, const py::object& environment);

[[nodiscard]] mlflowha::RunLoggerOptions logger_options(const py::dict& settings);

}  // namespace mlflowha_python

#endif
