#ifndef MLFLOWHA_TESTS_SIMULATION_SIMULATION_HPP
#define MLFLOWHA_TESTS_SIMULATION_SIMULATION_HPP

// Simulation: a whole client, from its calls down to its transport, in the world of one seed. A program logs runs while
// the world's faults last; then they end, and what the program was told is held against what the database has. One
// thread, virtual time: a seed repeats exactly.

#include <cstdint>
#include <string>
#include <vector>

namespace mlflowha_tests {

/// How often a state that matters was met. A simulation that never gets there proves nothing about it.
struct Coverage {
  std::uint64_t worlds = 0;
  std::uint64_t calls = 0;
  std::uint64_t requests = 0;
  std::uint64_t probes = 0;
  std::uint64_t failed_calls = 0;
  std::uint64_t failed_with_unknown_effect = 0;
  std::uint64_t failed_without_effect = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t failovers = 0;  ///< calls that reached for two endpoints or more
  std::uint64_t breakers_opened = 0;
  std::uint64_t failed_fast = 0;       ///< calls ended by open breakers
  std::uint64_t spent_budgets = 0;     ///< calls that began with no token for a retry
  std::uint64_t verified_creates = 0;  ///< looks for a run by its tag within a call
  std::uint64_t twins_removed = 0;
  std::uint64_t twins_reported = 0;
  std::uint64_t twins_travelled = 0;  ///< twins found without anybody reconciling
  std::uint64_t strangers_refused = 0;
  std::uint64_t promised_by_sound = 0;      ///< calls that had to succeed, quickly, because one endpoint was sound
  std::uint64_t promised_by_recovered = 0;  ///< the same, because one endpoint was well while the call lasted
  std::uint64_t promised_by_time = 0;  ///< calls that had to succeed because the trouble ended long before their time
  std::uint64_t asked_releases = 0;    ///< questions for a server's release
  std::uint64_t unsupported = 0;       ///< calls for which nobody was new enough
  std::uint64_t served_by_newer = 0;   ///< calls that only some of the servers could serve
  std::uint64_t slow_returns = 0;      ///< worlds where the first success took more than 0.5 s after the last fault

  Coverage& operator+=(const Coverage& other) noexcept;
};
[[nodiscard]] std::string describe(const Coverage& coverage);

struct Report {
  std::vector<std::string> faults;  ///< empty: all is well
  std::vector<std::string> story;   ///< when it was asked for
  std::uint64_t fingerprint = 0;    ///< equal for equal runs
  Coverage coverage;
};

/// \param tell  whether to write the story down; changes nothing else
[[nodiscard]] Report simulate(std::uint64_t seed, bool tell = false);

}  // namespace mlflowha_tests

#endif
