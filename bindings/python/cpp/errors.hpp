#ifndef MLFLOWHA_PYTHON_ERRORS_HPP
#define MLFLOWHA_PYTHON_ERRORS_HPP

// Turns Error into the exception of mlflowha.errors that fits its kind.

#include <pybind11/pybind11.h>
#include <mlflowha/core/result.hpp>

#include <optional>
#include <utility>

namespace mlflowha_python {

/// The exception object, not raised.
[[nodiscard]] pybind11::object to_exception(const mlflowha::Error& error);
[[noreturn]] void raise(const mlflowha::Error& error);

/// The value, or the exception. With the GIL held.
template <class T>
T value_of(mlflowha::Result<T>&& result) {
  if (!result) raise(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// The exception object or None.
[[nodiscard]] pybind11::object to_object(const std::optional<mlflowha::Error>& error);

}  // namespace mlflowha_python

#endif
