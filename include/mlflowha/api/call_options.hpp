#ifndef MLFLOWHA_API_CALL_OPTIONS_HPP
#define MLFLOWHA_API_CALL_OPTIONS_HPP

// CallOptions: what may be said about one call besides its request. Last argument of every typed call.

#include <mlflowha/core/clock.hpp>

#include <optional>

MLFLOWHA_BEGIN_NAMESPACE

struct CallOptions {
  /// Time for the whole call: attempts, waits, verification and failover. Nothing: the client's default.
  std::optional<Duration> timeout{};
  /// Ends the call early, from any thread.
  CancellationToken cancel{};
};

MLFLOWHA_END_NAMESPACE

#endif
