#ifndef MLFLOWHA_API_CODEC_HPP
#define MLFLOWHA_API_CODEC_HPP

// The door to the JSON codecs: to_json and from_json, spelled the same for every entity and request. The overloads
// themselves are generated, one header a group (runs_codec.hpp and so on), beside the functions that make a
// request of a call (prepare_x) and a result of an answer (decode_x).

#include <mlflowha/core/result.hpp>

#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

namespace api {

/// The entity that `json` describes, or Errc::bad_response naming the member and what was expected. Takes any bytes:
/// never throws, never reads deeper than 128 levels. Accepts what servers really send: NaN and infinities bare or as
/// strings, 64-bit numbers as numbers or strings, null or absence as the default; the last of duplicate members counts;
/// unknown members are kept.
template <class T>
[[nodiscard]] Result<T> from_json(std::string_view json) = delete;

}  // namespace api

MLFLOWHA_END_NAMESPACE

#endif
