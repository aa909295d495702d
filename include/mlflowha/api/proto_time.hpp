#ifndef MLFLOWHA_API_PROTO_TIME_HPP
#define MLFLOWHA_API_PROTO_TIME_HPP

// Times of the newer half of MLflow's API, which are text and no numbers: moments such as "2026-01-02T03:04:05.678Z"
// (TraceInfo::request_time, Assessment::create_time) and spans of time such as "1.5s" (TraceInfo::execution_duration).
// Entities keep the text as it came; these functions turn it into std::chrono types and back. Whoever makes or reads
// traces uses them.
//
//   info.request_time = format_timestamp(start);
//   info.execution_duration = format_duration(end - start);

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/result.hpp>

#include <chrono>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// RFC 3339 with milliseconds and in UTC, e.g. "2026-01-02T03:04:05.678Z"; no fraction where it is zero. Years 1 to
/// 9999, as protobuf has them; beyond them the nearest moment that can be written.
[[nodiscard]] MLFLOWHA_EXPORT std::string format_timestamp(WallTime time);
/// Reads RFC 3339: any number of digits of a second (what is finer than a millisecond is cut off), "Z" or an offset
/// such as "+01:00". Anything else is Errc::bad_response.
[[nodiscard]] MLFLOWHA_EXPORT Result<WallTime> parse_timestamp(std::string_view text);

/// Seconds with 0, 3, 6 or 9 decimals, e.g. "1.500s", as servers write them.
[[nodiscard]] MLFLOWHA_EXPORT std::string format_duration(std::chrono::nanoseconds duration);
/// Reads seconds with up to 9 decimals and an 's', e.g. "1.5s", "-3s". Anything else, and what nanoseconds in 64 bits
/// can't hold (292 years), is Errc::bad_response.
[[nodiscard]] MLFLOWHA_EXPORT Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/api/impl/proto_time.ipp>
#endif

#endif
