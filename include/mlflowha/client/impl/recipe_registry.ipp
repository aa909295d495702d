#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_REGISTRY_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_REGISTRY_IPP

// Recipes of registered models and model versions.

#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/registry_codec.hpp>
#include <mlflowha/client/impl/recipe_support.ipp>

#include <charconv>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

// --- find_registered_model_by_name: the server's unique names leave no room for a twin

MLFLOWHA_INLINE Result<Request> look_for_registered_model(const RecipeKey& key) {
  GetRegisteredModel get;
  get.name = key.scope;
  return request_of(api::prepare_get_registered_model(get));
}

MLFLOWHA_INLINE Result<Finding> read_registered_model(const RecipeKey& key, const Response& response) {
  auto model = api::decode_get_registered_model(response.body);
  if (!model) return std::move(model).error();
  Finding finding;
  if (!has_request_tag(model->tags, key.request_tag)) return finding;  // somebody else's model of that name
  finding.objects.push_back({model->name});
  finding.answer = response;  // both operations answer with the model
  return finding;
}

inline constexpr RecipeRow registered_model_recipe{&api::ops::get_registered_model, look_for_registered_model,
                                                   read_registered_model};

// --- find_renamed_model: nobody has the old name any more; has anybody the new one?

MLFLOWHA_INLINE Result<Finding> read_renamed_model(const RecipeKey&, const Response& response) {
  auto model = api::decode_get_registered_model(response.body);
  if (!model) return std::move(model).error();
  Finding finding;
  finding.objects.push_back({std::move(model->name)});
  finding.answer = answer_with("{}");
  return finding;
}

inline constexpr RecipeRow renamed_model_recipe{&api::ops::get_registered_model, look_for_registered_model,
                                                read_renamed_model};

// --- find_model_version_by_tag: search the versions of the model

inline constexpr std::string_view prompt_tag = "mlflow.prompt.is_prompt";

/// A prompt is a model whose versions have this tag, and a search that doesn't ask for it leaves out all versions of
/// such a model (seen with 2.22.5 and 3.17.2).
MLFLOWHA_INLINE bool is_prompt_version(const RecipeKey& key) {
  const auto said = request_said<CreateModelVersion>(key);
  return said && std::any_of(said->tags.begin(), said->tags.end(),
                             [](const ModelVersionTag& tag) { return tag.key == prompt_tag && tag.value == "true"; });
}

/// What a prompt's version says. Their sources are all the same.
MLFLOWHA_INLINE std::string_view prompt_text(const ModelVersion& version) noexcept {
  for (const ModelVersionTag& tag : version.tags) {
    if (tag.key == "mlflow.prompt.text") return tag.value;
  }
  return {};
}

MLFLOWHA_INLINE Result<Request> look_for_model_version(const RecipeKey& key) {
  std::string filter = tag_filter(key.request_tag);
  if (key.apart) filter += fmt::format(" AND tags.`{}` = 'true'", prompt_tag);
  SearchModelVersions search;
  // The name only makes the search cheap. A filter has two kinds of quotes and no escapes: one with both stays out.
  const char quote = key.scope.find('\'') == std::string_view::npos ? '\'' : '"';
  if (key.scope.find(quote) == std::string_view::npos && key.scope.find('\\') == std::string_view::npos) {
    search.filter = fmt::format("name = {0}{1}{0} AND {2}", quote, key.scope, filter);
  } else {
    search.filter = std::move(filter);
  }
  search.max_results = 100;
  return request_of(api::prepare_search_model_versions(search));
}

/// Versions are numbers; what isn't one sorts last.
MLFLOWHA_INLINE std::uint64_t version_number(const ModelVersion& version) noexcept {
  std::uint64_t number = 0;
  const char* end = version.version.data() + version.version.size();
  const auto [stop, fault] = std::from_chars(version.version.data(), end, number);
  return fault == std::errc{} && stop == end ? number : UINT64_MAX;
}

MLFLOWHA_INLINE bool has_role(const ModelVersion& version) noexcept {
  return !version.aliases.empty() || (!version.current_stage.empty() && version.current_stage != "None");
}

MLFLOWHA_INLINE Result<Finding> read_model_versions(const RecipeKey& key, const Response& response) {
  auto page = api::decode_search_model_versions(response.body);
  if (!page) return std::move(page).error();
  Finding finding;
  std::erase_if(page->items, [&](const ModelVersion& version) {
    return version.name != key.scope || !has_request_tag(version.tags, key.request_tag);
  });
  if (page->items.empty()) return finding;
  std::sort(page->items.begin(), page->items.end(),
            [](const ModelVersion& a, const ModelVersion& b) { return version_number(a) < version_number(b); });
  for (const ModelVersion& version : page->items) {
    // What the same bytes have made has the same source; MLflow's copies of a version bring its tags along.
    const ModelVersion& oldest = page->items.front();
    if (version.source != oldest.source || prompt_text(version) != prompt_text(oldest)) continue;
    finding.objects.push_back({version.version, has_role(version)});
  }
  Result<Response> answer = answer_with_member("model_version", api::to_json(page->items.front()));
  if (!answer) return std::move(answer).error();
  finding.answer = std::move(*answer);
  return finding;
}

/// A search brings no aliases (seen with 2.22.5 and 3.17.2).
MLFLOWHA_INLINE Result<Request> inspect_model_version(const RecipeKey& key, const std::string& id) {
  GetModelVersion get;
  get.name = key.scope;
  get.version = id;
  return request_of(api::prepare_get_model_version(get));
}
MLFLOWHA_INLINE Result<bool> is_model_version_in_use(const Response& response) {
  auto version = api::decode_get_model_version(response.body);
  if (!version) return std::move(version).error();
  return has_role(*version);
}

MLFLOWHA_INLINE Result<Request> remove_model_version(const RecipeKey& key, const std::string& id) {
  DeleteModelVersion remove;
  remove.name = key.scope;
  remove.version = id;
  return request_of(api::prepare_delete_model_version(remove));
}

MLFLOWHA_INLINE std::string created_model_version(const Response& response) {
  auto version = api::decode_create_model_version(response.body);
  return version ? std::move(version->version) : std::string();
}

inline constexpr RecipeRow model_version_recipe{&api::ops::search_model_versions,
                                                look_for_model_version,
                                                read_model_versions,
                                                &api::ops::delete_model_version,
                                                remove_model_version,
                                                created_model_version,
                                                &api::ops::get_model_version,
                                                inspect_model_version,
                                                is_model_version_in_use,
                                                is_prompt_version};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
