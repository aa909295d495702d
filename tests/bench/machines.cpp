// What a call costs before and after its I/O: breaker, pick, and the whole plan, each without a network. Prints a JSON
// object of figures in ns per operation, and how many times memory was allocated on the way.
//
// Single-threaded figures are CPU time of the thread, so that a busy machine doesn't enter them; two threads on one
// breaker are measured by the wall clock, because waiting for a cache line is what they are about.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/rng.hpp>
#include <mlflowha/core/uri.hpp>
#include <mlflowha/resilience/call_plan.hpp>
#include <mlflowha/resilience/circuit_breaker.hpp>
#include <mlflowha/resilience/endpoint_set.hpp>
#include <mlflowha/resilience/retry_budget.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "measure.hpp"

namespace {

std::atomic<std::int64_t> allocations{0};

void* counted(std::size_t size, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const std::size_t whole = size == 0 ? alignment : (size + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, whole);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

using namespace std::chrono_literals;
using mlflowha::CallResult;
using mlflowha::CircuitBreaker;
using mlflowha::Duration;
using mlflowha::EndpointSet;
using mlflowha::TimePoint;

constexpr int runs = 21;

double thread_cpu() {
  timespec time{};
  (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Time as the machines see it: passed in, moving by `step` per operation.
struct Ticker {
  TimePoint now{1h};
  Duration step = 1us;
  TimePoint operator()() { return now += step; }
};

/// ns of CPU per operation.
template <class Operation>
double time_of(int operations, Operation&& operation) {
  const double start = thread_cpu();
  for (int i = 0; i < operations; ++i) operation();
  return (thread_cpu() - start) * 1e9 / operations;
}

void one_call(CircuitBreaker& breaker, TimePoint now) {
  CircuitBreaker::Permit permit = breaker.try_acquire(now);
  if (!permit) throw std::runtime_error("a closed breaker refused");
  permit.report(now, CallResult::success);
}

/// ns of wall-clock per operation and thread, while another thread does the same on the same breaker.
double contended(CircuitBreaker& breaker, TimePoint start_of_time, int operations) {
  std::atomic<int> ready{0};
  std::array<double, 2> took{};
  const auto work = [&](std::size_t which) {
    Ticker time{start_of_time};
    ready.fetch_add(1);
    while (ready.load() < 2) {
    }
    const auto start = bench::SteadyClock::now();
    for (int i = 0; i < operations; ++i) one_call(breaker, time());
    took[which] = bench::Seconds(bench::SteadyClock::now() - start).count() * 1e9 / operations;
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  return (took[0] + took[1]) / 2;
}

std::unique_ptr<EndpointSet> endpoints(std::size_t count, mlflowha::Selection selection) {
  std::vector<mlflowha::EndpointSpec> specs;
  for (std::size_t i = 0; i < count; ++i) {
    specs.push_back({mlflowha::parse_uri("http://10.0.0." + std::to_string(i + 1) + ":5000").value(), 0});
  }
  mlflowha::EndpointSetOptions options;
  options.selection = selection;
  auto set = std::make_unique<EndpointSet>(std::move(specs), options, std::make_shared<mlflowha::SplitMixRng>(1));
  for (std::uint32_t i = 0; i < count; ++i) set->mark_identified(i);
  return set;
}

/// All but the last have just failed.
void break_all_but_last(EndpointSet& set, TimePoint now) {
  mlflowha::Outcome broken;
  broken.verdict = mlflowha::Verdict::endpoint_fault;
  EndpointSet::Tried tried;
  for (std::size_t i = 0; i + 1 < set.size(); ++i) {
    auto pick = set.pick(now, tried);
    if (!pick.lease) throw std::runtime_error("nobody to pick");
    tried.add(pick.lease.index());
    set.report(std::move(pick.lease), now, broken, "refused");
  }
}

struct Subject {
  std::string name;
  int operations;
  std::function<double(int)> run;  ///< of that many operations; ns per operation
};

/// A whole call without a fault: pick, permit, budget, report; the clock is read as often as a driver must.
void planned_call(EndpointSet& set, mlflowha::RetryBudget& budget, const mlflowha::CallPlanOptions& options,
                  mlflowha::Rng& rng, TimePoint started, TimePoint ended) {
  mlflowha::CallPlan plan(options, mlflowha::Idempotency::same_again, mlflowha::Deadline::after(started, 30s), set,
                          budget, rng);
  auto action = plan.start(started);
  if (!std::holds_alternative<mlflowha::CallPlan::Attempt>(action)) throw std::runtime_error("no attempt was planned");
  mlflowha::Outcome fine;
  fine.latency = ended - started;
  action = plan.resume(ended, fine);
  if (!std::get<mlflowha::CallPlan::Done>(action).success) throw std::runtime_error("a fine call failed");
}

bench::Json measure() {
  const auto rng = std::make_shared<mlflowha::SplitMixRng>(7);
  const auto clock = mlflowha::system_clock();
  Ticker time;

  CircuitBreaker closed({}, rng);
  CircuitBreaker shared({}, rng);
  CircuitBreaker open({}, rng);
  open.set_override(time(), CircuitBreaker::Override::forced_open);
  CircuitBreaker tripped({}, rng);
  tripped.open_until(time.now, time.now + 24h);
  if (tripped.try_acquire(time.now)) throw std::runtime_error("an open breaker granted a call");

  mlflowha::RetryBudget budget;
  const mlflowha::CallPlanOptions plan_options;
  const auto three = endpoints(3, mlflowha::Selection::primary_first);

  std::vector<Subject> subjects;
  const auto add = [&subjects](std::string name, int operations, auto operation) {
    subjects.push_back({std::move(name), operations, [operation](int n) mutable { return time_of(n, operation); }});
  };
  add("clock", 200'000, [clock] { bench::keep(clock->now()); });
  add("breaker", 200'000, [&] { one_call(closed, time()); });
  add("reject_tripped", 200'000, [&] { bench::keep(tripped.try_acquire(time())); });
  add("reject_forced", 200'000, [&] { bench::keep(open.try_acquire(time())); });
  add("plan_without_clock", 100'000, [&] {
    const TimePoint started = time();
    planned_call(*three, budget, plan_options, *rng, started, time());
  });
  const auto live = endpoints(3, mlflowha::Selection::primary_first);
  add("plan", 100'000, [&] {
    const TimePoint started = clock->now();
    planned_call(*live, budget, plan_options, *rng, started, clock->now());
  });
  subjects.push_back({"breaker_two_threads", 500'000, [&](int n) { return contended(shared, time.now, n); }});

  std::vector<std::unique_ptr<EndpointSet>> sets;
  for (const std::size_t count : {std::size_t{3}, std::size_t{100}}) {
    const std::string suffix = count == 3 ? "_3" : "_100";
    const auto add_pick = [&](const std::string& name, mlflowha::Selection selection, bool broken) {
      EndpointSet* set = sets.emplace_back(endpoints(count, selection)).get();
      // Health moves with time; the picks of this one stand still, so that a broken list stays broken.
      const TimePoint now = time.now;
      if (broken) break_all_but_last(*set, now);
      add(name + suffix, count == 3 ? 100'000 : 20'000, [set, now, untried = EndpointSet::Tried()] {
        const auto pick = set->pick(now, untried);
        if (!pick.lease) throw std::runtime_error("nobody to pick");
      });
    };
    add_pick("pick_primary_first", mlflowha::Selection::primary_first, false);
    add_pick("pick_p2c", mlflowha::Selection::p2c_ewma, false);
    add_pick("pick_last_of_broken", mlflowha::Selection::primary_first, true);
  }

  std::map<std::string, std::vector<double>> samples;
  std::map<std::string, std::int64_t> allocated;
  for (Subject& subject : subjects) (void)subject.run(1000);  // warm
  for (int run = 0; run < runs; ++run) {
    for (Subject& subject : subjects) {
      const std::int64_t before = allocations.load();
      const double ns = subject.run(subject.operations);
      allocated[subject.name] += allocations.load() - before;
      samples[subject.name].push_back(ns);
    }
  }
  bench::Json result;
  for (const Subject& subject : subjects) {
    result[subject.name] = bench::spread(samples[subject.name]);
    // (The run with two threads allocates its second thread.)
    if (subject.name != "breaker_two_threads") result[subject.name]["allocations"] = allocated[subject.name];
    result[subject.name]["operations"] = static_cast<std::int64_t>(runs) * subject.operations;
  }
  return result;
}

}  // namespace

int main() { return bench::report(measure); }
