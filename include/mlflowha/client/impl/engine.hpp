#ifndef MLFLOWHA_CLIENT_IMPL_ENGINE_HPP
#define MLFLOWHA_CLIENT_IMPL_ENGINE_HPP

// Engine: what stands behind every copy of one Client. Drives CallPlan for synchronous calls on the caller's thread,
// carries the side work along (probes of doubtful endpoints, looks for late twins) and keeps what all calls share.
// Private: users hold a Client.

#include <mlflowha/api/call_options.hpp>
#include <mlflowha/api/operation.hpp>
#include <mlflowha/client/classify.hpp>
#include <mlflowha/client/health.hpp>
#include <mlflowha/client/impl/identity.hpp>
#include <mlflowha/client/impl/recipes.hpp>
#include <mlflowha/client/impl/releases.hpp>
#include <mlflowha/client/options.hpp>
#include <mlflowha/client/reconcile.hpp>
#include <mlflowha/client/twin_watch.hpp>
#include <mlflowha/core/impl/fork_mutex.hpp>
#include <mlflowha/resilience/call_plan.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Thread-safe.
class MLFLOWHA_EXPORT Engine {
 public:
  Engine(Config config, std::shared_ptr<Transport> transport);

  /// One call, from the first attempt to its result. `prepared` is left unusable.
  [[nodiscard]] Result<Response> execute(const api::Operation& operation, api::PreparedRequest&& prepared,
                                         const CallOptions& options);

  /// Looks for the twins of everything watched and removes them; within `deadline`.
  [[nodiscard]] Result<ReconcileReport> reconcile(const CallOptions& options);

  [[nodiscard]] HealthSnapshot health() const;

  const Config config;
  const std::shared_ptr<Clock> clock;
  const std::shared_ptr<Rng> rng;
  const std::shared_ptr<Transport> transport;
  const std::shared_ptr<Observer> observer;
  EndpointSet endpoints;
  RetryBudget budget;
  IdentityBook identity;
  TwinWatch twins;

 private:
  struct Call;
  /// A request that is carried along by other calls.
  struct SideJob {
    enum class Kind : std::uint8_t { probe, find_twins, inspect_twin, remove_twin };
    std::uint64_t id = 0;
    Kind kind = Kind::probe;
    EndpointSet::Lease lease;
    TimePoint started;
    WatchedCreate create;  ///< of all but probe
    std::string twin_id;   ///< of inspect_twin and remove_twin
  };

  [[nodiscard]] ClassifyContext context_of(const api::Operation& operation) const noexcept {
    return {operation, config.options().retry.respect_retry_after};
  }
  Outcome attempt_call(Call& call, const CallPlan::Attempt& attempt, TimePoint began);
  Outcome attempt_verify(Call& call, const CallPlan::Attempt& attempt, TimePoint began);
  Outcome attempt_identify(Call& call, const CallPlan::Attempt& attempt, TimePoint began);
  Outcome attempt_ask_release(Call& call, const CallPlan::Attempt& attempt, TimePoint began);
  TransportResult carry(Call& call, const CallPlan::Attempt& attempt, const Request& request) noexcept;
  void note_attempt(Call& call, const CallPlan::Attempt& attempt, TimePoint began, Classification& result,
                    int http_status, int transport_code);
  Result<Response> finish(Call& call, const CallPlan::Done& done);
  Error give_up(Call& call, const CallPlan::Done& done);
  void explain_missing_operation(const Call& call, StopReason reason, Error& error) const;
  [[nodiscard]] bool may_remove(const WatchedCreate& create, bool in_use) const noexcept;
  void watch_twins(Call& call, bool kept);

  /// Moves side jobs forward and starts those that are due. A few relaxed loads when there is nothing to do.
  void run_side_jobs(TimePoint now) noexcept;
  [[nodiscard]] EndpointSet::Lease spare_lease(TimePoint now, const api::Operation& operation) noexcept;
  void settle(SideJob job, const ProbeResult& ended, TimePoint now);
  [[nodiscard]] static const api::Operation& operation_of(const SideJob& job) noexcept;
  void take_up_twin(SideJob::Kind kind, const WatchedCreate& create, const std::string& id, TimePoint now);
  void tell_of_twin(const WatchedCreate& create, const std::string& id, bool removed) const noexcept;
  void tell_of_remaining(const WatchedCreate& create, const std::string& id);
  [[nodiscard]] bool start_job(SideJob job, const Request& request);
  [[nodiscard]] std::optional<SideJob> take_job(std::uint64_t id);
  void let_parents_jobs_go(TimePoint now);
  Outcome judge_identity(EndpointIndex index, Classification& result, const TransportResult& answer);
  [[nodiscard]] AttemptTimeouts side_timeouts() const noexcept;
  [[nodiscard]] std::string next_call_id();

  const ProbeOwner probe_owner_ = std::make_shared<const char>('\0');
  ForkMutex jobs_mutex_;
  std::vector<SideJob> jobs_;
  std::atomic<std::int64_t> jobs_process_{0};  // the process that carries jobs_; 0 while there are none
  std::atomic<std::uint64_t> next_job_{1};
  std::atomic<std::uint64_t> next_call_{1};
  std::atomic<std::uint64_t> call_prefix_;
  std::atomic<std::int64_t> call_prefix_process_;  // the process that call_prefix_ was drawn in
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/engine.ipp>
#include <mlflowha/client/impl/side_jobs.ipp>
#endif

#endif
