#ifndef MLFLOWHA_CLIENT_CLIENT_HPP
#define MLFLOWHA_CLIENT_CLIENT_HPP

// Client: MLflow's REST API over a list of servers. Each call tries, fails over, verifies and waits as needed within
// one deadline, and returns a Result. The typed calls come from the table of operations (api/calls.hpp), short ways to
// say the common ones from run_conveniences.hpp and registry_calls.hpp, files from artifact_calls.hpp; here are the
// ways to make a client, health and control.
//
//   auto client = mlflowha::Client::from_env().value();   // MLFLOW_TRACKING_URI=http://a:5000,http://b:5000
//   auto run = client.create_run({.experiment_id = "0", .run_name = "first"}).value();
//   client.log_metric(run.info.run_id, "loss", 0.5, {.step = 1}).value();
//   client.set_terminated(run.info.run_id).value();

#include <mlflowha/client/artifact_calls.hpp>
#include <mlflowha/client/health.hpp>
#include <mlflowha/client/options.hpp>
#include <mlflowha/client/reconcile.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

struct CustomOperation;
namespace detail {
class Engine;
}

/// A handle on shared state: copies are cheap and drive the same breakers, budget and connections. All calls may be
/// made from many threads at the same time on the same or on different copies. Makes no thread and touches no network
/// before the first call. After fork() parent and child may both go on using it. The destructor waits for nothing. One
/// that was moved from may only be destroyed and assigned to.
class MLFLOWHA_EXPORT Client final : public ArtifactCalls {
 public:
  /// Checks the options (every fault is listed) and makes a client. No I/O, except that certificate files are looked
  /// for.
  [[nodiscard]] static Result<Client> create(ClientOptions options);
  /// create(ClientOptions::from_env()).
  [[nodiscard]] static Result<Client> from_env(const Environment& environment = process_environment());

  ~Client() override;
  Client(const Client&);
  Client& operator=(const Client&);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  using RunConveniences::log_batch;
  /// Any number of metrics, params and tags: split over the server's limits (1,000 entries, of them 100 params and 100
  /// tags, a request) in order, params and tags first. All of it is checked before any of it is sent: MLflow's rules,
  /// and that no param is there twice. Metric points that a server keeps as one are sent once. On
  /// failure the error says how many entries had been stored; sending the same batch again is safe, also with NaN,
  /// which MLflow 2.x refuses to repeat: its batch is then sent in parts. `options.timeout` is for all requests
  /// together.
  [[nodiscard]] Result<void> log_batch(std::string_view run_id, std::vector<Metric> metrics,
                                       std::vector<Param> params = {}, std::vector<RunTag> tags = {},
                                       const CallOptions& options = {}) const;

  // --- past the typed calls ----------------------------------------------------------------------------------------

  /// Any operation of the table by its name, with its request as JSON; gives the answer's body as it came. Class,
  /// recipe and release are the operation's: a create is looked for by its tag before it is sent again. For members
  /// that a newer server knows and the typed request doesn't. MLflow's limits are not checked, only that `json` is an
  /// object and has what the path needs.
  [[nodiscard]] Result<std::string> call(std::string_view operation, std::string_view json,
                                         const CallOptions& options = {}) const;
  /// An operation that the table doesn't have. Include <mlflowha/api/json_call.hpp>.
  [[nodiscard]] Result<std::string> call(const CustomOperation& operation, std::string_view json,
                                         const CallOptions& options = {}) const;

  // --- exactly once --------------------------------------------------------------------------------------------------

  /// Looks for the late twins of this client's creates now and removes them. A look also happens along with later
  /// calls; call this before the process ends if a create met a fault, since nobody looks after that. See
  /// docs/idempotency.md.
  [[nodiscard]] Result<ReconcileReport> reconcile(const CallOptions& options = {}) const;

  // --- health and control --------------------------------------------------------------------------------------------

  /// What is known now; no request is sent.
  [[nodiscard]] HealthSnapshot health() const;
  /// Closes breakers, forgets failures and refusals, clears orders: of all endpoints or of one ("http://a:5000").
  Result<void> reset_circuit_breaker(std::string_view endpoint = {}) const;
  /// Takes all endpoints or one out of use until reset: maintenance, or a test of what happens then.
  Result<void> force_open(std::string_view endpoint = {}) const;
  /// forced_open, disabled, metrics_only, or none to lift an order.
  Result<void> set_breaker_override(BreakerOverride order, std::string_view endpoint = {}) const;

  /// The validated configuration.
  [[nodiscard]] const Config& config() const noexcept override;

 protected:
  [[nodiscard]] Result<Response> execute(const api::Operation& operation, api::PreparedRequest&& prepared,
                                         const CallOptions& options) const override;
  [[nodiscard]] std::string new_request_tag() const override;
  [[nodiscard]] WallTime wall_now() const override;
  [[nodiscard]] std::shared_ptr<const api::Calls> share() const override;

 private:
  explicit Client(std::shared_ptr<detail::Engine> engine) noexcept;
  [[nodiscard]] Result<void> log_batch_in_parts(LogBatch batch, Deadline deadline, const CallOptions& options) const;
  [[nodiscard]] Result<std::string> call_row(const api::Operation& operation, std::string_view json,
                                             const CallOptions& options) const;
  [[nodiscard]] Result<std::optional<EndpointIndex>> find_endpoint(std::string_view endpoint) const;

  std::shared_ptr<detail::Engine> engine_;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/client.ipp>
#endif

#endif
