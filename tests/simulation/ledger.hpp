#ifndef MLFLOWHA_TESTS_SIMULATION_LEDGER_HPP
#define MLFLOWHA_TESTS_SIMULATION_LEDGER_HPP

// Ledger: what a simulated program asked for and what it was told, to be held against what the database has in the end.
// After Jepsen's total-queue: what was acknowledged is there, once; what was refused for certain isn't; what is there
// was asked for.

#include <mlflowha/core/error.hpp>
#include <mlflowha/testing/fake_backend.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "simulation/world.hpp"

namespace mlflowha_tests {

enum class Fate : std::uint8_t {
  acknowledged,
  nothing,  ///< failed, and the client is certain that nothing was stored
  unknown,  ///< failed, and it may have been stored
};

/// One key that may be written several times.
struct Register {
  struct Write {
    std::optional<std::string> value;  ///< nothing: removed
    Fate fate = Fate::unknown;
  };
  std::vector<Write> writes;

  /// Whether the key may hold `stored` in the end. `late`: an older write may have been carried out after a newer one.
  [[nodiscard]] bool allows(const std::optional<std::string>& stored, bool late) const;
};

struct AskedPoint {
  double value = 0;
  std::optional<std::int64_t> timestamp;  ///< nothing: the client's choice
  Fate fate = Fate::unknown;
};

struct RunBook {
  std::string id;
  std::int64_t call = 0;                                             ///< value of its tag `sim.call`
  std::map<std::string, std::map<std::int64_t, AskedPoint>> points;  ///< by key and step; each pair is asked for once
  std::map<std::string, Register> params;
  std::map<std::string, Register> tags;
  Register ends;  ///< status and end time, as "FINISHED 12"
};

struct CreatedRun {
  Fate fate = Fate::unknown;
  std::string id;
};
struct CreatedExperiment {
  std::string name;
  Fate fate = Fate::unknown;
  std::string id;
};

class Ledger {
 public:
  static constexpr const char* call_tag = "sim.call";

  std::vector<RunBook> runs;                   ///< those whose create was acknowledged
  std::map<std::int64_t, CreatedRun> creates;  ///< by the value of call_tag
  std::vector<CreatedExperiment> experiments;
  std::set<std::string> reported;  ///< run ids that the client has called twins, removed or not

  /// Everything that doesn't fit, one line each.
  [[nodiscard]] std::vector<std::string> audit(const mlflowha::testing::FakeBackend& backend, const World& world) const;

 private:
  void audit_run(const RunBook& book, const mlflowha::testing::StoredRun& stored, bool late,
                 std::vector<std::string>& faults) const;
  void audit_creates(const std::vector<mlflowha::testing::StoredRun>& stored, const World& world,
                     std::vector<std::string>& faults) const;
  void audit_experiments(const std::vector<mlflowha::testing::StoredExperiment>& stored,
                         std::vector<std::string>& faults) const;
};

}  // namespace mlflowha_tests

#endif
