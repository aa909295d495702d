#ifndef MLFLOWHA_API_IMPL_PROTO_TIME_IPP
#define MLFLOWHA_API_IMPL_PROTO_TIME_IPP

// Calendar arithmetic by hand: clang 14's library has neither std::chrono::parse nor a formatter.

#include <mlflowha/api/proto_time.hpp>
#include <mlflowha/core/error.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

[[nodiscard]] MLFLOWHA_INLINE Error bad_time(std::string_view text, std::string_view expected) {
  Error error;
  error.code = Errc::bad_response;
  error.message = "time is \"" + sanitize(text, 64) + "\"; expected " + std::string(expected);
  return error;
}

/// Exactly `digits` decimal digits from the front of `text`, which is shortened; -1 when they aren't there.
[[nodiscard]] MLFLOWHA_INLINE int take_digits(std::string_view& text, std::size_t digits) noexcept {
  if (text.size() < digits) return -1;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

[[nodiscard]] MLFLOWHA_INLINE bool take(std::string_view& text, char wanted) noexcept {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

/// The digits after a decimal point as nanoseconds; more than nine are cut off. -1 when there is none.
[[nodiscard]] MLFLOWHA_INLINE std::int64_t take_fraction(std::string_view& text) noexcept {
  std::int64_t nanoseconds = 0;
  int digits = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), ++digits) {
    if (digits < 9) nanoseconds = nanoseconds * 10 + (text.front() - '0');
  }
  if (digits == 0) return -1;
  for (; digits < 9; ++digits) nanoseconds *= 10;
  return nanoseconds;
}

MLFLOWHA_INLINE void put_digits(std::string& out, std::int64_t value, int digits) {
  std::string text(static_cast<std::size_t>(digits), '0');
  for (auto at = text.rbegin(); at != text.rend(); ++at, value /= 10) *at = static_cast<char>('0' + value % 10);
  out += text;
}

}  // namespace detail

MLFLOWHA_INLINE std::string format_timestamp(WallTime time) {
  using namespace std::chrono;  // NOLINT(google-build-using-namespace): calendar arithmetic, in this function only
  constexpr sys_days first{year{1} / January / 1};
  constexpr sys_days last{year{9999} / December / 31};
  const auto ms = std::clamp(duration_cast<milliseconds>(time.time_since_epoch()),
                             duration_cast<milliseconds>(first.time_since_epoch()),
                             duration_cast<milliseconds>(last.time_since_epoch()) + hours(24) - milliseconds(1));
  const sys_days day = floor<days>(sys_time<milliseconds>(ms));
  const year_month_day date(day);
  const std::int64_t rest = (ms - duration_cast<milliseconds>(day.time_since_epoch())).count();
  std::string out;
  out.reserve(24);
  detail::put_digits(out, static_cast<int>(date.year()), 4);
  out += '-';
  detail::put_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  detail::put_digits(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  detail::put_digits(out, rest / 3'600'000, 2);
  out += ':';
  detail::put_digits(out, rest / 60'000 % 60, 2);
  out += ':';
  detail::put_digits(out, rest / 1000 % 60, 2);
  if (rest % 1000 != 0) {
    out += '.';
    detail::put_digits(out, rest % 1000, 3);
  }
  return out += 'Z';
}

MLFLOWHA_INLINE Result<WallTime> parse_timestamp(std::string_view text) {
  using namespace std::chrono;  // NOLINT(google-build-using-namespace): calendar arithmetic, in this function only
  constexpr std::string_view expected = "a time such as \"2026-01-02T03:04:05.678Z\"";
  std::string_view rest = text;
  const int y = detail::take_digits(rest, 4);
  const bool dashes = detail::take(rest, '-');
  const int m = detail::take_digits(rest, 2);
  const bool more_dashes = detail::take(rest, '-');
  const int d = detail::take_digits(rest, 2);
  if (!dashes || !more_dashes || y < 1 || m < 1 || d < 1) return detail::bad_time(text, expected);
  const year_month_day date{year{y}, month{static_cast<unsigned>(m)}, day{static_cast<unsigned>(d)}};
  const bool separated = detail::take(rest, 'T') || detail::take(rest, 't') || detail::take(rest, ' ');
  const int hour = detail::take_digits(rest, 2);
  const bool colons = detail::take(rest, ':');
  const int minute = detail::take_digits(rest, 2);
  const bool more_colons = detail::take(rest, ':');
  const int second = detail::take_digits(rest, 2);
  const std::int64_t fraction = detail::take(rest, '.') ? detail::take_fraction(rest) : 0;
  // A leap second is written :60; it is the first of the next minute for every server.
  if (!date.ok() || !separated || !colons || !more_colons || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 60 || fraction < 0) {
    return detail::bad_time(text, expected);
  }
  int offset = 0;
  if (!detail::take(rest, 'Z') && !detail::take(rest, 'z')) {
    const bool west = !rest.empty() && rest.front() == '-';
    if (!west && (rest.empty() || rest.front() != '+')) return detail::bad_time(text, expected);
    rest.remove_prefix(1);
    const int hours_off = detail::take_digits(rest, 2);
    const bool colon = detail::take(rest, ':');
    const int minutes_off = detail::take_digits(rest, 2);
    if (!colon || hours_off < 0 || hours_off > 23 || minutes_off < 0 || minutes_off > 59) {
      return detail::bad_time(text, expected);
    }
    offset = (west ? -1 : 1) * (hours_off * 60 + minutes_off);
  }
  if (!rest.empty()) return detail::bad_time(text, expected);
  return WallTime(duration_cast<WallTime::duration>(sys_days(date).time_since_epoch() + hours(hour) +
                                                    minutes(minute - offset) + seconds(second) +
                                                    milliseconds(fraction / 1'000'000)));
}

MLFLOWHA_INLINE std::string format_duration(std::chrono::nanoseconds duration) {
  const bool negative = duration.count() < 0;
  // Unsigned, because the lowest number has no positive counterpart.
  const auto count = static_cast<std::uint64_t>(duration.count());
  const std::uint64_t nanoseconds = negative ? 0U - count : count;
  std::string out = negative ? "-" : "";
  out += std::to_string(nanoseconds / 1'000'000'000U);
  const auto fraction = static_cast<std::int64_t>(nanoseconds % 1'000'000'000U);
  if (fraction != 0) {
    out += '.';
    const int digits = fraction % 1'000'000 == 0 ? 3 : fraction % 1000 == 0 ? 6 : 9;
    detail::put_digits(out, digits == 3 ? fraction / 1'000'000 : digits == 6 ? fraction / 1000 : fraction, digits);
  }
  return out += 's';
}

MLFLOWHA_INLINE Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  constexpr std::string_view expected = "a number of seconds such as \"1.5s\"";
  std::string_view rest = text;
  const bool negative = detail::take(rest, '-');
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 1'000'000'000 - 1;
  std::int64_t seconds = 0;
  bool digits = false;
  for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; rest.remove_prefix(1)) {
    seconds = seconds * 10 + (rest.front() - '0');
    digits = true;
    if (seconds > most) return detail::bad_time(text, "at most 292 years");
  }
  const std::int64_t fraction = detail::take(rest, '.') ? detail::take_fraction(rest) : 0;
  if (!digits || fraction < 0 || rest != "s") return detail::bad_time(text, expected);
  const std::int64_t nanoseconds = seconds * 1'000'000'000 + fraction;
  return std::chrono::nanoseconds(negative ? -nanoseconds : nanoseconds);
}

MLFLOWHA_END_NAMESPACE

#endif
