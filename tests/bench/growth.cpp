// Does memory grow? A million calls from four threads through one Client whose endpoints both lose replies, cut answers
// short, say 429, 502 and 503, and talk nonsense, once in a hundred requests; then the same memory as after the first
// tenth. Usage: growth <url> <other url> [calls]

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "measure.hpp"
#include "subject.hpp"

namespace {

struct Tally {
  std::atomic<std::int64_t> good{0};
  std::atomic<std::int64_t> failed{0};
};

void log_many(const mlflowha::Client& client, std::int64_t calls, Tally& tally) {
  constexpr int threads = 4;
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&] {
      for (std::int64_t i = 0; i < calls / threads; ++i) {
        const bool good = client.log_metric(bench::run_id(), "loss", 0.5, {.step = i}).has_value();
        (good ? tally.good : tally.failed).fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (std::thread& thread : running) thread.join();
}

}  // namespace

int main(int count, char** arguments) {
  return bench::report([&]() -> bench::Json {
    if (count < 3) throw std::runtime_error("usage: growth URL URL [CALLS]");
    const std::int64_t calls = count > 3 ? std::atoll(arguments[3]) : 1'000'000;
    mlflowha::ClientOptions options;
    options.endpoints = {arguments[1], arguments[2]};
    // Memory is the question here, not time: waits of real length would make an hour of this.
    options.retry.backoff.base = std::chrono::microseconds(10);
    options.retry.backoff.throttled_base = std::chrono::microseconds(10);
    options.retry.backoff.cap = std::chrono::microseconds(100);
    const mlflowha::Client client = mlflowha::Client::create(std::move(options)).value();
    Tally warm;
    Tally tally;
    log_many(client, calls / 10, warm);
    const bench::Memory before = bench::memory();
    const auto start = bench::SteadyClock::now();
    log_many(client, calls, tally);
    const double seconds = bench::Seconds(bench::SteadyClock::now() - start).count();
    const bench::Memory after = bench::memory();
    const std::int64_t failed = warm.failed + tally.failed;
    const std::int64_t all = warm.good + tally.good + failed;
    if (failed * 100 > all) {  // calls that fail at once hold no memory, and prove nothing
      throw std::runtime_error(std::to_string(failed) + " of " + std::to_string(all) +
                               " calls failed; expected 1 % at most");
    }
    return {{"growth_bytes", after.resident - before.resident},
            {"growth_anonymous_bytes", after.anonymous - before.anonymous},
            {"resident", after.resident},
            {"calls", tally.good.load() + tally.failed.load()},
            {"failed_calls", tally.failed.load()},
            {"seconds", seconds}};
  });
}
