#ifndef MLFLOWHA_CORE_RESULT_HPP
#define MLFLOWHA_CORE_RESULT_HPP

// Result<T>: a value or an Error. What every operation returns. Spelled like std::expected<T, Error> (C++23) and the
// same class in every language mode, so that a library and a program built with different -std flags agree.
//
//   auto run = client.get_run(id);
//   if (!run) return handle(run.error());
//   use(run->info);                     // or: client.get_run(id).value(), which throws mlflowha::Exception

#include <mlflowha/core/error.hpp>

#include <cassert>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

MLFLOWHA_BEGIN_NAMESPACE

/// A T or an Error. Not thread-safe beyond what T is; never empty.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = Error;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value. \throws Exception when there is none.
  T& value() & {
    if (!has_value()) detail::throw_exception(std::get<1>(state_));
    return std::get<0>(state_);
  }
  const T& value() const& {
    if (!has_value()) detail::throw_exception(std::get<1>(state_));
    return std::get<0>(state_);
  }
  T&& value() && {
    if (!has_value()) detail::throw_exception(std::move(std::get<1>(state_)));
    return std::move(std::get<0>(state_));
  }

  template <class U>
  [[nodiscard]] T value_or(U&& fallback) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(fallback));
  }
  template <class U>
  [[nodiscard]] T value_or(U&& fallback) && {
    return has_value() ? std::move(**this) : static_cast<T>(std::forward<U>(fallback));
  }

  /// The error. Precondition: !has_value().
  [[nodiscard]] Error& error() & noexcept { return *checked_error(); }
  [[nodiscard]] const Error& error() const& noexcept { return *const_cast<Result*>(this)->checked_error(); }
  [[nodiscard]] Error&& error() && noexcept { return std::move(*checked_error()); }

  /// The value, unchecked in release builds. Precondition: has_value().
  T& operator*() & noexcept { return *checked_value(); }
  const T& operator*() const& noexcept { return *const_cast<Result*>(this)->checked_value(); }
  T&& operator*() && noexcept { return std::move(*checked_value()); }
  T* operator->() noexcept { return checked_value(); }
  const T* operator->() const noexcept { return const_cast<Result*>(this)->checked_value(); }

  /// f(value) where there is one; f returns a Result.
  template <class F>
  auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
    if (has_value()) return std::forward<F>(f)(std::move(**this));
    return std::move(*this).error();
  }
  template <class F>
  auto and_then(F&& f) const& -> std::invoke_result_t<F, const T&> {
    if (has_value()) return std::forward<F>(f)(**this);
    return error();
  }
  /// A Result of f(value).
  template <class F>
  auto transform(F&& f) && -> Result<std::invoke_result_t<F, T&&>> {
    if (!has_value()) return std::move(*this).error();
    if constexpr (std::is_void_v<std::invoke_result_t<F, T&&>>) {
      std::forward<F>(f)(std::move(**this));
      return {};
    } else {
      return std::forward<F>(f)(std::move(**this));
    }
  }
  /// The value, or what f(error) makes of the error; f returns a Result<T>.
  template <class F>
  Result or_else(F&& f) && {
    if (has_value()) return std::move(*this);
    return std::forward<F>(f)(std::move(*this).error());
  }

  friend bool operator==(const Result&, const Result&) = default;

 private:
  T* checked_value() noexcept {
    assert(has_value() && "Result: no value; check it or use value()");
    return std::get_if<0>(&state_);
  }
  Error* checked_error() noexcept {
    assert(!has_value() && "Result: no error");
    return std::get_if<1>(&state_);
  }

  std::variant<T, Error> state_;
};

/// Success or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  using error_type = Error;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  /// \throws Exception on an error.
  void value() const& {
    if (!has_value()) detail::throw_exception(*error_);
  }
  void value() && {
    if (!has_value()) detail::throw_exception(std::move(*error_));
  }

  [[nodiscard]] const Error& error() const& noexcept {
    assert(!has_value() && "Result: no error");
    return *error_;
  }
  [[nodiscard]] Error&& error() && noexcept {
    assert(!has_value() && "Result: no error");
    return std::move(*error_);
  }

  template <class F>
  auto and_then(F&& f) const& -> std::invoke_result_t<F> {
    if (has_value()) return std::forward<F>(f)();
    return error();
  }
  template <class F>
  Result or_else(F&& f) && {
    if (has_value()) return {};
    return std::forward<F>(f)(std::move(*this).error());
  }

  friend bool operator==(const Result&, const Result&) = default;

 private:
  std::optional<Error> error_;
};

MLFLOWHA_END_NAMESPACE

#endif
