#include <mlflowha/resilience/backoff.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;

namespace {

/// 1994-11-06 08:49:37 UTC, the example of RFC 9110.
const WallTime example{std::chrono::seconds(784111777)};

std::optional<Duration> parse(std::string_view value, std::string_view date = {}, WallTime now = example) {
  return parse_retry_after(value, date, now);
}

}  // namespace

TEST_CASE("Retry-After in seconds", "[resilience][retry_after]") {
  CHECK(parse("120") == Duration(120s));  // Prometheus, TestRetryAfterDuration
  CHECK(parse("0") == Duration(0s));
  CHECK(parse("007") == Duration(7s));
  CHECK(parse(" \t5 ") == Duration(5s));
  CHECK(parse("410400") == Duration(114h));
}

TEST_CASE("a huge Retry-After saturates", "[resilience][retry_after]") {
  CHECK(parse("999999999") == Duration(999999999s));
  CHECK(parse("9223372036") == Duration(9223372036s));  // the last one that fits into nanoseconds
  for (const char* huge :
       {"9223372037", "18446744073709551615", "18446744073709551616", "99999999999999999999999999"}) {
    CHECK(parse(huge) == Duration::max());
  }
  CHECK(parse(std::string(10'000, '9')) == Duration::max());
}

TEST_CASE("garbage in Retry-After is no Retry-After", "[resilience][retry_after]") {
  const std::vector<std::string> garbage = {
      "", " ", "-1", "-0", "+5", "1.5", "1,5", "5, 10", "1e3", "0x10", "5s", "5 s", "xxx", "invalid", "\xD9\xA3", "NaN",
      std::string("5\0", 2), "5\r\nX-Evil: 1",
      // not quite dates
      "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0100",
      "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
      "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
      "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov -994 08:49:37 GMT",
      "Sun, 06 Nov 0000 08:49:37 GMT", "Xxx, 06 Nov 1994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 GMT, x", "Sun 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37", "Sun Nov  6 08:49:37 94", "Sun Nov 6 08:49:37 1994", "Sun Nov 06 08:49:37 1994 GMT",
      "Sun, ", "Sun", "Sunday", "Sunday, ", "Sun, 06 ", "1994-11-06T08:49:37Z"};
  for (const std::string& value : garbage) {
    INFO('"' << value << '"');
    CHECK_FALSE(parse(value, {}, WallTime{}).has_value());
  }
}

TEST_CASE("Retry-After as a date, in its three forms", "[resilience][retry_after]") {
  const WallTime before = example - 90s;
  CHECK(parse("Sun, 06 Nov 1994 08:49:37 GMT", {}, before) == Duration(90s));
  CHECK(parse("Sunday, 06-Nov-94 08:49:37 GMT", {}, before) == Duration(90s));
  CHECK(parse("Sun Nov  6 08:49:37 1994", {}, before) == Duration(90s));
  CHECK(parse("Wed Nov 16 08:49:37 1994", {}, example) == Duration(240h));
  CHECK(parse(" Sun, 06 Nov 1994 08:49:37 GMT\t", {}, before) == Duration(90s));
  CHECK(parse("Sun, 06 Nov 1994 08:49:37 GMT", {}, example - 1ms) == Duration(1ms));
  CHECK(parse("Thu, 29 Feb 1996 00:00:00 GMT", "Wed, 28 Feb 1996 23:59:60 GMT") ==
        Duration(0s));  // leap day, leap second
  CHECK(parse("Fri, 01 Mar 1996 00:00:00 GMT", "Wed, 28 Feb 1996 00:00:00 GMT") == Duration(48h));
}

TEST_CASE("a date that has passed asks for no wait", "[resilience][retry_after]") {
  CHECK(parse("Sun, 06 Nov 1994 08:49:37 GMT", {}, example) == Duration(0s));
  CHECK(parse("Sun, 06 Nov 1994 08:49:37 GMT", {}, example + 1h) == Duration(0s));
  CHECK(parse("Thu, 01 Jan 1970 00:00:00 GMT") == Duration(0s));
}

TEST_CASE("a date is measured against the server's clock, not ours", "[resilience][retry_after]") {
  const WallTime ours_is_years_ahead = example + 24h * 365 * 20;
  CHECK(parse("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT", ours_is_years_ahead) == Duration(30s));
  CHECK(parse("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:07 GMT", example - 24h) == Duration(30s));
  // an unreadable Date is as good as none
  CHECK(parse("Sun, 06 Nov 1994 08:49:37 GMT", "yesterday", example - 10s) == Duration(10s));
  // seconds don't need one
  CHECK(parse("30", "Sun, 06 Nov 1994 08:49:07 GMT", ours_is_years_ahead) == Duration(30s));
}

TEST_CASE("a two-digit year is at most 50 years away", "[resilience][retry_after]") {
  const WallTime year_2026{std::chrono::seconds(1'780'000'000)};  // 2026-05-28
  CHECK(parse("Friday, 29-May-26 00:00:00 GMT", "Thu, 28 May 2026 00:00:00 GMT", year_2026) == Duration(24h));
  CHECK(parse("Sunday, 06-Nov-94 08:49:37 GMT", {}, year_2026) == Duration(0s));           // 1994, not 2094
  CHECK(parse("Friday, 01-Jan-76 00:00:00 GMT", {}, year_2026).value() > 24h * 365 * 49);  // 2076
  CHECK(parse("Saturday, 01-Jan-77 00:00:00 GMT", {}, year_2026) == Duration(0s));         // 1977
  const WallTime year_1999{std::chrono::seconds(946'684'799)};                             // 1999-12-31 23:59:59
  CHECK(parse("Saturday, 01-Jan-00 00:00:00 GMT", {}, year_1999) == Duration(1s));
}

TEST_CASE("clocks out of their mind do not overflow", "[resilience][retry_after]") {
  CHECK(parse("Fri, 31 Dec 9999 23:59:59 GMT", {}, WallTime::min()) == Duration::max());
  CHECK(parse("Fri, 31 Dec 9999 23:59:59 GMT", {}, WallTime::max()).has_value());
  CHECK(parse("Sunday, 06-Nov-94 08:49:37 GMT", {}, WallTime::min()).has_value());
  CHECK(parse("Sunday, 06-Nov-94 08:49:37 GMT", {}, WallTime::max()).has_value());
  CHECK(parse("Fri, 31 Dec 9999 23:59:59 GMT") == Duration::max());
}

TEST_CASE("Retry-After in milliseconds", "[resilience][retry_after]") {
  CHECK(parse_retry_after_ms("1500") == Duration(1500ms));
  CHECK(parse_retry_after_ms("0") == Duration(0ms));
  CHECK(parse_retry_after_ms(" 250 ") == Duration(250ms));
  CHECK(parse_retry_after_ms("9223372036854") == Duration(9223372036854ms));
  CHECK(parse_retry_after_ms("9223372036855") == Duration::max());
  CHECK(parse_retry_after_ms(std::string(1000, '7')) == Duration::max());
  // gRPC's pushback table: -1 and "xxx" are no wish
  for (const char* garbage : {"", "-1", "xxx", "1.5", "1500ms", "1e3", "Sun, 06 Nov 1994 08:49:37 GMT"}) {
    INFO(garbage);
    CHECK_FALSE(parse_retry_after_ms(garbage).has_value());
  }
}
