// Durable logging: what a log call costs its thread and how fast the spool takes points. Given the address of a real
// server it takes turns with others instead: reads "ours N" (N points through a RunLogger), "bare N" (the same by a
// loop of 1,000-point log_batch calls) and "close" (a close() with everything delivered, beside one such call), and
// answers each line. Usage: mlflowha_bench_logging DIRECTORY [URL]

#include <mlflowha/logging.hpp>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "measure.hpp"

using namespace mlflowha;

using bench::Seconds;
using bench::SteadyClock;

namespace {

Client client_for(const std::string& url) {
  ClientOptions options;
  options.endpoints = {url};
  return Client::create(options).value();
}

/// Nanoseconds of each log call; the cost of looking at the clock twice is in them.
bench::Json enqueue(const std::string& directory, unsigned threads) {
  RunLoggerOptions options;
  options.directory = directory;
  auto logger = RunLogger::start(client_for("http://127.0.0.1:9"), options).value();  // nobody there: all of it spools
  std::vector<std::vector<double>> each(threads);
  std::vector<std::thread> running;
  std::atomic<int> refused{0};
  for (unsigned t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      each[t].reserve(200'000);
      for (int i = 0; i < 200'000; ++i) {
        const auto before = SteadyClock::now();
        const auto taken = logger.log_metric("train/loss", i, i);
        const auto after = SteadyClock::now();
        each[t].push_back(Seconds(after - before).count() * 1e9);
        if (!taken) refused.fetch_add(1, std::memory_order_relaxed);
        // A training step between bursts: the figure is of the call, not of a saturated machine.
        if (i % 100 == 99) std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  // What a refusal takes says nothing of what a call does.
  if (refused != 0) throw std::runtime_error(std::to_string(refused.load()) + " log calls were refused");
  std::vector<double> all;
  for (const auto& one : each) all.insert(all.end(), one.begin(), one.end());
  return {{"calls", all.size()},
          {"p50_ns", bench::median(all)},
          {"p99_ns", bench::quantile(all, 0.99)},
          {"p999_ns", bench::quantile(all, 0.999)}};
}

/// Points a second into the spool, 1,000 a commit, encoding included.
double spool_rate(const std::string& directory, Durability durability, int commits) {
  SpoolOptions options;
  options.directory = directory;
  options.durability = durability;
  const auto spool = Spool::create(options, mlflowha::system_clock(), *process_rng()).value();
  const std::int64_t run = spool->add_run("bench", {}).value();
  BatchEncoder encoder;
  const auto before = SteadyClock::now();
  for (int i = 0; i < commits; ++i) {
    for (int k = 0; k < 1000; ++k) {
      if (!encoder.add_metric("train/loss", 0.1 * k, 1'700'000'000'000 + k, k))
        throw std::runtime_error("encoder full");
    }
    std::vector<SpoolRow> rows(1);
    rows[0] = {run, RecordKind::values, 1000, encoder.take()};
    spool->append(rows).value();
  }
  spool->sync().value();
  return 1000.0 * commits / Seconds(SteadyClock::now() - before).count();
}

bench::Json rates(const std::string& directory, Durability durability, int commits) {
  std::vector<double> runs;
  for (int i = 0; i < 5; ++i) runs.push_back(spool_rate(directory, durability, commits));
  return bench::spread(runs);
}

double logger_rate(const Client& client, const std::string& directory, int points) {
  RunLoggerOptions options;
  options.directory = directory;
  auto logger = RunLogger::start(client, options).value();
  const auto before = SteadyClock::now();
  for (int i = 0; i < points; ++i) logger.log_metric("m", i, i).value();
  if (!logger.flush(std::chrono::minutes(5)).value().drained) throw std::runtime_error("not drained");
  const double rate = points / Seconds(SteadyClock::now() - before).count();
  if (!logger.close(std::chrono::minutes(1)).value().drained) throw std::runtime_error("not drained");
  return rate;
}

double bare_rate(const Client& client, int points) {
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  const auto before = SteadyClock::now();
  for (int at = 0; at < points; at += 1000) {
    LogBatch batch;
    batch.run_id = run;
    for (int i = at; i < at + 1000; ++i)
      batch.metrics.push_back({.key = "m", .value = 1.0 * i, .timestamp = i, .step = i});
    client.log_batch(batch).value();
  }
  return points / Seconds(SteadyClock::now() - before).count();
}

double milliseconds_since(SteadyClock::time_point before) { return 1e3 * Seconds(SteadyClock::now() - before).count(); }

/// close() ends the run, which is one small request; it may take as long as a batch and 10 ms more.
bench::Json close_times(const Client& client, const std::string& directory) {
  RunLoggerOptions options;
  options.directory = directory;
  auto logger = RunLogger::start(client, options).value();
  for (int i = 0; i < 1000; ++i) logger.log_metric("m", i, i).value();
  if (!logger.flush(std::chrono::minutes(1)).value().drained) throw std::runtime_error("not drained");
  auto before = SteadyClock::now();
  if (!logger.close(std::chrono::minutes(1)).value().drained) throw std::runtime_error("not drained");
  const double close = milliseconds_since(before);
  const double batch = 1e3 * 1000 / bare_rate(client, 1000);
  return {{"close_ms", close}, {"batch_ms", batch}};
}

void take_turns(const Client& client, const std::string& directory) {
  std::string what;
  while (std::cin >> what) {
    bench::Json answer;
    int points = 0;
    if (what == "close") {
      answer = close_times(client, directory);
    } else if (std::cin >> points; what == "ours") {
      answer = {{"rate", logger_rate(client, directory, points)}};
    } else {
      answer = {{"rate", bare_rate(client, points)}};
    }
    std::printf("%s\n", answer.dump().c_str());
    (void)std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::report([&]() -> bench::Json {
    if (argc < 2) throw std::runtime_error("usage: mlflowha_bench_logging DIRECTORY [URL]");
    const std::string directory = argv[1];
    if (argc > 2) {
      take_turns(client_for(argv[2]), directory);
      return bench::Json::object();
    }
    return {{"one_thread", enqueue(directory, 1)},
            {"threads_4", enqueue(directory, 4)},
            {"interval", rates(directory, Durability::interval, 500)},
            {"each", rates(directory, Durability::each, 100)}};
  });
}
