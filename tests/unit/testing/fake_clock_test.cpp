#include <mlflowha/testing/fake_clock.hpp>

#include <string>
#include <thread>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using mlflowha::CancellationSource;
using mlflowha::CancellationToken;
using mlflowha::TimePoint;
using mlflowha::WallTime;
using mlflowha::testing::FakeClock;

TEST_CASE("FakeClock: sleeping makes the time pass and is recorded", "[testing][clock]") {
  FakeClock clock;
  const TimePoint start = clock.now();
  const WallTime wall = clock.wall_now();
  clock.sleep_until(start + 90s, {});
  CHECK(clock.now() == start + 90s);
  CHECK(clock.wall_now() == wall + 90s);
  clock.sleep_until(start, {});
  CHECK(clock.now() == start + 90s);
  CHECK(clock.sleeps() == std::vector<mlflowha::Duration>{90s, 0s});
  clock.clear_sleeps();
  CHECK(clock.sleeps().empty());
}

TEST_CASE("FakeClock: time spent by a transport is not a sleep", "[testing][clock]") {
  FakeClock clock;
  const TimePoint start = clock.now();
  clock.pass_until(start + 1s, {});
  clock.advance(1s);
  CHECK(clock.now() == start + 2s);
  CHECK(clock.sleeps().empty());
}

TEST_CASE("FakeClock: the calendar can be set and moves with the time", "[testing][clock]") {
  FakeClock clock;
  clock.advance(1500us);
  const WallTime birthday(std::chrono::milliseconds(1'700'000'000'123));
  clock.set_wall(birthday);
  CHECK(clock.wall_now() == birthday);
  clock.advance(2s);
  CHECK(clock.wall_now() == birthday + 2s);
}

TEST_CASE("FakeClock: the end of time is not an overflow", "[testing][clock]") {
  FakeClock clock;
  clock.sleep_until(TimePoint::max(), {});
  CHECK(clock.now() == TimePoint::max());
  clock.advance(1s);
  CHECK(clock.now() == TimePoint::max());
  CHECK(clock.wall_now().time_since_epoch() > 0ms);
}

TEST_CASE("FakeClock: scheduled actions happen in order, each at its due time", "[testing][clock]") {
  FakeClock clock;
  const TimePoint start = clock.now();
  std::string story;
  const auto note = [&](char c) {
    story += c;
    story += std::to_string((clock.now() - start) / 1s);
  };
  clock.schedule(start + 2s, [&] { note('b'); });
  clock.schedule(start + 2s, [&] { note('c'); });
  clock.schedule(start + 1s, [&] {
    note('a');
    clock.schedule(start + 3s, [&] { note('d'); });
    clock.schedule(start, [&] { note('p'); });  // overdue: at once
  });
  clock.schedule(start + 9s, [&] { note('z'); });
  clock.schedule(start + 2s, nullptr);
  clock.sleep_until(start + 5s, {});
  CHECK(story == "a1p1b2c2d3");
  CHECK(clock.now() == start + 5s);
  CHECK(clock.scheduled() == 1);
}

TEST_CASE("FakeClock: a cancelled sleep lets no more time pass", "[testing][clock]") {
  FakeClock clock;
  const TimePoint start = clock.now();
  CancellationSource source;
  SECTION("cancelled before") {
    source.request_stop();
    clock.sleep_until(start + 1s, source.get_token());
    CHECK(clock.now() == start);
  }
  SECTION("cancelled on the way") {
    clock.schedule(start + 300ms, [&] { source.request_stop(); });
    clock.sleep_until(start + 1s, source.get_token());
    CHECK(clock.now() == start + 300ms);
  }
}

TEST_CASE("FakeClock: in manual mode sleepers wait for advance", "[testing][clock]") {
  FakeClock clock(FakeClock::Mode::manual);
  const TimePoint start = clock.now();
  std::atomic<int> awake{0};
  std::thread early([&] {
    clock.sleep_until(start + 1s, {});
    ++awake;
  });
  std::thread late([&] {
    clock.sleep_until(start + 2s, {});
    ++awake;
  });
  REQUIRE(clock.wait_for_sleepers(2, 10s));
  clock.advance(999ms);
  CHECK(clock.sleepers() == 2);
  clock.advance(1ms);
  early.join();
  CHECK(awake == 1);
  CHECK(clock.sleepers() == 1);
  clock.advance(1h);
  late.join();
  CHECK(awake == 2);
  CHECK_FALSE(clock.wait_for_sleepers(1, 0ms));
  clock.sleep_until(start, {});  // over: returns at once
}

TEST_CASE("FakeClock: a manual sleep is cancelled from another thread", "[testing][clock]") {
  FakeClock clock(FakeClock::Mode::manual);
  const TimePoint start = clock.now();
  CancellationSource source;
  std::thread sleeper([&] { clock.sleep_until(start + 1h, source.get_token()); });
  REQUIRE(clock.wait_for_sleepers(1, 10s));
  source.request_stop();
  sleeper.join();
  CHECK(clock.now() == start);
  CHECK(clock.sleepers() == 0);
}
