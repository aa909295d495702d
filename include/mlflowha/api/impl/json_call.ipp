#ifndef MLFLOWHA_API_IMPL_JSON_CALL_IPP
#define MLFLOWHA_API_IMPL_JSON_CALL_IPP

#include <mlflowha/api/impl/answer.ipp>
#include <mlflowha/api/impl/checker.ipp>
#include <mlflowha/api/impl/json_reader.ipp>
#include <mlflowha/api/impl/json_writer.ipp>
#include <mlflowha/api/impl/request_builder.ipp>
#include <mlflowha/api/json_call.hpp>
#include <mlflowha/api/operations.hpp>

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// Levenshtein's distance.
MLFLOWHA_INLINE std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0U : 1U);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

/// The members of a request, each value as its text. One that is there twice counts as its last, as in Python.
MLFLOWHA_INLINE Result<UnknownFields> members_of(std::string_view what, std::string_view json, bool secret = false) {
  JsonReader check(json);
  check.skip();
  check.end();
  if (!check.failed() && check.saw_bare_number()) {
    // MLflow would store something else without a word: measured on 2.22.5 and 3.17.2.
    return invalid_argument(std::string(what) + ": a bare NaN or Infinity; expected it in quotes");
  }
  if (!check.failed() && check.saw_half_pair()) {
    // As above: MLflow stores an empty text. In an address it would be another name.
    return invalid_argument(std::string(what) +
                            ": half of a surrogate pair (\\uD800 to \\uDFFF); expected Unicode text");
  }
  JsonReader reader(json);
  if (secret) reader.hide_values();
  UnknownFields members;
  if (reader.begin_object()) {
    for (std::string_view name; reader.next_member(name);) reader.keep(name, members);
  }
  reader.end();
  if (reader.failed())
    return invalid_argument(std::string(what) + ": the request is no JSON object: " + reader.fault());
  return members;
}

MLFLOWHA_INLINE UnknownField* find_member(UnknownFields& members, std::string_view name) {
  const auto found = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.name == name; });
  return found == members.end() ? nullptr : &*found;
}

/// "experimentId" for "experiment_id": the other spelling that MLflow takes.
MLFLOWHA_INLINE std::string lower_camel(std::string_view name) {
  std::string camel;
  for (std::size_t at = 0; at < name.size(); ++at) {
    const bool word = name[at] == '_' && at + 1 < name.size();
    if (word) ++at;
    camel += word && name[at] >= 'a' && name[at] <= 'z' ? static_cast<char>(name[at] - 'a' + 'A') : name[at];
  }
  return camel;
}

/// A scalar as it stands in an address: text without quotes, a number or flag as it is; nothing for anything else.
MLFLOWHA_INLINE std::optional<std::string> scalar_of(std::string_view json) {
  if (json.empty() || json.front() == '{' || json.front() == '[' || json.front() == 'n') return std::nullopt;
  if (json.front() != '"') return std::string(json);
  JsonReader reader(json);
  std::string text;
  reader.read(text);
  return text;
}

/// The value that goes into {place}; nothing when there is none.
MLFLOWHA_INLINE std::optional<std::string> value_at(UnknownFields members, std::string_view place) {
  for (;;) {
    const std::size_t dot = place.find('.');
    const UnknownField* member = find_member(members, place.substr(0, dot));
    if (member == nullptr) return std::nullopt;
    if (dot == std::string_view::npos) return scalar_of(member->json);
    Result<UnknownFields> inner = members_of(place, member->json);
    if (!inner) return std::nullopt;
    members = std::move(*inner);
    place.remove_prefix(dot + 1);
  }
}

MLFLOWHA_INLINE std::vector<std::string_view> places_of(std::string_view path) {
  std::vector<std::string_view> places;
  for (std::size_t open = path.find('{'); open != std::string_view::npos; open = path.find('{', open + 1)) {
    const std::size_t close = path.find('}', open);
    if (close == std::string_view::npos) break;
    places.push_back(path.substr(open + 1, close - open - 1));
  }
  return places;
}

/// The values of a member of a GET, one query parameter each; a fault when they don't fit.
MLFLOWHA_INLINE Result<std::vector<std::string>> query_values(std::string_view what, const UnknownField& member) {
  std::vector<std::string> values;
  const auto refuse = [&](std::string_view found) {
    return invalid_argument(
        std::string(what) + ": " + sanitize(member.name, 100) + " is " + std::string(found) +
        "; expected a text, a number, true, false, or a list of these, because this request is a GET");
  };
  if (member.json.front() == 'n') return values;
  if (member.json.front() != '[') {
    std::optional<std::string> value = scalar_of(member.json);
    if (!value) return refuse("an object");
    values.push_back(std::move(*value));
    return values;
  }
  JsonReader reader(member.json);
  reader.begin_array();
  while (reader.next_entry()) {
    Json entry;
    reader.read(entry);
    std::optional<std::string> value = scalar_of(entry.text);
    if (!value) return refuse("a list with an object, a list or null in it");
    values.push_back(std::move(*value));
  }
  return values;
}

/// A create's request with its tag, as RequestBuilder's stamp() does it for the typed calls.
MLFLOWHA_INLINE Result<std::string> stamp_json(const api::Operation& operation, UnknownFields members,
                                               const std::string& request_tag) {
  const UnknownField* there = find_member(members, operation.tag_field);
  const std::string given = there == nullptr || there->json == "null" ? "[]" : there->json;
  std::vector<bool> is_ours;
  JsonReader reader(given);
  if (reader.begin_array()) {
    while (reader.next_entry()) {
      std::string key;
      if (!reader.begin_object()) break;
      for (std::string_view name; reader.next_member(name);) {
        if (name == "key") {
          reader.read(key);
        } else {
          reader.skip();
        }
      }
      is_ours.push_back(key == api::request_tag_key);
    }
  }
  if (reader.failed()) {
    return invalid_argument(std::string(operation.name) + ": " + std::string(operation.tag_field) +
                            " is no list of tags: " + reader.fault());
  }
  std::string list = "[";
  JsonReader again(given);
  again.begin_array();
  for (const bool ours : is_ours) {
    Json entry;
    again.next_entry();
    again.read(entry);
    if (!ours) list += entry.text + ", ";
  }
  JsonWriter tag(list);
  tag.begin_object();
  tag.member("key", std::string(api::request_tag_key));
  tag.member("value", request_tag);
  tag.end_object();
  list += ']';
  std::string body;
  JsonWriter writer(body);
  writer.begin_object();
  std::erase_if(members, [&](const UnknownField& member) { return member.name == operation.tag_field; });
  writer.unknown(members);
  writer.member(operation.tag_field, Json{std::move(list)});
  writer.end_object();
  if (writer.failed()) return invalid_argument(std::string(operation.name) + ": " + writer.fault());
  return body;
}

}  // namespace detail

namespace api {

MLFLOWHA_INLINE const Operation* find_operation(std::string_view name) noexcept {
  for (const Operation* operation : operations) {
    if (operation->name == name) return operation;
  }
  return nullptr;
}

MLFLOWHA_INLINE const Operation* nearest_operation(std::string_view name) {
  if (name.size() > 100) return nullptr;  // no name, and the time to compare grows with it
  const Operation* nearest = nullptr;
  std::size_t fewest = name.size() / 3 + 2;
  for (const Operation* operation : operations) {
    std::size_t edits = detail::edits_between(name, operation->name);
    if (!operation->rpc.empty()) edits = std::min(edits, detail::edits_between(name, operation->rpc));
    if (edits >= fewest) continue;
    nearest = operation;
    fewest = edits;
  }
  return nearest;
}

MLFLOWHA_INLINE Result<PreparedRequest> prepare_json(const Operation& operation, std::string_view json,
                                                     std::string request_tag) {
  Result<UnknownFields> members = detail::members_of(operation.name, json, operation.has_secrets());
  if (!members) return std::move(members).error();
  if (operation.takes_bytes) {
    return invalid_argument(std::string(operation.name) + " sends a file, not JSON; expected its typed call");
  }
  detail::RequestBuilder builder(operation);
  const std::vector<std::string_view> places = detail::places_of(operation.path);
  for (std::string_view place : places) {
    const bool is_path = place.back() == '*';
    place = detail::field_of_place(place);
    const std::optional<std::string> value = detail::value_at(*members, place);
    if (!value) {
      return invalid_argument(std::string(operation.name) + ": " + std::string(place) +
                              " is missing; expected a text or a number, because it is part of the address");
    }
    if (!is_path) {
      builder.place(place, *value);
      continue;
    }
    detail::Checker check;
    const std::string name(place);
    check.path(name.c_str(), *value);
    if (check.failed()) return invalid_argument(std::string(operation.name) + ": " + check.fault());
    builder.place_path(place, *value);
  }
  if (operation.method == Method::get) {
    for (const UnknownField& member : *members) {
      const auto stands_in_path = [&](std::string_view place) { return detail::field_of_place(place) == member.name; };
      if (std::any_of(places.begin(), places.end(), stands_in_path)) continue;
      const Result<std::vector<std::string>> values = detail::query_values(operation.name, member);
      if (!values) return values.error();
      builder.query(percent_encode(member.name), *values);
    }
    return builder.finish();
  }
  if (operation.recipe == Recipe::none) return builder.json_body(std::string(json)).finish();
  const UnknownField* narrowed = detail::find_member(*members, operation.scope_field);
  if (narrowed == nullptr) narrowed = detail::find_member(*members, detail::lower_camel(operation.scope_field));
  std::string scope = narrowed == nullptr ? std::string() : detail::scalar_of(narrowed->json).value_or(std::string());
  if (operation.tag_field.empty() && operation.tagged) {
    // Nowhere to put it: an unknown fate stays unknown.
    return builder.idempotency(Idempotency::never).json_body(std::string(json)).finish();
  }
  if (operation.tag_field.empty()) {  // the recipe compares what the request says
    return builder.recipe({}, std::move(scope)).json_body(std::string(json)).finish();
  }
  Result<std::string> body = detail::stamp_json(operation, std::move(*members), request_tag);
  if (!body) return std::move(body).error();
  return builder.recipe(std::move(request_tag), std::move(scope)).json_body(std::move(*body)).finish();
}

MLFLOWHA_INLINE std::string faults(const CustomOperation& operation) {
  const auto fault = [&](std::string_view expected) {
    return "path is \"" + sanitize(operation.path, 100) + "\"; expected " + std::string(expected);
  };
  std::string_view rest = operation.path;
  if (rest.empty() || rest.front() != '/') return fault("a path that begins with /");
  for (const char c : rest) {
    if (c <= ' ' || c >= 0x7F || c == '?' || c == '#' || c == '%' || c == '\\') {
      return fault("printable ASCII without blanks, %, ?, # and backslashes; values go into {places}");
    }
  }
  for (;;) {
    const std::size_t bracket = rest.find_first_of("{}");
    if (bracket == std::string_view::npos) break;
    const std::size_t close = rest.find('}');
    const std::string_view name = close == std::string_view::npos ? "" : rest.substr(bracket + 1, close - bracket - 1);
    if (rest[bracket] == '}' || detail::field_of_place(name).empty() ||
        name.find_first_of("{/") != std::string_view::npos) {
      return fault("each place as {name}, {name+} or {name*}");
    }
    rest.remove_prefix(close + 1);
  }
  if (!operation.idempotency) return {};
  if (*operation.idempotency == Idempotency::create_named || *operation.idempotency == Idempotency::create_anonymous) {
    return "the class of a create needs a recipe of the table; expected read, same_again, once or never";
  }
  if ((*operation.idempotency == Idempotency::once) == operation.already_done[0].empty()) {
    return "already_done has the codes that a repetition gets, for class once and for no other";
  }
  return {};
}

}  // namespace api

MLFLOWHA_END_NAMESPACE

#endif
