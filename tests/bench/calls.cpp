// log_metric through the SDK against a bare libcurl handle, on one thread (latency and CPU) and on sixteen (calls/s).
// Both send the same bytes to the same fast server in turns. Usage: calls <url of the fast server> [seconds per side]

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bare_curl.hpp"
#include "measure.hpp"
#include "subject.hpp"

namespace {

constexpr int block = 400;  // calls between two changes of side: some 10 ms

struct Block {
  double p50_us;
  double p99_us;
  double cpu_us;  // per call, of this process
};

template <class Call>
Block run_block(Call&& call) {
  std::vector<double> latencies;
  latencies.reserve(block);
  const double cpu = bench::process_cpu();
  auto last = bench::SteadyClock::now();
  for (int i = 0; i < block; ++i) {
    call();
    const auto now = bench::SteadyClock::now();
    latencies.push_back(bench::Seconds(now - last).count() * 1e6);
    last = now;
  }
  const double used = (bench::process_cpu() - cpu) * 1e6 / block;
  return {bench::median(latencies), bench::quantile(latencies, 0.99), used};
}

bench::Json one_thread(const std::string& url, int pairs) {
  const mlflowha::Client client = bench::make_client({url});
  bench::BareCurl bare(url, bench::capture_request(client, url));
  std::int64_t step = 0;
  const auto ours = [&] { bench::log_point(client, ++step); };
  const auto theirs = [&] { bare.call(); };
  (void)run_block(ours);
  (void)run_block(theirs);

  std::vector<double> p50_ratio, cpu_ratio, p50_ours, p50_bare, p99_ours, p99_bare, cpu_ours, cpu_bare;
  for (int pair = 0; pair < pairs; ++pair) {
    Block a{}, b{};
    if (pair % 2 == 0) {
      a = run_block(ours);
      b = run_block(theirs);
    } else {
      b = run_block(theirs);
      a = run_block(ours);
    }
    p50_ratio.push_back(a.p50_us / b.p50_us);
    cpu_ratio.push_back(a.cpu_us / b.cpu_us);
    p50_ours.push_back(a.p50_us);
    p50_bare.push_back(b.p50_us);
    p99_ours.push_back(a.p99_us);
    p99_bare.push_back(b.p99_us);
    cpu_ours.push_back(a.cpu_us);
    cpu_bare.push_back(b.cpu_us);
  }
  return {{"p50_ratio", bench::spread(p50_ratio)}, {"cpu_ratio", bench::spread(cpu_ratio)},
          {"p50_us", bench::median(p50_ours)},     {"p50_us_bare", bench::median(p50_bare)},
          {"p99_us", bench::median(p99_ours)},     {"p99_us_bare", bench::median(p99_bare)},
          {"cpu_us", bench::median(cpu_ours)},     {"cpu_us_bare", bench::median(cpu_bare)}};
}

struct Rate {
  double calls_per_s;
  double cpu_us;  // per call, of this process
};

/// `count` threads that call until the time is up; `call(i)` is thread i's.
template <class Call>
Rate rate(std::size_t count, double seconds, Call&& call) {
  std::atomic<std::size_t> ready{0};
  std::atomic<bool> go{false};
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> calls{0};
  std::atomic<bool> failed{false};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      std::int64_t mine = 0;
      ready.fetch_add(1);
      while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
      try {
        for (; !stop.load(std::memory_order_relaxed); ++mine) call(i);
      } catch (const std::exception& e) {
        (void)std::fprintf(stderr, "a call failed: %s\n", e.what());
        failed = true;
      }
      calls += mine;
    });
  }
  while (ready.load() < count) std::this_thread::yield();
  const double cpu = bench::process_cpu();
  const auto start = bench::SteadyClock::now();
  go.store(true, std::memory_order_release);
  std::this_thread::sleep_for(bench::Seconds(seconds));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  if (failed) throw std::runtime_error("a thread's call failed");
  const auto made = static_cast<double>(calls.load());
  const double seconds_taken = bench::Seconds(bench::SteadyClock::now() - start).count();
  return {made / seconds_taken, (bench::process_cpu() - cpu) * 1e6 / made};
}

bench::Json many_threads(const std::string& url, std::size_t count, int pairs) {
  constexpr double block_seconds = 0.3;
  const mlflowha::Client client = bench::make_client({url});
  const bench::CapturedRequest request = bench::capture_request(client, url);
  std::vector<std::unique_ptr<bench::BareCurl>> handles;
  for (std::size_t i = 0; i < count; ++i) handles.push_back(std::make_unique<bench::BareCurl>(url, request));
  const auto ours = [&](std::size_t i) { bench::log_point(client, static_cast<std::int64_t>(i)); };
  const auto theirs = [&](std::size_t i) { handles[i]->call(); };
  (void)rate(count, block_seconds, ours);
  (void)rate(count, block_seconds, theirs);

  std::vector<double> ratio, cpu_ratio, of_ours, of_bare;
  for (int pair = 0; pair < pairs; ++pair) {
    Rate a{}, b{};
    if (pair % 2 == 0) {
      a = rate(count, block_seconds, ours);
      b = rate(count, block_seconds, theirs);
    } else {
      b = rate(count, block_seconds, theirs);
      a = rate(count, block_seconds, ours);
    }
    ratio.push_back(a.calls_per_s / b.calls_per_s);
    cpu_ratio.push_back(a.cpu_us / b.cpu_us);
    of_ours.push_back(a.calls_per_s);
    of_bare.push_back(b.calls_per_s);
  }
  return {{"ratio", bench::spread(ratio)},
          {"cpu_ratio", bench::median(cpu_ratio)},
          {"calls_per_s", bench::median(of_ours)},
          {"calls_per_s_bare", bench::median(of_bare)}};
}

}  // namespace

int main(int count, char** arguments) {
  return bench::report([&]() -> bench::Json {
    if (count < 2) throw std::runtime_error("usage: calls URL [PAIRS]");
    const int pairs = count > 2 ? std::atoi(arguments[2]) : 101;
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return {{"one_thread", one_thread(arguments[1], pairs)},
            {"threads_16", many_threads(arguments[1], 16, (pairs + 3) / 4)}};
  });
}
