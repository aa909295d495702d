#ifndef MLFLOWHA_API_ERROR_BODY_HPP
#define MLFLOWHA_API_ERROR_BODY_HPP

// What an answer says when it isn't the one that was hoped for: MLflow's error bodies, the pages of proxies in between,
// and 200s that no MLflow server sent. Names the error; whether it is worth another attempt is decided in the client.

#include <mlflowha/api/operation.hpp>
#include <mlflowha/core/error.hpp>
#include <mlflowha/http/message.hpp>

#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

namespace api {

/// The Error that an answer with a status other than 2xx stands for. MLflow's error_code decides before the status,
/// because MLflow answers 400 for "already exists" and 500 for "not allowed"; without one (a proxy's page, plain text,
/// an empty 404) the status decides. `effect` is left at none. Never throws on any bytes.
[[nodiscard]] MLFLOWHA_EXPORT Error decode_error(const Response& response);

/// Code for MLflow's error_code; Errc::internal for one that is not known.
[[nodiscard]] MLFLOWHA_EXPORT Errc errc_of(std::string_view error_code) noexcept;
/// Code for an HTTP status without a usable body.
[[nodiscard]] MLFLOWHA_EXPORT Errc errc_of(int http_status) noexcept;

/// Whether a 2xx answer can be this operation's at all: JSON object, or empty, or "OK", by its first and last
/// character. A login page or a cut body fails here, and another endpoint may do better. Cheap; the full check is the
/// decoding.
[[nodiscard]] MLFLOWHA_EXPORT Result<void> check_answer(const Operation& operation, const Response& response);

}  // namespace api

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/api/impl/error_body.ipp>
#endif

#endif
