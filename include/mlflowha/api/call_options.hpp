#ifndef MLFLOWHA_API_CALL_OPTIONS_HPP
#define MLFLOWHA_API_CALL_OPTIONS_HPP

// CallOptions: what may be said about one call besides its request. Last argument of every typed call.

#include <mlflowha/core/clock.hpp>

#include <optional>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

namespace api {

/// The key of the tag by which a create is found again. Its value is unique to the call.
inline constexpr std::string_view request_tag_key = "mlflowha.request_id";

}  // namespace api

struct CallOptions {
  /// Time for the whole call: attempts, waits, verification and failover. Nothing: the client's default.
  std::optional<Duration> timeout{};
  /// Ends the call early, from any thread.
  CancellationToken cancel{};
  /// Value of the tag `mlflowha.request_id` of what a create makes, for a caller that writes it down before sending and
  /// searches for it afterwards. Letters, digits, '-' and '_'; each object needs its own. Empty: a fresh one. It is the
  /// only way to choose it: an entry of that name among a request's tags is replaced, since tags that were copied from
  /// another object bring that one's.
  std::string request_tag{};
};

MLFLOWHA_END_NAMESPACE

#endif
