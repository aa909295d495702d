#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_SUPPORT_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_SUPPORT_IPP

// What the recipes share: the request tag in a filter, among tags, and in an answer made up from what was found.

#include <mlflowha/api/codec.hpp>
#include <mlflowha/client/impl/recipes.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// The request of a prepared call, without what only its own execution needs.
[[nodiscard]] MLFLOWHA_INLINE Result<Request> request_of(Result<api::PreparedRequest> prepared) {
  if (!prepared) return std::move(prepared).error();
  return std::move(prepared->http);
}

/// `tags.`mlflowha.request_id` = '...'`. The filter language has no escapes; RequestBuilder::recipe() takes no tag that
/// would need one.
[[nodiscard]] MLFLOWHA_INLINE std::string tag_filter(std::string_view request_tag) {
  return fmt::format("tags.`{}` = '{}'", api::request_tag_key, request_tag);
}

/// Whatever a server understood of a filter: an object without our tag is a stranger's, not to be adopted or removed.
template <class Tag>
[[nodiscard]] bool has_request_tag(const std::vector<Tag>& tags, std::string_view request_tag) {
  return std::any_of(tags.begin(), tags.end(),
                     [&](const Tag& tag) { return tag.key == api::request_tag_key && tag.value == request_tag; });
}

[[nodiscard]] MLFLOWHA_INLINE Response answer_with(std::string body) {
  Response response;
  response.status = 200;
  response.body = std::move(body);
  return response;
}

/// `{"member": VALUE}`: what a create that returns the object would have answered.
[[nodiscard]] MLFLOWHA_INLINE Result<Response> answer_with_member(std::string_view member,
                                                                  const Result<std::string>& json) {
  if (!json) return json.error();
  return answer_with(fmt::format("{{\"{}\": {}}}", member, *json));
}

// --- recipes without a tag: what the request says, compared with what is there

/// The request of the create that is looked up, read back from its bytes.
template <class Request>
[[nodiscard]] Result<Request> request_said(const RecipeKey& key) {
  return api::from_json<Request>(key.body);
}

/// What a request left empty is the server's to choose: it is not compared.
template <class T>
[[nodiscard]] bool as_said(const T& said, const T& there) {
  return said == T() || said == there;
}
template <class T>
[[nodiscard]] bool as_said(const std::optional<T>& said, const T& there) {
  return !said || *said == there;
}
/// Text as servers keep most of it: without blanks around.
[[nodiscard]] MLFLOWHA_INLINE std::string stripped(std::string_view text) {
  constexpr std::string_view blanks = " \t\n\r\v\f";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(blanks) + 1 - first));
}
/// Lists whose order means nothing.
[[nodiscard]] MLFLOWHA_INLINE bool same_entries(std::vector<std::string> a, std::vector<std::string> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

/// The finding that an object is what the create has made; `member` is where the create's answer has its `json`.
[[nodiscard]] MLFLOWHA_INLINE Result<Finding> found_as(std::string_view member, const Result<std::string>& json,
                                                       std::string id) {
  Result<Response> answer = answer_with_member(member, json);
  if (!answer) return std::move(answer).error();
  Finding finding;
  finding.objects.push_back({std::move(id)});
  finding.answer = std::move(*answer);
  return finding;
}

/// As found_as(), for a create whose answer is the object itself.
[[nodiscard]] MLFLOWHA_INLINE Result<Finding> found(Result<std::string> json, std::string id) {
  if (!json) return std::move(json).error();
  Finding finding;
  finding.objects.push_back({std::move(id)});
  finding.answer = answer_with(*std::move(json));
  return finding;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
