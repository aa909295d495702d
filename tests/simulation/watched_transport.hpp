#ifndef MLFLOWHA_TESTS_SIMULATION_WATCHED_TRANSPORT_HPP
#define MLFLOWHA_TESTS_SIMULATION_WATCHED_TRANSPORT_HPP

// WatchedTransport: stands between the client and FakeTransport and checks what must hold for every single request,
// whatever call it belongs to: no attempt outlives its call's deadline, no request but the identity read reaches a
// server on another database, and a dead endpoint is paid for once.

#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/testing/fake_transport.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "simulation/world.hpp"

namespace mlflowha_tests {

/// Which database the client has settled on: that of the first server that told it.
enum class Home : std::uint8_t { undecided, ours, strangers };

class WatchedTransport final : public mlflowha::Transport {
 public:
  WatchedTransport(const World& world, std::shared_ptr<mlflowha::testing::FakeClock> clock,
                   std::shared_ptr<mlflowha::testing::FakeTransport> inner, bool tell);

  /// A call begins that must be over at `deadline`.
  void begin_call(mlflowha::TimePoint deadline, bool needs_new);
  void end_call();
  /// Attempts of the call that has begun last.
  [[nodiscard]] int attempts() const noexcept { return attempts_; }
  /// Of these, those that were neither identity reads nor looks.
  [[nodiscard]] int sendings() const noexcept { return sendings_; }
  /// Endpoints that the call that has begun last has reached for.
  [[nodiscard]] std::size_t reached() const noexcept;
  [[nodiscard]] Home home() const noexcept { return home_; }
  /// Probes that the client has started at that endpoint and not been told the end of.
  [[nodiscard]] int probes_under_way(const std::string& url) const;

  /// What was wrong, for the story.
  std::vector<std::string> faults;
  std::vector<std::string> story;
  /// Of every request and what came of it: equal for equal runs.
  std::uint64_t fingerprint = 0;
  std::uint64_t requests = 0;
  std::uint64_t probes = 0;
  std::uint64_t asked_releases = 0;

  [[nodiscard]] mlflowha::TransportResult perform(const mlflowha::Uri& endpoint, const mlflowha::Request& request,
                                                  const mlflowha::AttemptTimeouts& timeouts,
                                                  const mlflowha::CancellationToken& cancel) noexcept override;
  [[nodiscard]] bool start_probe(const mlflowha::ProbeOwner& owner, std::uint64_t id, const mlflowha::Uri& endpoint,
                                 const mlflowha::Request& request,
                                 const mlflowha::AttemptTimeouts& timeouts) noexcept override;
  [[nodiscard]] std::vector<mlflowha::ProbeResult> poll_probes(const mlflowha::ProbeOwner& owner) noexcept override;

 private:
  struct Seen {
    bool stranger = false;
    bool reached = false;                             // by this call
    std::optional<mlflowha::TimePoint> broken_since;  // the last attempt failed, and no later probe has succeeded
    int under_way = 0;
  };
  struct Probe {
    std::string url;
    mlflowha::TimePoint started;
    bool identity = false;
  };

  void watch_target(const Seen& seen, const mlflowha::Uri& endpoint, const mlflowha::Request& request);
  void settle_home(const Seen& seen, const mlflowha::TransportResult& result);
  void note(const char* what, const mlflowha::Uri& endpoint, const mlflowha::Request& request,
            const mlflowha::TransportResult& result, mlflowha::TimePoint started);

  const World& world_;
  const std::shared_ptr<mlflowha::testing::FakeClock> clock_;
  const std::shared_ptr<mlflowha::testing::FakeTransport> inner_;
  const bool tell_;
  const mlflowha::TimePoint began_;
  std::map<std::string, Seen> seen_;
  std::map<std::uint64_t, Probe> probes_;
  std::optional<mlflowha::TimePoint> deadline_;
  bool needs_new_ = false;  // the call under way: only a 3.x can serve it
  int attempts_ = 0;
  int sendings_ = 0;
  Home home_ = Home::undecided;
};

}  // namespace mlflowha_tests

#endif
