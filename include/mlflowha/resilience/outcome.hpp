#ifndef MLFLOWHA_RESILIENCE_OUTCOME_HPP
#define MLFLOWHA_RESILIENCE_OUTCOME_HPP

// Outcome: what one attempt means, in the only terms that the resilience machines understand. The client room makes it
// from a TransportResult (client/classify.hpp); breaker, endpoint set and call plan act on it and know nothing of HTTP.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/idempotency.hpp>
#include <mlflowha/resilience/release.hpp>

#include <cstdint>
#include <optional>

MLFLOWHA_BEGIN_NAMESPACE

enum class Verdict : std::uint8_t {
  success,         ///< a usable answer
  rejected,        ///< the caller's fault, the same anywhere: the endpoint is healthy
  overload,        ///< 429 and the like: load, not breakage; wait, or go elsewhere
  shared_backend,  ///< the database behind all endpoints is away (503 TEMPORARILY_UNAVAILABLE): nobody's breaker
  endpoint_fault,  ///< this endpoint is broken: connect, TLS, reset, timeout, 502, 504, a driver's error in a 400
  server_error,    ///< an answer that may be this server's fault or the request's own (500, a 404 that isn't MLflow's):
                   ///< try elsewhere a few times; soft for the breaker, since a request that always fails must not open
                   ///< them all
  wrong_endpoint,  ///< fronts another database: refuse it
  cancelled,       ///< by the caller or by shutdown: says nothing about the endpoint
};

/// Answer of a verification read (look for the object that an ambiguous create may have made).
enum class Found : std::uint8_t { not_asked, absent, present };

struct Outcome {
  Verdict verdict = Verdict::success;
  bool sent = true;            ///< a byte of the request left this machine
  bool maybe_applied = false;  ///< the server may have carried out the write
  bool already_done =
      false;  ///< rejected with the code that a repetition of this operation gets (class once / create_named)
  /// The endpoint answers that there is no such operation. With Verdict::rejected or server_error.
  bool missing_operation = false;
  Found found = Found::not_asked;       ///< for Purpose::verify with Verdict::success
  Release release;                      ///< for Purpose::ask_release with Verdict::success
  std::optional<Duration> retry_after;  ///< as the server asked, not yet capped
  Duration latency{};                   ///< of the attempt
  /// How long an answer may have waited for us to read it: the attempt was good that long ago. Not part of `latency`.
  Duration unattended{};
};

/// What an attempt is for.
enum class Purpose : std::uint8_t { call, verify, identify, ask_release };

MLFLOWHA_END_NAMESPACE

#endif
