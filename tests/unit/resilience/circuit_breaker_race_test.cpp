// Many threads on one breaker. The clock stands still or is moved by hand, so nothing here depends on how fast it runs.

#include <mlflowha/resilience/impl/breaker_streak.ipp>
#include <mlflowha/resilience/impl/breaker_window.ipp>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "unit/resilience/breaker_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

using Override = CircuitBreaker::Override;
using Permit = CircuitBreaker::Permit;

namespace {

/// Threads that do one thing together, again and again: run(f) calls f(0) .. f(n-1), each on its own thread, all let go
/// at the same moment, and returns when all are done.
class Team {
 public:
  explicit Team(int size) : size_(size) {
    for (int i = 0; i < size; ++i) threads_.emplace_back([this, i] { work(i); });
  }
  ~Team() {
    job_ = nullptr;
    round_.fetch_add(1);
    round_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void run(const std::function<void(int)>& job) {
    job_ = job;
    done_.store(0);
    round_.fetch_add(1);
    round_.notify_all();
    wait_for(done_, size_);
  }

 private:
  /// Spins for a moment, so that all begin together in tests of many short rounds; sleeps then, so that a machine with
  /// more to do is left to those who work.
  static void wait_for(const std::atomic<int>& counter, int value) {
    constexpr int spins = 1'000;
    for (int i = 0; i < spins && counter.load() < value; ++i) std::this_thread::yield();
    for (int seen = counter.load(); seen < value; seen = counter.load()) counter.wait(seen);
  }
  void work(int number) {
    for (int round = 1;; ++round) {
      wait_for(round_, round);
      if (!job_) return;
      job_(number);
      if (done_.fetch_add(1) + 1 == size_) done_.notify_all();
    }
  }
  const int size_;
  std::function<void(int)> job_;
  std::atomic<int> round_{0};
  std::atomic<int> done_{0};
  std::vector<std::thread> threads_;
};

/// A snapshot, or nothing when it took so long that it may be the mixture that its documentation allows: somebody was
/// held up in the middle of a change, and it gave up. That takes 200,000 tries, far more than this limit even where
/// each is a mere 50 ns; one that doesn't wait at all is far below it.
std::optional<CircuitBreaker::Snapshot> prompt_snapshot(const CircuitBreaker& breaker, TimePoint now) {
  const auto began = std::chrono::steady_clock::now();
  const auto snapshot = breaker.snapshot(now);
  if (std::chrono::steady_clock::now() - began > 5ms) return std::nullopt;
  return snapshot;
}

CircuitBreakerOptions five_in_a_row() {
  auto options = plain_options();
  options.failure_rate = 0.0;
  return options;
}

}  // namespace

TEST_CASE("no call is lost or counted twice", "[resilience][breaker][thread]") {
  BreakerFixture f;
  f.breaker.set_override(f.now, Override::metrics_only);
  constexpr int threads = 10;  // more than stripes: some share one
  constexpr int each = 5'000;
  Team team(threads);
  team.run([&](int) {
    for (int i = 0; i < each; ++i) f.call(i % 4 == 0 ? hard : i % 4 == 1 ? soft : ok);
  });
  auto snapshot = f.snapshot();
  CHECK(snapshot.window_calls == threads * each);
  CHECK(snapshot.window_failures == threads * each / 2);
  CHECK(snapshot.success_count == threads * each / 2);
  f.breaker.reset(f.now);
  f.breaker.set_override(f.now, Override::metrics_only);
  team.run([&](int) {
    for (int i = 0; i < each; ++i) f.call(hard);
  });
  CHECK(f.snapshot().failure_count == threads * each);
}

TEST_CASE("buckets that move on under load lose nothing", "[resilience][breaker][thread]") {
  detail::BreakerWindow window(10s);
  constexpr int threads = 10;
  Team team(threads);
  for (int lap = 0; lap < 30; ++lap) {
    const TimePoint start{1000s + lap * 10s};
    team.run([&](int number) {
      for (int slot = 0; slot < 10; ++slot) {
        for (int i = 0; i < 20; ++i) window.add(start + slot * 1s, (i + number) % 2 == 0, [] { return true; });
      }
    });
    const auto sums = window.sums(start + 9s);
    REQUIRE(sums.calls == threads * 200);
    REQUIRE(sums.failures == threads * 100);
  }
}

TEST_CASE("concurrent failures trip once", "[resilience][breaker][thread]") {
  Team team(4);
  BreakerFixture f(five_in_a_row());
  for (int round = 0; round < 1'000; ++round) {
    f.breaker.reset(f.now);
    team.run([&](int) {
      Permit first = f.breaker.try_acquire(f.now);
      Permit second = f.breaker.try_acquire(f.now);
      first.report(f.now, hard);
      second.report(f.now, hard);
    });
    // Eight results; some may have been refused by then. The fifth one trips, and the rest must not.
    const auto snapshot = f.snapshot();
    REQUIRE(snapshot.state == BreakerState::open);
    REQUIRE(snapshot.trips_in_a_row == 1);
    REQUIRE(snapshot.retry_at == f.now + 1s);
  }
}

TEST_CASE("of many threads one gets the probe", "[resilience][breaker][thread]") {
  Team team(4);
  BreakerFixture f(five_in_a_row());
  std::atomic<int> granted{0};
  for (int round = 0; round < 1'000; ++round) {
    if (f.state() == BreakerState::closed) REQUIRE(f.calls("EEEEE"));
    f.now = f.breaker.retry_at().value_or(f.now);
    granted.store(0);
    std::vector<Permit> probes(4);
    team.run([&](int number) {
      const auto i = static_cast<std::size_t>(number);
      probes[i] = number % 2 == 0 ? f.breaker.try_acquire(f.now) : f.breaker.try_acquire_early(f.now);
      if (probes[i]) granted.fetch_add(1);
    });
    REQUIRE(granted.load() == 1);
    REQUIRE(f.state() == BreakerState::half_open);
    for (Permit& probe : probes) {
      if (round % 3 != 2) probe.report(f.now, round % 3 == 0 ? ok : hard);  // otherwise dropped
    }
  }
}

TEST_CASE("of many threads one takes the place of a lost probe", "[resilience][breaker][thread]") {
  Team team(4);
  for (int round = 0; round < 500; ++round) {
    BreakerFixture f(five_in_a_row());
    REQUIRE(f.calls("EEEEE"));
    f.now += 1s;
    Permit lost = f.breaker.try_acquire(f.now);
    REQUIRE(lost);
    f.now += 1h;
    std::atomic<int> granted{0};
    std::vector<Permit> probes(4);
    team.run([&](int number) {
      const auto i = static_cast<std::size_t>(number);
      if (number == 3) {
        lost.report(f.now, ok);  // meanwhile its owner wakes up
      } else {
        probes[i] = f.breaker.try_acquire(f.now);
        if (probes[i]) granted.fetch_add(1);
      }
    });
    REQUIRE(granted.load() <= 1);
    // Nobody waits: who comes in the very moment in which the late result is booked is refused, be it all three.
    if (granted.load() == 0) probes[3] = f.breaker.try_acquire(f.now);
    REQUIRE((granted.load() == 1 || probes[3]));
    REQUIRE(f.snapshot().trips_in_a_row == 2);
    REQUIRE(f.state() == BreakerState::half_open);
  }
}

TEST_CASE("a result that races with a reset is forgotten with the rest or not counted",
          "[resilience][breaker][thread]") {
  // The reporter counts in the bucket that a reset clears first: a result that is counted without another look at the
  // state comes after the clearing in a good share of the rounds.
  auto options = five_in_a_row();
  options.consecutive_failures = 1'000'000;
  BreakerFixture f(options);
  f.now = TimePoint{6s};  // bucket 0
  std::vector<Permit> permits(2'048);
  std::atomic<int> round{0};     // the reporter may report; -1: no more
  std::atomic<int> finished{0};  // it has
  std::atomic<int> reported{0};

  std::thread reporter;
  for (bool found = false; !found;) {  // stripe 0 comes round every eighth thread
    std::atomic<int> stripe{-1};
    reporter = std::thread([&] {
      const auto own = static_cast<int>(detail::BreakerWindow::stripe_of_this_thread());
      stripe.store(own);
      for (int i = 1; own == 0; ++i) {
        while (round.load() >= 0 && round.load() < i) std::this_thread::yield();
        if (round.load() < 0) return;
        for (Permit& permit : permits) {
          permit.report(f.now, i % 3 == 0 ? soft : hard);
          reported.store(reported.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        }
        finished.store(i);
      }
    });
    while (stripe.load() < 0) std::this_thread::yield();
    found = stripe.load() == 0;
    if (!found) reporter.join();
  }
  int left_over = 0;
  // Goes on until the two have really met often enough.
  for (int i = 1, met = 0; i <= 3'000 && met < 1'000; ++i) {
    for (Permit& permit : permits) permit = f.breaker.try_acquire(f.now);
    reported.store(0);
    round.store(i);
    int before = 0;
    while ((before = reported.load()) < 1 + i % 16) std::this_thread::yield();  // let some come first
    i % 2 == 0 ? f.breaker.reset(f.now) : f.breaker.set_override(f.now, Override::metrics_only);
    met += reported.load() != before && before < 2'000 ? 1 : 0;
    while (finished.load() < i) std::this_thread::yield();
    const auto snapshot = f.snapshot();
    left_over += snapshot.window_calls != 0 || snapshot.window_failures != 0 || snapshot.failure_count != 0 ? 1 : 0;
  }
  round.store(-1);
  reporter.join();
  CHECK(left_over == 0);
}

TEST_CASE("a row of failures belongs to one generation", "[resilience][breaker][thread]") {
  detail::BreakerStreak streak;
  CHECK(streak.extend(0) == 1);
  CHECK(streak.extend(0) == 2);
  streak.begin(7, streak.length());
  // what comes late from another generation
  CHECK(streak.extend(0) == 0);
  CHECK(streak.extend(8) == 0);
  streak.end(0);
  CHECK(streak.length() == 2);
  CHECK(streak.extend(7) == 3);
  streak.end(7);
  CHECK(streak.length() == 0);
  // the end of counting
  streak.begin(8, detail::BreakerStreak::longest + 1);
  CHECK(streak.length() == detail::BreakerStreak::longest);
  CHECK(streak.extend(8) == detail::BreakerStreak::longest);
  CHECK(streak.extend(8) == detail::BreakerStreak::longest);
}

TEST_CASE("no failure in a row is lost", "[resilience][breaker][thread]") {
  // Goes on until the threads have really met: on a busy machine they may run one after the other for long.
  detail::BreakerStreak streak;
  std::atomic<bool> enough{false};
  std::atomic<std::uint64_t> total{0};
  Team team(2);
  team.run([&](int) {
    std::uint64_t own = 0;
    std::uint64_t last = 0;
    for (int met = 0; met < 10'000 && own < 20'000'000 && !enough.load(std::memory_order_relaxed);) {
      const std::uint64_t length = streak.extend(0);
      ++own;
      met += length != last + 1 ? 1 : 0;
      last = length;
    }
    enough.store(true);
    total.fetch_add(own);
  });
  CHECK(streak.length() == total.load());
}

TEST_CASE("successes and failures at the same time never leave a row behind", "[resilience][breaker][thread]") {
  // Whatever the order, a row that is ended by a success starts from nothing.
  BreakerFixture f;
  f.breaker.set_override(f.now, Override::metrics_only);
  Team team(3);
  for (int round = 0; round < 300; ++round) {
    team.run([&](int number) {
      for (int i = 0; i < 5; ++i) f.call(number == 0 ? ok : hard);
    });
    REQUIRE(f.snapshot().failure_count <= 10);
    REQUIRE(f.call(ok));
    REQUIRE(f.snapshot().failure_count == 0);
  }
}

TEST_CASE("under chaos there is never more than one probe", "[resilience][breaker][thread]") {
  auto options = plain_options();
  options.open_for = 1ns;  // every acquire after a trip is a probe
  options.open_for_max = 1ns;
  CircuitBreaker breaker(options, std::make_shared<SplitMixRng>(7));
  std::atomic<int> probes{0};
  std::atomic<bool> overlapped{false};
  std::atomic<std::int64_t> granted{0};
  std::atomic<std::int64_t> clock{1'000'000'000};
  Team team(4);
  team.run([&](int number) {
    SplitMixRng rng(static_cast<std::uint64_t>(number));
    for (int i = 0; i < 30'000; ++i) {
      const TimePoint now{Duration(clock.fetch_add(10))};  // 1.2 ms in all: no lease runs out
      Permit permit = breaker.try_acquire(now);
      if (!permit) continue;
      granted.fetch_add(1, std::memory_order_relaxed);
      const bool probe = permit.is_probe();
      if (probe && probes.fetch_add(1) != 0) overlapped.store(true);
      if (below(rng, 8) == 0) std::this_thread::yield();
      const std::uint64_t dice = below(rng, 10);
      if (probe) probes.fetch_sub(1);
      if (dice < 5) permit.report(now, hard);
      if (dice >= 5 && dice < 9) permit.report(now, ok);
    }
  });
  CHECK_FALSE(overlapped.load());
  CHECK(granted.load() > 0);
  const TimePoint now{Duration(clock.load())};
  const auto snapshot = breaker.snapshot(now);
  CHECK(snapshot.window_failures <= snapshot.window_calls);
  CHECK(breaker.would_admit(now));  // everything was settled: no place is still taken
}

TEST_CASE("a snapshot never mixes two states", "[resilience][breaker][thread]") {
  BreakerFixture f(five_in_a_row());
  std::atomic<bool> mixed{false};
  std::atomic<bool> done{false};
  std::atomic<int> prompt{0};
  std::thread reader([&, now = f.now] {
    while (!done.load()) {
      const auto snapshot = prompt_snapshot(f.breaker, now);
      if (!snapshot) continue;
      prompt.store(prompt.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      if (snapshot->state == BreakerState::open && (snapshot->trips_in_a_row != 1 || snapshot->failure_count != 5)) {
        mixed.store(true);
      }
      if (snapshot->state == BreakerState::closed && snapshot->trips_in_a_row != 0) mixed.store(true);
    }
  });
  // Goes on until the reader has really looked: on a busy machine it may begin late.
  for (int i = 0; i < 6'000 || prompt.load() < 1'000; ++i) {
    f.calls("EEEEE");
    for (int pause = 0; pause < 3; ++pause) (void)f.snapshot();
    f.breaker.reset(f.now);
    for (int pause = 0; pause < 3; ++pause) (void)f.snapshot();
  }
  done.store(true);
  reader.join();
  CHECK_FALSE(mixed.load());
}

TEST_CASE("orders, questions and calls at the same time", "[resilience][breaker][thread]") {
  BreakerFixture f;
  std::atomic<bool> consistent{true};
  Team team(4);
  team.run([&](int number) {
    SplitMixRng rng(static_cast<std::uint64_t>(number));
    for (int i = 0; i < 10'000; ++i) {
      const TimePoint now = f.now + i * 1ms;
      if (number == 0) {
        switch (below(rng, 8)) {
          case 0:
            f.breaker.reset(now);
            break;
          case 1:
            f.breaker.open_until(now, now + 2ms);
            break;
          case 2:
            f.breaker.set_override(now, static_cast<Override>(below(rng, 4)));
            break;
          default:
            f.breaker.set_override(now, Override::none);
            break;
        }
      } else if (number == 1) {
        if (const auto seen = prompt_snapshot(f.breaker, now)) {
          const bool open = seen->state == BreakerState::open;
          if (seen->retry_at.has_value() != open) consistent.store(false);
          if (seen->trips_in_a_row < 0 || seen->window_failures > seen->window_calls) consistent.store(false);
        }
        (void)f.breaker.would_admit(now);
        (void)f.breaker.retry_at();
        (void)f.breaker.state(now);
      } else {
        Permit permit = f.breaker.try_acquire(now);
        if (below(rng, 8) != 0) permit.report(now, below(rng, 2) == 0 ? ok : hard);
      }
    }
  });
  CHECK(consistent.load());
  f.breaker.reset(f.now);
  CHECK(f.snapshot().window_calls == 0);
  CHECK(f.calls("EEEEE"));
  CHECK(f.state() == BreakerState::open);
}
