#ifndef MLFLOWHA_RESILIENCE_BACKOFF_HPP
#define MLFLOWHA_RESILIENCE_BACKOFF_HPP

// Backoff: how long to wait before attempt n+1. Full jitter (AWS architecture blog, "Exponential Backoff And Jitter"):
// uniform in [0, min(cap, base * factor^n)). Figures from AWS SDK retry behaviour 2.1: base 50 ms, throttling 1 s.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/resilience/options.hpp>

#include <optional>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// min(cap, base * factor^retry), without overflow; retry counts from 0.
[[nodiscard]] MLFLOWHA_EXPORT Duration backoff_bound(const BackoffOptions& options, int retry, bool throttled) noexcept;

/// The wait before retry number `retry` (from 0). `unit` in [0, 1) is the jitter draw. A server's Retry-After is
/// clamped to [own, own + retry_after_slack] (AWS 2.1: 1500 ms stays 1.5 s, 0 becomes 50 ms, 10 s becomes 5.05 s).
[[nodiscard]] MLFLOWHA_EXPORT Duration backoff_delay(const BackoffOptions& options, int retry, bool throttled,
                                                     double unit, std::optional<Duration> retry_after) noexcept;

/// Reads a Retry-After header: whole seconds, or an HTTP date against the response's own Date header (`wall_now` when
/// that is missing). Negative, fractional, garbage: nothing. Huge: saturates.
[[nodiscard]] MLFLOWHA_EXPORT std::optional<Duration> parse_retry_after(std::string_view value,
                                                                        std::string_view date_header,
                                                                        WallTime wall_now) noexcept;
/// Reads a `retry-after-ms` / `x-amz-retry-after` style header: whole milliseconds.
[[nodiscard]] MLFLOWHA_EXPORT std::optional<Duration> parse_retry_after_ms(std::string_view value) noexcept;

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/resilience/impl/backoff.ipp>
#endif

#endif
