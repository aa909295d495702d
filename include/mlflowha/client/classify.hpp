#ifndef MLFLOWHA_CLIENT_CLASSIFY_HPP
#define MLFLOWHA_CLIENT_CLASSIFY_HPP

// What the result of one attempt means: whose fault it was, whether the request may have been carried out, and how to
// tell people. The only place that turns HTTP and MLflow's error codes into the terms of the resilience room.
// MLflow's statuses mislead (measured on 3.17 and 2.22): 400 BAD_REQUEST also means a database driver's error, 500 also
// means a bad argument, 503 also means a feature that is switched off. So: error code first, message second, status
// last.

#include <mlflowha/api/operation.hpp>
#include <mlflowha/core/error.hpp>
#include <mlflowha/http/transport.hpp>
#include <mlflowha/resilience/outcome.hpp>

#include <optional>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// What classify must know of the request.
struct ClassifyContext {
  const api::Operation& operation;
  bool respect_retry_after = true;
};

struct Classification {
  Outcome outcome;
  std::string summary;         ///< for AttemptRecord::outcome: "ok", "connect refused", "503 TEMPORARILY_UNAVAILABLE"
  std::optional<Error> error;  ///< what to return if this attempt decides; nothing on success
};

/// Never throws but for lack of memory.
[[nodiscard]] MLFLOWHA_EXPORT Classification classify(const TransportResult& result, const ClassifyContext& context,
                                                      WallTime wall_now);

/// True for the answer of MLflow 2.x to a metric point that it has already, which it recognises by everything but NaN:
/// the primary key's refusal. 3.x answers such a point with 200.
[[nodiscard]] MLFLOWHA_EXPORT bool shows_stored_point(const Error& error) noexcept;

/// True for the text of a database driver or connection pool in an error message: the backend failed, not the caller.
[[nodiscard]] MLFLOWHA_EXPORT bool shows_backend_fault(std::string_view message) noexcept;

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/classify.ipp>
#endif

#endif
