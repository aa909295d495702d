#ifndef MLFLOWHA_API_JSON_CALL_HPP
#define MLFLOWHA_API_JSON_CALL_HPP

// The way past the typed calls: an operation by its name in the table, or one that the table doesn't have, with its
// request as JSON text. For what a newer server knows and this library doesn't. Users call Client::call().

#include <mlflowha/api/operation.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// An operation that the table doesn't have. Checked when it is called.
struct CustomOperation {
  Method method = Method::post;
  /// Below the endpoint's address, e.g. "/api/3.0/mlflow/things/{thing_id}"; "{a.b}" is member b of member a. A value
  /// with a slash is refused unless the place says that the server's route takes it: "{name+}" for a name, "{path*}"
  /// for the relative path of a file.
  std::string path{};
  /// What may be done after an attempt with an unknown fate. Nothing: read for GET, never for the rest. The classes of
  /// creates need a way to look the object up and are not for custom operations.
  std::optional<Idempotency> idempotency{};
  /// Of class once: the error codes that a repetition gets when the first sending was carried out.
  std::array<std::string, 2> already_done{};
  /// First MLflow with the operation. 0.0.0: nobody is asked for a release, and a server without it answers 404.
  ServerVersion since{};
  /// What a 2xx answer brings.
  api::AnswerKind answer = api::AnswerKind::json;
};

namespace api {

/// The row of that name, e.g. "create_run"; null when there is none.
[[nodiscard]] MLFLOWHA_EXPORT const Operation* find_operation(std::string_view name) noexcept;
/// The row whose name looks most like `name`, for a hint; null when none comes near.
[[nodiscard]] MLFLOWHA_EXPORT const Operation* nearest_operation(std::string_view name);

/// Puts a request in JSON into bytes. Members that the path names go into the path; for GET the others go into the
/// query (scalars and lists of scalars; null is left out), else the text is the body, byte for byte. An operation with
/// a recipe gets `request_tag`, in the place of one that `json` has. Errc::invalid_argument, naming the member, when
/// that can't be done; also for a bare NaN and half of a surrogate pair, for which MLflow stores something else.
[[nodiscard]] MLFLOWHA_EXPORT Result<PreparedRequest> prepare_json(const Operation& operation, std::string_view json,
                                                                   std::string request_tag);

/// Empty, or what is wrong with it.
[[nodiscard]] MLFLOWHA_EXPORT std::string faults(const CustomOperation& operation);

}  // namespace api

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/api/impl/json_call.ipp>
#endif

#endif
