#ifndef MLFLOWHA_RESILIENCE_IMPL_BACKOFF_IPP
#define MLFLOWHA_RESILIENCE_IMPL_BACKOFF_IPP

#include <mlflowha/resilience/backoff.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// `count` whole units of `unit` nanoseconds, saturating.
MLFLOWHA_INLINE Duration saturating_duration(std::uint64_t count, std::int64_t unit) noexcept {
  const auto most = static_cast<std::uint64_t>(Duration::max().count() / unit);
  return count > most ? Duration::max() : Duration(static_cast<std::int64_t>(count) * unit);
}

/// Optional white space (RFC 9110 section 5.6.3) at both ends is not part of a header's value.
MLFLOWHA_INLINE std::string_view trim_header(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Digits and nothing else; a number that doesn't fit saturates.
MLFLOWHA_INLINE std::optional<std::uint64_t> parse_digits(std::string_view text) noexcept {
  constexpr std::uint64_t most = UINT64_MAX;
  if (text.empty()) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    number = number > (most - digit) / 10 ? most : number * 10 + digit;
  }
  return number;
}

/// Reads the three forms of an HTTP date (RFC 9110 section 5.6.7) from left to right.
class HttpDateReader {
 public:
  explicit HttpDateReader(std::string_view text) noexcept : rest_(text) {}

  /// `reference` settles the century of a two-digit year.
  [[nodiscard]] std::optional<std::chrono::sys_seconds> read(WallTime reference) noexcept {
    static constexpr std::array<std::string_view, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<std::string_view, 7> long_days{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                               "Thursday", "Friday", "Saturday"};
    if (one_of(long_days) && literal(", ")) {  // RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
      day_ = number(2);
      if (!literal("-") || !month() || !literal("-")) return std::nullopt;
      const int short_year = number(2);
      if (short_year < 0 || !literal(" ") || !clock() || !literal(" GMT")) return std::nullopt;
      year_ = full_year(short_year, reference);
    } else if (one_of(days)) {
      if (literal(", ")) {  // the usual form: Sun, 06 Nov 1994 08:49:37 GMT
        day_ = number(2);
        if (!literal(" ") || !month() || !literal(" ")) return std::nullopt;
        year_ = number(4);
        if (!literal(" ") || !clock() || !literal(" GMT")) return std::nullopt;
      } else {  // asctime: Sun Nov  6 08:49:37 1994
        if (!literal(" ") || !month() || !literal(" ")) return std::nullopt;
        day_ = literal(" ") ? number(1) : number(2);
        if (!literal(" ") || !clock() || !literal(" ")) return std::nullopt;
        year_ = number(4);
      }
    } else {
      return std::nullopt;
    }
    return rest_.empty() ? value() : std::nullopt;
  }

 private:
  bool literal(std::string_view expected) noexcept {
    if (rest_.substr(0, expected.size()) != expected) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  template <std::size_t N>
  bool one_of(const std::array<std::string_view, N>& words) noexcept {
    return std::any_of(words.begin(), words.end(), [this](std::string_view word) { return literal(word); });
  }
  /// Exactly `digits` digits, or -1.
  int number(std::size_t digits) noexcept {
    if (rest_.size() < digits) return -1;
    const std::optional<std::uint64_t> parsed = parse_digits(rest_.substr(0, digits));
    if (!parsed) return -1;
    rest_.remove_prefix(digits);
    return static_cast<int>(*parsed);
  }
  bool month() noexcept {
    static constexpr std::array<std::string_view, 12> names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    for (const std::string_view name : names) {
      ++month_;
      if (literal(name)) return true;
    }
    return false;
  }
  bool clock() noexcept {
    hour_ = number(2);
    if (!literal(":")) return false;
    minute_ = number(2);
    if (!literal(":")) return false;
    second_ = number(2);
    return hour_ >= 0 && hour_ < 24 && minute_ >= 0 && minute_ < 60 && second_ >= 0 && second_ <= 60;
  }
  /// RFC 9110: a date that looks more than 50 years away in the future is the past one with the same last digits.
  static int full_year(int short_year, WallTime reference) noexcept {
    const std::chrono::year_month_day today{std::chrono::floor<std::chrono::days>(reference)};
    const int this_year = static_cast<int>(today.year());
    const int year = this_year - this_year % 100 + short_year;
    if (year > this_year + 50) return year - 100;
    return year + 100 <= this_year + 50 ? year + 100 : year;
  }
  [[nodiscard]] std::optional<std::chrono::sys_seconds> value() const noexcept {
    if (day_ < 1 || year_ < 1) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(year_), std::chrono::month(static_cast<unsigned>(month_)),
                                           std::chrono::day(static_cast<unsigned>(day_))};
    if (!date.ok()) return std::nullopt;
    return std::chrono::sys_days(date) + std::chrono::hours(hour_) + std::chrono::minutes(minute_) +
           std::chrono::seconds(second_);
  }

  std::string_view rest_;
  int year_ = -1;
  int month_ = 0;
  int day_ = -1;
  int hour_ = -1;
  int minute_ = -1;
  int second_ = -1;
};

}  // namespace detail

MLFLOWHA_INLINE Duration backoff_bound(const BackoffOptions& options, int retry, bool throttled) noexcept {
  const Duration base = throttled ? options.throttled_base : options.base;
  if (base <= Duration::zero() || options.cap <= Duration::zero()) return Duration::zero();
  // In floating point: factor^retry may pass every integer, and infinity (or a factor that is no number) ends at cap.
  const double bound = static_cast<double>(base.count()) * std::pow(options.factor, std::max(retry, 0));
  if (!(bound < static_cast<double>(options.cap.count()))) return options.cap;
  return Duration(static_cast<std::int64_t>(bound));
}

MLFLOWHA_INLINE Duration backoff_delay(const BackoffOptions& options, int retry, bool throttled, double unit,
                                       std::optional<Duration> retry_after) noexcept {
  const Duration bound = backoff_bound(options, retry, throttled);
  const double share = unit >= 0.0 ? std::min(unit, 1.0) : 0.0;  // not a number becomes 0
  // A bound of 2^53 ns (104 days) and more is not exact as a double: the product may round to above the bound.
  const double product = static_cast<double>(bound.count()) * share;
  const Duration own =
      product < static_cast<double>(bound.count()) ? Duration(static_cast<std::int64_t>(product)) : bound;
  if (!retry_after) return own;
  const Duration most = detail::saturating_sum(own, std::max(options.retry_after_slack, Duration::zero()));
  return std::clamp(*retry_after, own, most);
}

MLFLOWHA_INLINE std::optional<Duration> parse_retry_after(std::string_view value, std::string_view date_header,
                                                          WallTime wall_now) noexcept {
  value = detail::trim_header(value);
  if (const auto seconds = detail::parse_digits(value)) return detail::saturating_duration(*seconds, 1'000'000'000);

  // A clock far out of this range is nonsense, and subtracting it could overflow.
  const WallTime epoch{};
  constexpr std::chrono::milliseconds most{250'000'000'000'000};  // about the year 9892
  const WallTime reference = std::clamp(wall_now, epoch, epoch + most);
  const auto until = detail::HttpDateReader(value).read(reference);
  if (!until) return std::nullopt;
  // Against the server's own clock: ours may be wrong by hours.
  const auto server_now = detail::HttpDateReader(detail::trim_header(date_header)).read(reference);
  const WallTime now = server_now ? WallTime(*server_now) : reference;
  const std::chrono::milliseconds left = WallTime(*until) - now;
  if (left <= std::chrono::milliseconds::zero()) return Duration::zero();
  return detail::saturating_duration(static_cast<std::uint64_t>(left.count()), 1'000'000);
}

MLFLOWHA_INLINE std::optional<Duration> parse_retry_after_ms(std::string_view value) noexcept {
  const auto milliseconds = detail::parse_digits(detail::trim_header(value));
  if (!milliseconds) return std::nullopt;
  return detail::saturating_duration(*milliseconds, 1'000'000);
}

MLFLOWHA_END_NAMESPACE

#endif
