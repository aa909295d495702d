#ifndef MLFLOWHA_API_OPERATION_HPP
#define MLFLOWHA_API_OPERATION_HPP

// Operation: one row of the table of MLflow's REST surface, as the machinery below the typed calls sees it; and
// PreparedRequest, one call of it, checked and encoded. The rows are in operations.hpp.

#include <mlflowha/api/call_options.hpp>
#include <mlflowha/core/idempotency.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/http/message.hpp>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// A release of MLflow. Ordered; suffixes such as "rc1" or ".dev0" are left out.
struct ServerVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;

  friend auto operator<=>(const ServerVersion&, const ServerVersion&) = default;
};

/// Reads "3.17.2", "3.18.0rc1", "2.22". Anything else is Errc::bad_response.
[[nodiscard]] MLFLOWHA_EXPORT Result<ServerVersion> parse_server_version(std::string_view text);
/// "3.17.2"
[[nodiscard]] MLFLOWHA_EXPORT std::string to_string(const ServerVersion& version);

namespace api {

/// How the object of a create with an unknown fate is looked up. The client carries it out.
enum class Recipe : std::uint8_t {
  none,
  find_run_by_tag,                ///< search the runs of the experiment for the request tag
  find_experiment_by_name,        ///< read the experiment of that name and compare its request tag
  find_run_inputs,                ///< read the run: are all datasets and models of this request among its inputs?
  find_run_outputs,               ///< read the run: are all models of this request among its outputs?
  find_registered_model_by_name,  ///< read the model of that name and compare its request tag
  find_model_version_by_tag,      ///< search the versions of the model for the request tag
  find_logged_model_by_tag,       ///< search the logged models of the experiment for the request tag
  find_logged_model_params,       ///< read the logged model: are all params of this request there?
  find_trace_by_tag,              ///< search the traces (version 2) of the experiment for the request tag
  find_assessment_by_id,          ///< read the assessment with the id that we made and compare its request tag
  find_dataset_by_tag,            ///< search the evaluation datasets for the request tag
  find_newest_scorer,             ///< read the scorer's newest version: is it this request's?
  find_canceled_job,              ///< read the job: has it been canceled?
  find_label_schema,              ///< read the schema of that name: is it all that this request says?
  find_review_queue,              ///< read the queue of that name: is it all that this request says?
  find_workspace,                 ///< read the workspace of that name: is it all that this request says?
  find_gateway_secret,            ///< list the secrets: is the one of that name all that this request says?
  find_gateway_model_definition,  ///< list the definitions: is the one of that name all that this request says?
  find_gateway_endpoint,          ///< read the endpoint of that name: is it all that this request says?
  find_attached_model,            ///< read the endpoint: has it the model as this request says?
  find_endpoint_binding,          ///< list the bindings: is there the one of this request?
  find_endpoint_guardrail,        ///< list the endpoint's guardrails: is there the one of this request?
  find_mcp_server,                ///< read the MCP server of that name: is it all that this request says?
  find_mcp_version,               ///< read the version: is it all that this request says?
  find_changed_mcp_version,       ///< read the version: has it the status and all else that this request says?
  find_deleted_mcp_version,       ///< list the server's versions: is this one gone?
  find_user_permission,           ///< list the user's permissions: is there the one of this request?
  find_role,                      ///< list the workspace's roles: is the one of that name all that this request says?
  find_role_permission,           ///< list the role's permissions: is there the one of this request?
  find_experiment_permission,     ///< read the user's permission: is it the one of this request?
  find_registered_model_permission,  ///< read the user's permission: is it the one of this request?
  find_renamed_model,                ///< read the model of the new name: is there one?
  find_restored_experiment,          ///< read the experiment: is it active?
};

/// What the body of a 2xx answer is.
enum class AnswerKind : std::uint8_t {
  json,   ///< one object
  text,   ///< a short plain text
  bytes,  ///< a file, whatever is in it
};

/// One operation of MLflow's REST surface. Constant data; all text lives as long as the program. Each exists once, in
/// namespace api::ops, so an address tells which it is: `&operation == &api::ops::create_run`.
struct Operation {
  std::string_view name;  ///< as the typed call, e.g. "create_run"
  std::string_view rpc;   ///< MLflow's name, e.g. "createRun"; "" for a route without one
  Method method = Method::get;
  /// E.g. "/api/2.0/mlflow/logged-models/{model_id}"; "{name+}": the value may have slashes; "{path*}": is a file's
  /// path.
  std::string_view path;
  Idempotency idempotency = Idempotency::never;
  Recipe recipe = Recipe::none;
  /// Error codes that a repetition gets when the first sending was carried out; "" where unused.
  std::array<std::string_view, 2> already_done{};
  AnswerKind answer = AnswerKind::json;  ///< of a 2xx
  bool takes_bytes = false;              ///< the request's body is a file, not JSON
  ServerVersion since{};                 ///< first release with it; 0.0.0: every release that this library supports
  ServerVersion until{};                 ///< first release that has it no longer; 0.0.0: all newer ones have it
  /// Members of the request that the recipe needs: what narrows the look, and the list of tags (objects with `key` and
  /// `value`) that takes the request tag; "" where there is none of that kind.
  std::string_view scope_field{};
  std::string_view tag_field{};
  bool tagged = false;  ///< the recipe looks for a request tag, wherever the request keeps it
  /// Members of the request that hold secrets, which no error shows; "" where unused.
  std::array<std::string_view, 2> secrets{};

  /// True when a repetition of this operation is answered with `error_code`.
  [[nodiscard]] constexpr bool is_already_done(std::string_view error_code) const noexcept {
    return !error_code.empty() && (error_code == already_done[0] || error_code == already_done[1]);
  }
  [[nodiscard]] constexpr bool has_secrets() const noexcept { return !secrets[0].empty(); }
};

/// One call, checked and encoded. The bytes stay the same for every attempt.
struct PreparedRequest {
  Request http;
  Idempotency idempotency = Idempotency::never;  ///< of this request; an operation may be safer with some fields empty
  std::string request_tag;                       ///< value of the tag request_tag_key; "" where the recipe needs none
  std::string scope;           ///< what narrows the recipe's search: an experiment's id, a model's name, as Recipe says
  std::uint64_t transfer = 0;  ///< bytes of the file that goes along, either way: makes the time limits longer
};

}  // namespace api

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/api/impl/operation.ipp>
#endif

#endif
