#include <mlflowha/api/proto_time.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <limits>

using namespace mlflowha;
using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {
WallTime at(std::int64_t ms) { return WallTime(milliseconds(ms)); }
}  // namespace

TEST_CASE("moments are written and read back", "[api][time]") {
  struct Row {
    std::int64_t ms;
    const char* text;
  };
  const Row rows[] = {{0, "1970-01-01T00:00:00Z"},
                      {1767323045678, "2026-01-02T03:04:05.678Z"},
                      {1767323045000, "2026-01-02T03:04:05Z"},
                      {951782400001, "2000-02-29T00:00:00.001Z"},
                      {-1, "1969-12-31T23:59:59.999Z"},
                      {-62135596800000, "0001-01-01T00:00:00Z"},
                      {253402300799999, "9999-12-31T23:59:59.999Z"}};
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(format_timestamp(at(row.ms)) == row.text);
    CHECK(parse_timestamp(row.text).value() == at(row.ms));
  }
  // Beyond the years that can be written: the nearest that can.
  CHECK(format_timestamp(at(std::numeric_limits<std::int64_t>::max())) == "9999-12-31T23:59:59.999Z");
  CHECK(format_timestamp(at(std::numeric_limits<std::int64_t>::min())) == "0001-01-01T00:00:00Z");
}

TEST_CASE("moments are read as other programs write them", "[api][time]") {
  CHECK(parse_timestamp("2026-01-02T03:04:05.6789999Z").value() == at(1767323045678));
  CHECK(parse_timestamp("2026-01-02T03:04:05.6Z").value() == at(1767323045600));
  CHECK(parse_timestamp("2026-01-02t03:04:05.678z").value() == at(1767323045678));
  CHECK(parse_timestamp("2026-01-02T04:34:05.678+01:30").value() == at(1767323045678));
  CHECK(parse_timestamp("2026-01-01T22:04:05.678-05:00").value() == at(1767323045678));
  CHECK(parse_timestamp("2016-12-31T23:59:60Z").value() == parse_timestamp("2017-01-01T00:00:00Z").value());
}

TEST_CASE("what is no moment is an error that shows it", "[api][time]") {
  for (const char* text : {"",
                           "2026",
                           "2026-01-02",
                           "2026-01-02T03:04:05",
                           "2026-1-2T03:04:05Z",
                           "2026-02-29T00:00:00Z",
                           "2026-13-01T00:00:00Z",
                           "2026-00-01T00:00:00Z",
                           "0000-01-01T00:00:00Z",
                           "2026-01-02T24:00:00Z",
                           "2026-01-02T03:60:05Z",
                           "2026-01-02T03:04:61Z",
                           "2026-01-02T03:04:05.Z",
                           "2026-01-02T03:04:05Zx",
                           "2026-01-02T03:04:05+0100",
                           "2026-01-02T03:04:05+24:00",
                           "2026-01-02T03:04:05+",
                           "-026-01-02T03:04:05Z",
                           "2026-01-02T03:04:05\xFFZ",
                           "1767323045678"}) {
    INFO(text);
    const auto parsed = parse_timestamp(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::bad_response);
    CHECK_THAT(parsed.error().message, mlflowha_tests::contains("expected a time such as"));
  }
}

TEST_CASE("spans of time are written and read back", "[api][time]") {
  struct Row {
    nanoseconds value;
    const char* text;
  };
  const Row rows[] = {{0ns, "0s"},
                      {1500ms, "1.500s"},
                      {3s, "3s"},
                      {-1500ms, "-1.500s"},
                      {1us, "0.000001s"},
                      {-1ns, "-0.000000001s"},
                      {nanoseconds(9223372035999999999), "9223372035.999999999s"}};
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(format_duration(row.value) == row.text);
    CHECK(parse_duration(row.text).value() == row.value);
  }
  CHECK(parse_duration("1.5s").value() == 1500ms);
  CHECK(parse_duration("1.0000000019s").value() == 1s + 1ns);
  CHECK(format_duration(nanoseconds::min()) == "-9223372036.854775808s");
}

TEST_CASE("what is no span of time is an error that shows it", "[api][time]") {
  for (const char* text : {"", "s", "1", "1.s", ".5s", "1.5", "1.5 s", "1.5S", "+1s", "--1s", "1e3s", "1.5ss",
                           "9223372037s", "99999999999999999999999s"}) {
    INFO(text);
    const auto parsed = parse_duration(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::bad_response);
  }
}
