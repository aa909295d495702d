#include "simulation/ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

using namespace mlflowha;
using namespace mlflowha::testing;

namespace mlflowha_tests {
namespace {

std::string shown(const std::optional<std::string>& value) { return value ? "\"" + *value + "\"" : "nothing"; }

/// As MLflow stores it: infinities become the largest double.
bool same_value(double asked, const StoredPoint& stored) {
  if (std::isnan(asked)) return stored.is_nan;
  if (std::isinf(asked)) asked = std::copysign(std::numeric_limits<double>::max(), asked);
  return !stored.is_nan && stored.value == asked;
}

}  // namespace

bool Register::allows(const std::optional<std::string>& stored, bool late) const {
  bool never_written = true;  // is possible
  std::vector<std::optional<std::string>> possible;
  for (const Write& write : writes) {
    if (write.fate == Fate::nothing) continue;
    if (write.fate == Fate::acknowledged) {
      never_written = false;
      if (!late) possible.clear();
    }
    possible.push_back(write.value);
  }
  return (never_written && !stored) || std::find(possible.begin(), possible.end(), stored) != possible.end();
}

void Ledger::audit_run(const RunBook& book, const StoredRun& stored, bool late,
                       std::vector<std::string>& faults) const {
  const auto complain = [&](const std::string& text) { faults.push_back(fmt::format("run {}: {}", book.call, text)); };
  for (const auto& [key, asked] : book.points) {
    const auto found = stored.metrics.find(key);
    for (const auto& [step, point] : asked) {
      int copies = 0;
      if (found != stored.metrics.end()) {
        for (const StoredPoint& candidate : found->second) {
          if (candidate.step != step) continue;
          ++copies;
          if (!same_value(point.value, candidate)) complain(fmt::format("{} at {} has another value", key, step));
          if (point.timestamp && *point.timestamp != candidate.timestamp) {
            complain(fmt::format("{} at {} has another timestamp", key, step));
          }
        }
      }
      if (copies > 1) complain(fmt::format("{} at {} is stored {} times", key, step, copies));
      if (copies == 0 && point.fate == Fate::acknowledged) {
        complain(fmt::format("{} at {} was acknowledged and is lost", key, step));
      }
      if (copies > 0 && point.fate == Fate::nothing) {
        complain(fmt::format("{} at {} is stored although its call failed without effect", key, step));
      }
    }
  }
  for (const auto& [key, points] : stored.metrics) {
    const auto asked = book.points.find(key);
    for (const StoredPoint& point : points) {
      if (asked == book.points.end() || asked->second.count(point.step) == 0) {
        complain(fmt::format("{} at {} was never asked for", key, point.step));
      }
    }
  }
  const auto audit_keys = [&](const char* what, const std::map<std::string, Register>& asked,
                              const std::map<std::string, std::string>& there) {
    for (const auto& [key, reg] : asked) {
      const auto found = there.find(key);
      const std::optional<std::string> value =
          found == there.end() ? std::nullopt : std::optional<std::string>(found->second);
      if (!reg.allows(value, late)) complain(fmt::format("{} {} is {}", what, key, shown(value)));
    }
    for (const auto& [key, value] : there) {
      if (key.rfind("mlflow", 0) == 0 || key == call_tag || asked.count(key) != 0) continue;
      complain(fmt::format("{} {} was never asked for", what, key));
    }
  };
  audit_keys("param", book.params, stored.params);
  audit_keys("tag", book.tags, stored.tags);
  const std::optional<std::string> end =
      stored.end_time ? std::optional<std::string>(fmt::format("{} {}", stored.status, *stored.end_time))
                      : std::nullopt;
  if (!book.ends.allows(end, late)) complain(fmt::format("its end is {}", shown(end)));
}

void Ledger::audit_creates(const std::vector<StoredRun>& stored, const World& world,
                           std::vector<std::string>& faults) const {
  std::map<std::int64_t, std::vector<const StoredRun*>> by_call;
  for (const StoredRun& run : stored) {
    const auto tag = run.tags.find(call_tag);
    const std::int64_t call = tag == run.tags.end() ? -1 : std::stoll(tag->second);
    if (creates.count(call) == 0) {
      faults.push_back(fmt::format("run {} was never asked for", run.run_id));
    } else {
      by_call[call].push_back(&run);
    }
  }
  for (const auto& [call, created] : creates) {
    const std::vector<const StoredRun*>& made = by_call[call];
    const auto complain = [&, number = call](const std::string& text) {
      faults.push_back(fmt::format("create_run {}: {}", number, text));
    };
    if (!world.late && made.size() > 1) complain(fmt::format("it was carried out {} times", made.size()));
    if (created.fate == Fate::nothing && !made.empty()) complain("it failed without effect, but there is a run");
    if (created.fate == Fate::unknown && !made.empty()) {
      const bool told =
          std::any_of(made.begin(), made.end(), [&](const StoredRun* run) { return reported.count(run->run_id) != 0; });
      if (!told && world.observed) complain("it failed, its run turned up, and nobody was told");
      for (const StoredRun* run : made) {
        if (run->lifecycle_stage != "active") complain("the run of a failed create was deleted");
      }
    }
    if (created.fate != Fate::acknowledged) continue;
    bool kept = false;
    for (const StoredRun* run : made) {
      const bool active = run->lifecycle_stage == "active";
      if (run->run_id == created.id) {
        kept = active;
      } else if (world.observed && reported.count(run->run_id) == 0) {
        complain(fmt::format("nobody was told of its twin {}", run->run_id));
      } else if (active == world.options.exactly_once.remove_twins) {
        complain(fmt::format("its twin {} is {}", run->run_id, active ? "still there" : "gone"));
      }
    }
    if (!kept) complain("the run that was returned isn't there, or is deleted");
  }
}

void Ledger::audit_experiments(const std::vector<StoredExperiment>& stored, std::vector<std::string>& faults) const {
  for (const StoredExperiment& experiment : stored) {
    if (experiment.experiment_id == "0") continue;
    const bool asked = std::any_of(experiments.begin(), experiments.end(),
                                   [&](const CreatedExperiment& one) { return one.name == experiment.name; });
    if (!asked) faults.push_back(fmt::format("experiment {} was never asked for", experiment.name));
  }
  std::map<std::string, int> acknowledged;
  for (const CreatedExperiment& one : experiments) {
    const auto found = std::find_if(stored.begin(), stored.end(),
                                    [&](const StoredExperiment& experiment) { return experiment.name == one.name; });
    if (one.fate == Fate::acknowledged) {
      if (++acknowledged[one.name] > 1) faults.push_back(fmt::format("experiment {} was made twice", one.name));
      if (found == stored.end() || found->experiment_id != one.id) {
        faults.push_back(fmt::format("experiment {} was acknowledged and is lost, or has another id", one.name));
      }
    }
    const bool somebodys = std::any_of(experiments.begin(), experiments.end(), [&](const CreatedExperiment& other) {
      return other.name == one.name && other.fate != Fate::nothing;
    });
    if (one.fate == Fate::nothing && !somebodys && found != stored.end()) {
      faults.push_back(fmt::format("experiment {} is there although its create failed without effect", one.name));
    }
  }
}

std::vector<std::string> Ledger::audit(const FakeBackend& backend, const World& world) const {
  std::vector<std::string> faults;
  const std::vector<StoredRun> stored = backend.runs();
  audit_creates(stored, world, faults);
  for (const RunBook& book : runs) {
    const auto found =
        std::find_if(stored.begin(), stored.end(), [&](const StoredRun& run) { return run.run_id == book.id; });
    if (found != stored.end()) audit_run(book, *found, world.late, faults);
  }
  audit_experiments(backend.experiments(), faults);
  return faults;
}

}  // namespace mlflowha_tests
