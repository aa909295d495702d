#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/rng.hpp>

#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;

TEST_CASE("SplitMix64 gives its published sequence", "[core][rng]") {
  // First outputs for seed 1234567 (reference implementation by S. Vigna).
  SplitMixRng rng(1234567);
  CHECK(rng.next() == 6457827717110365317ULL);
  CHECK(rng.next() == 3203168211198807973ULL);
  CHECK(rng.next() == 9817491932198370423ULL);
  CHECK(rng.next() == 4593380528125082431ULL);
  CHECK(rng.next() == 16408922859458223821ULL);
}

TEST_CASE("draws stay in their range", "[core][rng]") {
  SplitMixRng rng(1);
  std::vector<int> seen(7, 0);
  for (int i = 0; i < 7000; ++i) {
    const double unit = uniform(rng);
    REQUIRE(unit >= 0.0);
    REQUIRE(unit < 1.0);
    ++seen[below(rng, 7)];
  }
  for (int count : seen) CHECK((count > 800 && count < 1200));
  CHECK(below(rng, 0) == 0);
  CHECK(below(rng, 1) == 0);
}

TEST_CASE("a UUID is version 4, variant 1 and new each time", "[core][rng]") {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = make_uuid(*process_rng());
    REQUIRE(id.size() == 36);
    CHECK(id[8] == '-');
    CHECK(id[13] == '-');
    CHECK(id[14] == '4');
    CHECK(id[18] == '-');
    CHECK(std::string("89ab").find(id[19]) != std::string::npos);
    CHECK(id[23] == '-');
    CHECK(id.find_first_not_of("0123456789abcdef-") == std::string::npos);
    seen.insert(id);
  }
  CHECK(seen.size() == 1000);
}

TEST_CASE("a deadline saturates instead of overflowing", "[core][clock]") {
  const TimePoint now{100s};
  CHECK(Deadline::after(now, 5s).at() == now + 5s);
  CHECK(Deadline::after(now, Duration::max()).at() == TimePoint::max());
  CHECK(Deadline::after(now, 5s).remaining(now + 2s) == 3s);
  CHECK(Deadline::after(now, 5s).remaining(now + 9s) == Duration::zero());
  CHECK(Deadline::after(now, 0s).passed(now));
  CHECK_FALSE(Deadline::never().passed(now));
}

TEST_CASE("a triggered token ends a wait at once", "[core][clock]") {
  CancellationSource source;
  source.request_stop();
  const TimePoint before = system_clock()->now();
  system_clock()->sleep_until(before + 1h, source.get_token());
  CHECK(system_clock()->now() - before < 1h);
}
