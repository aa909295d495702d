#ifndef MLFLOWHA_TESTS_UNIT_API_GOLDEN_HPP
#define MLFLOWHA_TESTS_UNIT_API_GOLDEN_HPP

// What the tests of recordings (tests/golden) need of each row of the table. The rows are generated; golden_test.cpp
// holds every recorded request and answer against them.

#include <mlflowha/api/operation.hpp>
#include <mlflowha/api/types.hpp>
#include <mlflowha/core/clock.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace mlflowha_tests {

struct GoldenRow {
  std::string_view name;
  std::string_view returns;  ///< as in the table: nothing, text, message, member, list, page, page_in_text
  std::string_view field;    ///< of the answer, where the row names one
  std::string_view unread;   ///< other fields of the answer, with blanks between
  mlflowha::Result<mlflowha::api::PreparedRequest> (*prepare)(std::string_view json);
  /// The result as JSON text, without unknown fields; a page is an object of items and next_page_token.
  mlflowha::Result<std::string> (*decode)(std::string_view body);
};

const std::vector<GoldenRow>& golden_rows();
/// Older spellings that are read and never written.
const std::vector<std::string_view>& golden_aliases();

/// Recorded requests bring their own times; this must not show up in any of them.
inline const mlflowha::WallTime golden_now{std::chrono::milliseconds(1)};
/// The request tag that a recorded request has among its tags, however they are written: "golden-" and more.
inline std::string golden_tag(std::string_view json) {
  const std::size_t begin = json.find("golden-", json.find("mlflowha.request_id"));
  if (begin == std::string_view::npos) return "none";
  return std::string(json.substr(begin, json.find_first_of("\"\\", begin) - begin));
}

/// A result as JSON text. `entity` is api::to_json, whose overloads the generated file knows.
template <class T, class Entity>
std::string golden_json(const T& value, const Entity& entity) {
  if constexpr (std::is_same_v<T, std::string>) {
    return '"' + value + '"';  // ids, versions and whole files; the first two need no escapes
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else if constexpr (requires { value.items, value.next_page_token; }) {
    return "{\"items\":" + golden_json(value.items, entity) + ",\"next_page_token\":\"" + value.next_page_token + "\"}";
  } else if constexpr (requires { value.begin(); }) {
    std::string list = "[";
    for (const auto& item : value) list += (list.size() > 1 ? "," : "") + golden_json(item, entity);
    return list + ']';
  } else if constexpr (requires { std::string(value.name()); }) {
    return '"' + std::string(value.name()) + '"';
  } else {
    return entity(value).value();
  }
}

template <class T, class Entity>
mlflowha::Result<std::string> golden_text(mlflowha::Result<T> result, const Entity& entity) {
  if (!result) return std::move(result).error();
  if constexpr (std::is_void_v<T>) {
    return std::string("{}");
  } else {
    return golden_json(*result, entity);
  }
}

}  // namespace mlflowha_tests

#endif
