#ifndef MLFLOWHA_TESTS_BENCH_MEASURE_HPP
#define MLFLOWHA_TESTS_BENCH_MEASURE_HPP

// What all benchmark programs share: clocks, medians, the memory of this process, and the result as one line of JSON
// that run.py reads. The machines are noisy, so whatever is compared runs in turns (A B B A A B ...) within one process
// and the ratio is taken pair by pair.

#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

using Json = nlohmann::ordered_json;
using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

/// CPU that this process has used, all threads, user and system, in seconds.
inline double process_cpu() {
  timespec time{};
  if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) throw std::runtime_error("no process clock");
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Of a copy, so that the caller's order stays.
inline double quantile(std::vector<double> values, double q) {
  if (values.empty()) throw std::runtime_error("nothing was measured");
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}
inline double median(const std::vector<double>& values) { return quantile(values, 0.5); }

/// A figure with its spread over the runs, as run.py expects it.
inline Json spread(const std::vector<double>& runs) {
  return {{"value", median(runs)}, {"min", quantile(runs, 0)}, {"max", quantile(runs, 1)}, {"runs", runs.size()}};
}

/// Keeps the optimiser from throwing the measured work away.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

/// Memory of this process in bytes: everything resident, and the part that isn't mapped from files.
struct Memory {
  std::int64_t resident = 0;
  std::int64_t anonymous = 0;
};
inline Memory memory() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  long long total = 0;
  long long resident = 0;
  long long shared = 0;
  const int read = file == nullptr ? 0 : std::fscanf(file, "%lld %lld %lld", &total, &resident, &shared);
  if (file != nullptr) (void)std::fclose(file);
  if (read != 3) throw std::runtime_error("/proc/self/statm can't be read");
  const long page = ::sysconf(_SC_PAGESIZE);
  return {resident * page, (resident - shared) * page};
}

/// Runs a benchmark, prints its result and turns what it throws into an exit code.
template <class Run>
int report(Run&& run) {
  try {
    const Json result = run();
    std::printf("%s\n", result.dump().c_str());
    return 0;
  } catch (const std::exception& e) {
    (void)std::fprintf(stderr, "benchmark failed: %s\n", e.what());
    return 1;
  }
}

}  // namespace bench

#endif
