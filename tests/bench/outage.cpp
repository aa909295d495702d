// Memory while all servers are down: a RunLogger takes points at a steady rate, nobody takes them from it, and the
// memory of the process is looked at once a second. Usage: mlflowha_bench_outage DIRECTORY SECONDS POINTS_A_SECOND

#include <mlflowha/logging.hpp>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "measure.hpp"

using namespace mlflowha;

int main(int argc, char** argv) {
  return bench::report([&]() -> bench::Json {
    if (argc != 4) throw std::runtime_error("usage: mlflowha_bench_outage DIRECTORY SECONDS POINTS_A_SECOND");
    const int seconds = std::stoi(argv[2]);
    const int rate = std::stoi(argv[3]);
    if (seconds < 10 || rate < 100) throw std::runtime_error("expected at least 10 s and 100 points/s");
    ClientOptions options;
    options.endpoints = {"http://127.0.0.1:9", "http://127.0.0.1:10"};  // nobody there
    const Client client = Client::create(options).value();
    RunLoggerOptions logging;
    logging.directory = argv[1];
    auto logger = RunLogger::start(client, logging).value();
    const std::int64_t before = bench::memory().resident;
    std::vector<double> resident;
    const auto began = bench::SteadyClock::now();
    std::int64_t step = 0;
    for (int tick = 1; tick <= seconds * 100; ++tick) {
      std::this_thread::sleep_until(began + tick * std::chrono::milliseconds(10));
      for (int i = 0; i < rate / 100; ++i, ++step) logger.log_metric("train/loss", 0.5, step).value();
      if (tick % 100 == 0) resident.push_back(static_cast<double>(bench::memory().resident - before));
    }
    logger.commit().value();
    // The first tenth, or the first 10 s, fills caches; growth is what comes after it, by halves, so that one odd
    // second doesn't decide.
    const std::vector<double> later(resident.begin() + std::clamp(seconds / 10, 3, 10), resident.end());
    const auto middle = later.begin() + static_cast<std::ptrdiff_t>(later.size() / 2);
    const double growth = bench::median({middle, later.end()}) - bench::median({later.begin(), middle});
    return {{"seconds", seconds},
            {"points", step},
            {"peak_bytes", bench::quantile(resident, 1)},
            {"growth_bytes", growth},
            {"waiting", logger.status().waiting},
            {"resident", bench::memory().resident}};
  });
}
