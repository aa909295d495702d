// Whole clients in random worlds. SEEDS=n tries n worlds instead of the usual number, FIRST=k begins with another one,
// SEED=k tells the story of one.

#include "simulation/simulation.hpp"

#include <cstdlib>
#include <optional>
#include <string>

#include "simulation/world.hpp"
#include "support/catch.hpp"

using namespace mlflowha_tests;

namespace {

constexpr std::uint64_t usual_seeds = 5000;

std::optional<std::uint64_t> number_from(const char* name) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

std::string story_of(std::uint64_t seed) {
  const Report report = simulate(seed, true);
  std::string text = describe(make_world(seed));
  for (const std::string& line : report.story) text += line + "\n";
  for (const std::string& fault : report.faults) text += "WRONG: " + fault + "\n";
  return text;
}

}  // namespace

TEST_CASE("whatever fails, what a client promises holds", "[simulation]") {
  if (const auto seed = number_from("SEED")) {
    const Report report = simulate(*seed);
    WARN(story_of(*seed));
    CHECK(report.faults.empty());
    return;
  }
  const std::uint64_t seeds = number_from("SEEDS").value_or(usual_seeds);
  const std::uint64_t first = number_from("FIRST").value_or(1);
  Coverage coverage;
  int bad = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    const Report report = simulate(seed);
    coverage += report.coverage;
    if (report.faults.empty()) continue;
    ++bad;
    if (bad == 1) {
      FAIL_CHECK("SEED=" << seed << " fails; its story:\n" << story_of(seed));
    } else {
      FAIL_CHECK("SEED=" << seed << " fails: " << report.faults.front());
    }
    if (bad == 5) break;
  }
  if (seeds < usual_seeds || bad > 0) return;

  // What isn't met isn't tested.
  INFO(describe(coverage));
  CHECK(coverage.failovers > 1000);
  CHECK(coverage.probes > 1000);
  CHECK(coverage.breakers_opened > 100);
  CHECK(coverage.failed_fast > 100);
  CHECK(coverage.spent_budgets > 100);
  CHECK(coverage.failed_with_unknown_effect > 100);
  CHECK(coverage.failed_without_effect > 100);
  CHECK(coverage.cancelled > 50);
  CHECK(coverage.verified_creates > 100);
  CHECK(coverage.twins_removed > 20);
  CHECK(coverage.twins_reported > 20);
  CHECK(coverage.twins_travelled > 5);
  CHECK(coverage.strangers_refused > 100);
  CHECK(coverage.promised_by_sound > 1000);
  CHECK(coverage.promised_by_recovered > 1000);
  CHECK(coverage.promised_by_time > 100);
  CHECK(coverage.asked_releases > 1000);
  CHECK(coverage.unsupported > 100);
  CHECK(coverage.served_by_newer > 100);
}

TEST_CASE("a seed repeats exactly, told or not", "[simulation]") {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U}) {
    const Report first = simulate(seed);
    const Report again = simulate(seed, true);
    CHECK(first.fingerprint == again.fingerprint);
    CHECK(first.faults == again.faults);
    CHECK(simulate(seed + 1).fingerprint != first.fingerprint);
  }
}
