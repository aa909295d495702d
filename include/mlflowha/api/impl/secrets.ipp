#ifndef MLFLOWHA_API_IMPL_SECRETS_IPP
#define MLFLOWHA_API_IMPL_SECRETS_IPP

#include <mlflowha/api/impl/json_reader.ipp>
#include <mlflowha/api/secrets.hpp>
#include <mlflowha/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <unordered_set>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// Every text and number in a JSON value. The depth is that of the reader which has found it well-formed.
MLFLOWHA_INLINE void collect_texts(std::string_view json, std::vector<std::string>& texts) {
  JsonReader reader(json);
  const auto inner = [&] {
    Json value;
    reader.read(value);
    if (!value.text.empty()) collect_texts(value.text, texts);
  };
  if (json.front() == '{') {
    reader.begin_object();
    for (std::string_view name; reader.next_member(name);) inner();
  } else if (json.front() == '[') {
    reader.begin_array();
    while (reader.next_entry()) inner();
  } else if (json.front() == '"') {
    reader.read(texts.emplace_back());
  } else if (json != "true" && json != "false") {
    texts.emplace_back(json);
  }
}

MLFLOWHA_INLINE std::vector<std::string> secrets_in(const api::Operation& operation, std::string_view body) {
  std::vector<std::string> texts;
  JsonReader reader(body);
  if (!reader.begin_object()) return texts;
  for (std::string_view name; reader.next_member(name);) {
    const bool secret = name == operation.secrets[0] || name == operation.secrets[1];
    Json value;
    reader.read(value);
    if (secret && !value.text.empty()) collect_texts(value.text, texts);
  }
  return texts;
}

/// Marks each byte of `text` that repeats a piece of `secret`.
MLFLOWHA_INLINE void mark_repeated(std::string_view text, std::string_view secret, std::vector<bool>& marks) {
  const std::size_t piece = std::min<std::size_t>(secret.size(), 6);
  if (piece == 0) return;
  std::unordered_set<std::string_view> pieces;
  for (std::size_t i = 0; i + piece <= secret.size(); ++i) pieces.insert(secret.substr(i, piece));
  for (std::size_t i = 0; i + piece <= text.size(); ++i) {
    if (!pieces.contains(text.substr(i, piece))) continue;
    for (std::size_t at = i; at < i + piece; ++at) marks[at] = true;
  }
}

}  // namespace detail

namespace api {

MLFLOWHA_INLINE std::string without_secrets(const Operation& operation, std::string_view request_body,
                                            std::string text) {
  if (!operation.has_secrets()) return text;
  std::vector<bool> marks(text.size());
  for (const std::string& secret : detail::secrets_in(operation, request_body)) {
    detail::mark_repeated(text, secret, marks);
  }
  if (std::find(marks.begin(), marks.end(), true) == marks.end()) return text;
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!marks[i]) {
      shown += text[i];
    } else if (i == 0 || !marks[i - 1]) {
      shown += "[secret]";
    }
  }
  return sanitize(shown, shown.size() * 4);  // a mark may end inside of a character
}

}  // namespace api

MLFLOWHA_END_NAMESPACE

#endif
