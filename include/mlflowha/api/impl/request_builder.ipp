#ifndef MLFLOWHA_API_IMPL_REQUEST_BUILDER_IPP
#define MLFLOWHA_API_IMPL_REQUEST_BUILDER_IPP

// RequestBuilder: puts one checked request into bytes, as its row of the table says: values into the path, a query for
// GET, a JSON body for every other method (DELETE included: MLflow reads a query for GET only).

#include <mlflowha/api/impl/checker.ipp>
#include <mlflowha/api/impl/json_reader.ipp>
#include <mlflowha/api/impl/json_writer.ipp>
#include <mlflowha/api/impl/route_match.ipp>
#include <mlflowha/api/operation.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/uri.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class RequestBuilder {
 public:
  explicit RequestBuilder(const api::Operation& operation, std::optional<WallTime> now = std::nullopt)
      : operation_(operation), rest_of_path_(operation.path) {
    if (now) now_ms_ = now->time_since_epoch().count();
    prepared_.http.method = operation.method;
    prepared_.idempotency = operation.idempotency;
  }

  [[nodiscard]] std::optional<std::int64_t> now_ms() const noexcept { return now_ms_; }

  /// Applies the table's rules.
  template <class T>
  RequestBuilder& checked(const T& request) {
    Checker checker;
    check(checker, request);
    if (checker.failed()) fault_ = checker.fault();
    return *this;
  }
  /// The class of this request, where it is not the operation's.
  RequestBuilder& idempotency(Idempotency idempotency) {
    prepared_.idempotency = idempotency;
    return *this;
  }
  /// What the recipe needs to find the object again.
  RequestBuilder& recipe(std::string request_tag, std::string scope) {
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (request_tag.size() > 100 || request_tag.find_first_not_of(allowed) != std::string::npos) {
      fail("request_tag is \"" + sanitize(request_tag, 100) + "\"; expected up to 100 letters, digits, '-' and '_'");
    }
    prepared_.request_tag = std::move(request_tag);
    prepared_.scope = std::move(scope);
    return *this;
  }
  /// Puts a value into the next place of the path: "{name}", or "{name+}" where the server's route takes slashes.
  RequestBuilder& place(std::string_view name, std::string_view value) {
    const std::size_t open = rest_of_path_.find('{');
    const std::size_t close = rest_of_path_.find('}');
    if (!takes_slashes(rest_of_path_.substr(open + 1, close - open - 1)) && value.find('/') != std::string_view::npos) {
      return misplaced(name, value, "a value without '/', which MLflow's route for this operation doesn't take");
    }
    if (has_dot_part(value)) return misplaced(name, value, "a value that can be part of an address");
    put(open, close, value, percent_encode(text(name, value)));
    return *this;
  }
  /// As place(), for a path of a file, "{name*}": its slashes stay.
  RequestBuilder& place_path(std::string_view name, std::string_view value) {
    const std::size_t open = rest_of_path_.find('{');
    const std::size_t close = rest_of_path_.find('}');
    value = text(name, value);
    std::string encoded;
    for (std::size_t start = 0; start <= value.size();) {
      const std::size_t end = std::min(value.find('/', start), value.size());
      if (start > 0) encoded += '/';
      encoded += percent_encode(value.substr(start, end - start));
      start = end + 1;
    }
    put(open, close, value, encoded);
    return *this;
  }
  /// Sends these bytes as they are.
  RequestBuilder& raw_body(std::string bytes) {
    prepared_.http.body = std::move(bytes);
    prepared_.http.content_type = "application/octet-stream";
    return *this;
  }
  RequestBuilder& query(std::string_view name, std::string_view value) {
    if (!value.empty()) add_query(name, text(name, value));
    return *this;
  }
  template <class F>
    requires std::is_same_v<F, Filter>  // not what merely converts to one
  RequestBuilder& query(std::string_view name, const F& value) {
    return query(name, std::string_view(value.text()));
  }
  RequestBuilder& query(std::string_view name, const std::vector<std::string>& values) {
    for (const std::string& value : values) add_query(name, text(name, value));
    return *this;
  }
  RequestBuilder& query(std::string_view name, std::int64_t value) {
    add_query(name, std::to_string(value));
    return *this;
  }
  RequestBuilder& query(std::string_view name, std::int32_t value) { return query(name, std::int64_t{value}); }
  RequestBuilder& query(std::string_view name, bool value) {
    add_query(name, value ? "true" : "false");
    return *this;
  }
  template <class Names>
  RequestBuilder& query(std::string_view name, const OpenEnum<Names>& value) {
    return value == OpenEnum<Names>() ? *this : query(name, value.name());
  }
  template <class T>
  RequestBuilder& query(std::string_view name, const std::optional<T>& value) {
    if (value) query(name, *value);
    return *this;
  }
  RequestBuilder& query(const UnknownFields& fields) {
    if (!fields.empty()) fail("unknown_fields has entries; expected none, because this request has no JSON body");
    return *this;
  }
  template <class T>
  RequestBuilder& body(const T& request) {
    if (!fault_.empty()) return *this;
    prepared_.http.body.reserve(256);  // most requests fit: one allocation instead of four
    JsonWriter writer(prepared_.http.body, now_ms_);
    encode(writer, request);
    if (writer.failed()) fail(writer.fault());
    return *this;
  }

  /// A JSON body that is text already.
  RequestBuilder& json_body(std::string body) {
    prepared_.http.body = std::move(body);
    return *this;
  }

  [[nodiscard]] Result<api::PreparedRequest> finish() {
    if (!fault_.empty()) return invalid_argument(std::string(operation_.name) + ": " + fault_);
    prepared_.http.target += rest_of_path_;
    prepared_.http.target += query_;
    if (!placed_.empty()) {
      plain_ += rest_of_path_;
      std::string other = other_meaning();
      if (!other.empty()) return invalid_argument(std::string(operation_.name) + ": " + std::move(other));
    }
    const bool harmless =
        prepared_.idempotency == Idempotency::read || prepared_.idempotency == Idempotency::same_again;
    prepared_.http.resend = harmless ? Resend::allowed : Resend::forbidden;
    return std::move(prepared_);
  }

 private:
  void fail(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
  }
  RequestBuilder& misplaced(std::string_view name, std::string_view value, const char* expected) {
    fail(std::string(name) + " is \"" + sanitize(value, 100) + "\"; expected " + expected);
    return *this;
  }
  /// Empty, or a part that is "." or "..", which proxies take out of an address.
  [[nodiscard]] static bool has_dot_part(std::string_view value) noexcept {
    for (std::string_view rest = value;;) {
      const std::size_t slash = rest.find('/');
      const std::string_view part = rest.substr(0, slash);
      if (part == "." || part == "..") return true;
      if (slash == std::string_view::npos) return value.empty();
      rest.remove_prefix(slash + 1);
    }
  }
  void put(std::size_t open, std::size_t close, std::string_view value, std::string_view encoded) {
    const std::string_view before = rest_of_path_.substr(0, open);
    prepared_.http.target += before;
    prepared_.http.target += encoded;
    plain_ += before;
    plain_ += value;
    placed_.emplace_back(value);
    rest_of_path_.remove_prefix(close + 1);
  }
  /// Empty, or what a server would take this address for instead: it decodes a path before it looks for its route, so
  /// that an MCP server's name "a/b/versions/1" would be the address of a version.
  [[nodiscard]] std::string other_meaning() const {
    std::vector<std::string_view> found;
    const bool same = match_route(operation_.path, plain_, found) &&
                      std::equal(found.begin(), found.end(), placed_.begin(), placed_.end());
    bool listed = false;
    const api::Operation* other = nullptr;
    const std::size_t fixed = fixed_parts(operation_.path);
    for (const api::Operation* row : api::operations) {
      listed = listed || row == &operation_;
      found.clear();
      if (row->method != operation_.method || !match_route(row->path, plain_, found)) continue;
      if (fixed_parts(row->path) >= fixed && !same_route(row->path, operation_.path)) other = row;
    }
    // Where a caller's own operation leads to is the caller's affair, as long as no value changes that.
    const bool slashes = std::any_of(placed_.begin(), placed_.end(),
                                     [](const std::string& value) { return value.find('/') != std::string::npos; });
    if (same && (other == nullptr || (!listed && !slashes))) return {};
    std::string fault = "the address would be \"" + sanitize(plain_, 200) + "\", which servers take for ";
    fault += other != nullptr ? "that of " + std::string(other->name) : "that of other values";
    return fault + "; expected values without what stands between the places of " + std::string(operation_.path);
  }
  std::string_view text(std::string_view name, std::string_view value) {
    for (std::size_t i = 0; i < value.size();) {
      const std::size_t length =
          utf8_sequence(reinterpret_cast<const unsigned char*>(value.data()) + i, value.size() - i);
      if (length == 0) {
        fail(std::string(name) + " is not UTF-8 at byte " + std::to_string(i) + ": \"" + sanitize(value, 64) + '"');
        return value;
      }
      i += length;
    }
    return value;
  }
  void add_query(std::string_view name, std::string_view value) {
    query_ += query_.empty() ? '?' : '&';
    query_ += name;
    query_ += '=';
    query_ += percent_encode(value);
  }

  const api::Operation& operation_;
  std::string_view rest_of_path_;
  std::optional<std::int64_t> now_ms_;
  std::string query_;
  std::string plain_;                ///< the path as servers see it: decoded
  std::vector<std::string> placed_;  ///< what stands at its places
  std::string fault_;
  api::PreparedRequest prepared_;
};

/// Puts the request tag among a create's tags. An entry that is there already came with tags that were copied from
/// another object, and goes: to look for that one's request would find the wrong object.
template <class Tag>
void stamp(std::vector<Tag>& tags, const std::string& request_tag) {
  std::erase_if(tags, [](const Tag& tag) { return tag.key == api::request_tag_key; });
  Tag tag;
  tag.key = api::request_tag_key;
  tag.value = request_tag;
  tags.push_back(std::move(tag));
}
inline void stamp(std::map<std::string, std::string>& tags, const std::string& request_tag) {
  tags[std::string(api::request_tag_key)] = request_tag;
}
/// Tags as the text of a JSON object. Text that is none is left alone: the request's check refuses it.
inline void stamp(std::string& tags, const std::string& request_tag) {
  UnknownFields members;
  JsonReader reader(tags);
  if (!tags.empty() && reader.begin_object()) {
    for (std::string_view name; reader.next_member(name);) reader.keep(name, members);
  }
  if (!tags.empty()) reader.end();
  if (reader.failed()) return;
  std::erase_if(members, [](const UnknownField& member) { return member.name == api::request_tag_key; });
  std::string text;
  JsonWriter writer(text);
  writer.begin_object();
  writer.unknown(members);
  writer.member(api::request_tag_key, request_tag);
  writer.end_object();
  if (!writer.failed()) tags = std::move(text);  // a failure is the check's to name
}
/// The id of an object whose id the client may choose: the caller's, or one made of the letters and digits of `fresh`.
inline void stamp_id(std::string& id, std::string_view fresh) {
  if (!id.empty()) return;
  id = "a-";
  for (const char c : fresh) {
    if (c != '-') id += c;
  }
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
