#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/twin_watch.hpp>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;

namespace {
const TimePoint start{1000s};
WatchedCreate create(const std::string& tag) { return {&api::ops::create_run, "0", tag, "kept"}; }
}  // namespace

TEST_CASE("looks come with growing gaps until the watch ends, the last one after it", "[client][twins]") {
  TwinWatch watch(20s, 1s, 8s);
  watch.add(start, create("t"));
  CHECK_FALSE(watch.next_due(start + 999ms));
  std::vector<Duration> looks;
  for (Duration at = 0s; at < 60s; at += 100ms) {
    if (!watch.next_due(start + at)) continue;
    looks.push_back(at);
    watch.looked(start + at, "t");
  }
  CHECK(looks == std::vector<Duration>{1s, 3s, 7s, 15s, 20s});
  CHECK(watch.size() == 0);
}

TEST_CASE("a look that failed is due again soon", "[client][twins]") {
  TwinWatch watch(60s, 1s, 30s);
  watch.add(start, create("t"));
  REQUIRE(watch.next_due(start + 10s));
  CHECK_FALSE(watch.next_due(start + 11s));
  watch.again(start + 11s, "t");
  CHECK(watch.next_due(start + 12s));
}

TEST_CASE("a create is not forgotten before a look at its end has succeeded", "[client][twins]") {
  TwinWatch watch(20s, 1s, 8s);
  watch.add(start, create("t"));
  int looks = 0;
  for (Duration at = 0s; at < 30s; at += 100ms) looks += watch.next_due(start + at) ? 1 : 0;  // all of them fail
  CHECK(watch.size() == 1);
  REQUIRE(watch.next_due(start + 40s));  // the last one
  CHECK(watch.size() == 0);
  CHECK(looks >= 6);
}

TEST_CASE("each create is looked after on its own", "[client][twins]") {
  TwinWatch watch(60s, 1s, 30s);
  watch.add(start, create("a"));
  watch.add(start + 500ms, create("b"));
  CHECK(watch.next_due(start + 1s)->request_tag == "a");
  CHECK_FALSE(watch.next_due(start + 1s));
  CHECK(watch.next_due(start + 1500ms)->request_tag == "b");
  CHECK(watch.all().size() == 2);
  watch.forget("a");
  CHECK(watch.all().size() == 1);
}

TEST_CASE("a watch of no length watches nothing", "[client][twins]") {
  TwinWatch watch(0s);
  watch.add(start, create("t"));
  CHECK(watch.size() == 0);
  CHECK_FALSE(watch.next_due(start + 1h));
}

TEST_CASE("a watch without end never forgets by itself", "[client][twins]") {
  TwinWatch watch(Duration::max(), 1s, 8s);
  watch.add(start, create("t"));
  REQUIRE(watch.next_due(start + 1s));
  CHECK(watch.size() == 1);
  watch.looked(start + 1s, "t");
  REQUIRE(watch.next_due(start + 24h * 365));
  watch.looked(start + 24h * 365, "t");
  CHECK(watch.size() == 1);
}
