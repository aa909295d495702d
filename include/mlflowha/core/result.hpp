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
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

/// A T or an Error. Not thread-safe beyond what T is; never empty. Assigning wants a T whose move doesn't throw.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = Error;

  Result(T value) : has_value_(true), value_(std::move(value)) {}       // NOLINT(google-explicit-constructor)
  Result(Error error) : has_value_(false), error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  Result(const Result& other)
    requires std::is_copy_constructible_v<T>
      : has_value_(other.has_value_) {
    if (has_value_) {
      std::construct_at(&value_, other.value_);
    } else {
      std::construct_at(&error_, other.error_);
    }
  }
  Result(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) { take(std::move(other)); }
  Result& operator=(Result other) noexcept {
    static_assert(std::is_nothrow_move_constructible_v<T>, "a Result is assigned whole or not at all");
    destroy();
    take(std::move(other));
    return *this;
  }
  ~Result() { destroy(); }

  [[nodiscard]] bool has_value() const noexcept { return has_value_; }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value. \throws Exception when there is none.
  T& value() & {
    if (!has_value()) detail::throw_exception(error_);
    return value_;
  }
  const T& value() const& {
    if (!has_value()) detail::throw_exception(error_);
    return value_;
  }
  /// The value of a Result that is about to end, as a value of its own: `for (auto& run : search(...).value())` is
  /// safe.
  T value() && {
    if (!has_value()) detail::throw_exception(std::move(error_));
    return std::move(value_);
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
  [[nodiscard]] Error error() && noexcept { return std::move(*checked_error()); }

  /// The value, unchecked in release builds. Precondition: has_value().
  T& operator*() & noexcept { return *checked_value(); }
  const T& operator*() const& noexcept { return *const_cast<Result*>(this)->checked_value(); }
  T operator*() && { return std::move(*checked_value()); }
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

  friend bool operator==(const Result& a, const Result& b)
    requires requires(const T& value) { value == value; }
  {
    if (a.has_value_ != b.has_value_) return false;
    return a.has_value_ ? a.value_ == b.value_ : a.error_ == b.error_;
  }

 private:
  void take(Result&& other) {
    has_value_ = other.has_value_;
    if (has_value_) {
      std::construct_at(&value_, std::move(other.value_));
    } else {
      std::construct_at(&error_, std::move(other.error_));
    }
  }
  void destroy() noexcept {
    if (has_value_) {
      std::destroy_at(&value_);
    } else {
      std::destroy_at(&error_);
    }
  }
  T* checked_value() noexcept {
    assert(has_value() && "Result: no value; check it or use value()");
    return has_value_ ? &value_ : nullptr;
  }
  Error* checked_error() noexcept {
    assert(!has_value() && "Result: no error");
    return has_value_ ? nullptr : &error_;
  }

  // What a std::variant<T, Error> would be, at a sixteenth less of what including the client costs (docs/adr/0015).
  bool has_value_;
  union {
    T value_;      // NOLINT(readability-identifier-naming): private, which the check doesn't see in a union
    Error error_;  // NOLINT(readability-identifier-naming)
  };
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
  [[nodiscard]] Error error() && noexcept {
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
