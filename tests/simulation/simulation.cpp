#include "simulation/simulation.hpp"

#include <mlflowha/client/client.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/testing/fake_transport.hpp>

#include <fmt/format.h>

#include <exception>
#include <memory>

#include "simulation/dice.hpp"
#include "simulation/program.hpp"
#include "simulation/watched_transport.hpp"
#include "simulation/world.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace std::chrono_literals;

namespace mlflowha_tests {
namespace {

/// Learns of twins.
struct Ears final : Observer {
  void on_twin(const TwinEvent& event) noexcept override {
    twins.insert(std::string(event.twin_id));
    removed += event.removed ? 1U : 0U;
  }
  void on_attempt(const AttemptEvent& event) noexcept override { looks += event.record.purpose == "verify" ? 1U : 0U; }
  std::set<std::string> twins;
  std::uint64_t removed = 0;
  std::uint64_t looks = 0;
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, bool tell)
      : world_(make_world(seed)),
        dice_(seed ^ 0xa5a5a5a5U),
        clock_(std::make_shared<FakeClock>()),
        began_(clock_->now()),
        ours_(std::make_shared<FakeBackend>(backend_options(1))),
        strange_(std::make_shared<FakeBackend>(backend_options(2))),
        inner_(std::make_shared<FakeTransport>(clock_, transport_options())),
        watched_(std::make_shared<WatchedTransport>(world_, clock_, inner_, tell)),
        ears_(std::make_shared<Ears>()),
        program_(world_, make_client(), clock_, *watched_, dice_, tell) {}

  Report run() {
    while (clock_->now() - began_ < world_.horizon && steps_ < world_.operations) {
      program_.step();
      ++steps_;
      clock_->advance(think());
    }
    end_faults();
    come_back();
    let_late_requests_arrive();
    find_twins();
    return audit();
  }

 private:
  [[nodiscard]] BackendOptions backend_options(std::uint64_t number) const {
    BackendOptions options;
    options.version = world_.version;
    options.seed = 2 * world_.seed + number;
    return options;
  }
  [[nodiscard]] FakeTransportOptions transport_options() const {
    FakeTransportOptions options;
    options.seed = world_.seed;
    options.record = false;
    return options;
  }

  Client make_client() {
    for (const Place& place : world_.places) {
      const auto version = std::make_shared<testing::ServerVersion>(place.version);
      inner_->add(
          place.url,
          [version, backend = place.stranger ? strange_ : ours_](const Request& request, WallTime now) {
            return backend->handle(request, now, *version);
          },
          place.script);
      if (place.upgraded > Duration::zero()) {
        clock_->schedule(began_ + place.upgraded, [version] { *version = testing::ServerVersion::v3; });
      }
    }
    for (const DatabaseFault& fault : world_.database) {
      clock_->schedule(began_ + fault.window.from, [ours = ours_, state = fault.state] { ours->set_database(state); });
      clock_->schedule(began_ + fault.window.until, [ours = ours_] { ours->set_database(DatabaseState::up); });
    }
    ClientOptions options = world_.options;
    options.clock = clock_;
    options.rng = std::make_shared<SplitMixRng>(world_.seed);
    options.transport = watched_;
    if (world_.observed) options.observer = ears_;
    return Client::create(std::move(options)).value();
  }

  Duration think() {
    const int kind = dice_.between(0, 9);
    if (kind < 5) return dice_.between(0ms, 5ms);
    if (kind < 9) return dice_.between(50ms, 1500ms);
    return dice_.between(1s, 8s);
  }

  void fault(std::string text) { faults_.push_back(std::move(text)); }

  void end_faults() {
    clock_->advance_to(began_ + world_.horizon);
    for (const Place& place : world_.places) inner_->set_faults(place.url, {});
    ours_->set_database(DatabaseState::up);
  }

  /// No lock-out: whatever the client has learnt, it serves again soon after the last fault.
  void come_back() {
    const TimePoint end = clock_->now();
    while (!program_.read(3s)) {
      if (clock_->now() - end > 3s) break;
      clock_->advance(50ms);
    }
    const Duration took = clock_->now() - end;
    if (took > 3s)
      fault(fmt::format("no call succeeded for {:.3f} s after the last fault",
                        std::chrono::duration<double>(took).count()));
    if (took > 500ms) ++program_.coverage.slow_returns;
    program_.must_log();
  }

  void let_late_requests_arrive() {
    for (int second = 0; second < 200 && clock_->scheduled() > 0; ++second) {
      clock_->advance(1s);
      if (world_.travelling) program_.idle();
    }
    if (clock_->scheduled() > 0) fault("something is scheduled for ever");
  }

  void find_twins() {
    if (world_.travelling) {
      // Looks come after 1, 2, 4 ... 60 s, and once more at the end of the watch.
      for (int round = 0; round < 100; ++round) {
        clock_->advance(2s);
        program_.idle();
      }
      program_.coverage.twins_travelled += ears_->twins.size();
    } else {
      for (int round = 0; round < 2; ++round) {
        if (!program_.reconcile(30s)) fault("reconcile failed although nothing was wrong");
      }
    }
    // Removals that travel along take a moment.
    for (int round = 0; round < 3; ++round) {
      clock_->advance(20s);
      program_.idle();
    }
  }

  Report audit() {
    Report report;
    report.faults = std::move(program_.faults);
    report.faults.insert(report.faults.end(), faults_.begin(), faults_.end());
    program_.ledger.reported.insert(ears_->twins.begin(), ears_->twins.end());
    const bool settled_here = watched_->home() != Home::strangers;
    for (std::string& line : program_.ledger.audit(settled_here ? *ours_ : *strange_, world_)) {
      report.faults.push_back(std::move(line));
    }
    const FakeBackend& other = settled_here ? *strange_ : *ours_;
    const BackendCounts counts = other.counts();
    if (counts.runs != 0 || counts.experiments != 1) report.faults.push_back("the other database was written to");
    for (const std::string& line : inner_->unmatched_requests()) report.faults.push_back(line);

    report.story = std::move(watched_->story);
    report.fingerprint = watched_->fingerprint;
    report.coverage = program_.coverage;
    report.coverage.worlds = 1;
    report.coverage.requests = watched_->requests;
    report.coverage.probes = watched_->probes;
    report.coverage.asked_releases = watched_->asked_releases;
    report.coverage.verified_creates = ears_->looks;
    report.coverage.twins_removed += ears_->removed;
    return report;
  }

  const World world_;
  Dice dice_;
  const std::shared_ptr<FakeClock> clock_;
  const TimePoint began_;
  const std::shared_ptr<FakeBackend> ours_;
  const std::shared_ptr<FakeBackend> strange_;
  const std::shared_ptr<FakeTransport> inner_;
  const std::shared_ptr<WatchedTransport> watched_;
  const std::shared_ptr<Ears> ears_;
  Program program_;
  std::vector<std::string> faults_;
  int steps_ = 0;
};

}  // namespace

Report simulate(std::uint64_t seed, bool tell) {
  Report report;
  try {
    report = Simulation(seed, tell).run();
  } catch (const std::exception& error) {
    report.faults.push_back(fmt::format("an exception: {}", error.what()));
  }
  return report;
}

Coverage& Coverage::operator+=(const Coverage& other) noexcept {
  worlds += other.worlds;
  calls += other.calls;
  requests += other.requests;
  probes += other.probes;
  failed_calls += other.failed_calls;
  failed_with_unknown_effect += other.failed_with_unknown_effect;
  failed_without_effect += other.failed_without_effect;
  cancelled += other.cancelled;
  failovers += other.failovers;
  breakers_opened += other.breakers_opened;
  failed_fast += other.failed_fast;
  spent_budgets += other.spent_budgets;
  verified_creates += other.verified_creates;
  twins_removed += other.twins_removed;
  twins_reported += other.twins_reported;
  twins_travelled += other.twins_travelled;
  strangers_refused += other.strangers_refused;
  promised_by_sound += other.promised_by_sound;
  promised_by_recovered += other.promised_by_recovered;
  promised_by_time += other.promised_by_time;
  slow_returns += other.slow_returns;
  asked_releases += other.asked_releases;
  unsupported += other.unsupported;
  served_by_newer += other.served_by_newer;
  return *this;
}

std::string describe(const Coverage& c) {
  return fmt::format(
      "{} worlds, {} calls, {} requests, {} probes; {} calls failed: {} writes with unknown effect, {} without, {} "
      "cancelled, {} by open breakers; {} failovers, breakers seen open {}, {} calls with a spent budget; {} looks for "
      "a create, twins: {} removed, {} reported, {} found by looks that travelled along; strangers seen refused {}; "
      "{} calls had to succeed because a server was sound, {} because one was well meanwhile, {} because the trouble "
      "ended in time; {} slow returns; {} questions for a release, {} calls that nobody was new enough for, {} served "
      "by the newer ones of two kinds",
      c.worlds, c.calls, c.requests, c.probes, c.failed_calls, c.failed_with_unknown_effect, c.failed_without_effect,
      c.cancelled, c.failed_fast, c.failovers, c.breakers_opened, c.spent_budgets, c.verified_creates, c.twins_removed,
      c.twins_reported, c.twins_travelled, c.strangers_refused, c.promised_by_sound, c.promised_by_recovered,
      c.promised_by_time, c.slow_returns, c.asked_releases, c.unsupported, c.served_by_newer);
}

}  // namespace mlflowha_tests
