#ifndef MLFLOWHA_API_TYPES_HPP
#define MLFLOWHA_API_TYPES_HPP

// The few types that all entities and requests share: pages of a search, JSON that is kept as text, and the fields of a
// newer server that this library doesn't know.

#include <mlflowha/config.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// As a timestamp in a request: the moment of the call. It is fixed before the first attempt, so that a repetition is
/// the same request. No server accepts a negative timestamp, so none is lost.
inline constexpr std::int64_t now_at_call = -1;

/// One JSON value as text. Empty means absent. Checked when it is sent.
struct Json {
  std::string text{};

  friend bool operator==(const Json&, const Json&) = default;
};

/// A member that this library doesn't know, kept as it came.
struct UnknownField {
  std::string name{};
  std::string json{};  ///< its value as JSON text

  friend bool operator==(const UnknownField&, const UnknownField&) = default;
};

/// What a newer server said beyond our table, in the order of arrival. Sent again when the entity is sent, so nothing
/// is lost on a round trip; a request's own unknown fields are a way to use what a newer server understands.
using UnknownFields = std::vector<UnknownField>;

/// What tells an entity from the others of its kind, so that a Pager gives it once. Specialised in the generated
/// headers for entities with an id: `known` is true and of(entity) is the id, "" when the server didn't say.
template <class T>
struct Identity {
  static constexpr bool known = false;
};

/// One page of a search.
template <class T>
struct Page {
  std::vector<T> items{};
  std::string next_page_token{};  ///< for the next request's page_token; empty at the end
  UnknownFields unknown_fields{};

  friend bool operator==(const Page&, const Page&) = default;
};

MLFLOWHA_END_NAMESPACE

#endif
