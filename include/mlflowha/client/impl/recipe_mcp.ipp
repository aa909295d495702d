#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_MCP_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_MCP_IPP

// Recipes of the MCP-server registry: names and versions are unique and there is no place for a request tag, so what
// the request said is compared with what is there; the engine asks only after a sending of ours whose fate is unknown.

#include <mlflowha/api/mcp_servers_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/impl/recipe_support.ipp>

#include <nlohmann/json.hpp>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// A server.json. The answers of other registries hold it one level deeper, and servers take that, too.
[[nodiscard]] MLFLOWHA_INLINE nlohmann::json inner_server_json(const Json& said) {
  auto json = nlohmann::json::parse(said.text, nullptr, false);
  if (json.is_object() && json.contains("server") && !json.contains("version")) json = nlohmann::json(json["server"]);
  return json;
}

/// Whether a list is as the request said; servers fill in and tidy what is inside its entries, so they are told by
/// name.
template <class T, class Name>
[[nodiscard]] bool same_names(const std::vector<T>& said, const std::vector<T>& there, const Name& name) {
  return std::equal(said.begin(), said.end(), there.begin(), there.end(),
                    [&](const T& a, const T& b) { return a.*name == b.*name; });
}

/// The request's version, for a look at it.
template <class Said>
[[nodiscard]] Result<Request> look_for_version(const Said& said, const std::string& version) {
  GetMcpServerVersion get;
  get.name = said.name;
  get.version = version;
  return request_of(api::prepare_get_mcp_server_version(get));
}

// --- find_mcp_server

MLFLOWHA_INLINE Result<Request> look_for_mcp_server(const RecipeKey& key) {
  GetMcpServer get;
  get.name = key.scope;
  return request_of(api::prepare_get_mcp_server(get));
}

MLFLOWHA_INLINE Result<Finding> read_mcp_server(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateMcpServer>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_mcp_server(response.body);
  if (!there) return there.error();
  const bool same = there->name == said->name && as_said(said->description, there->description) &&
                    same_names(said->icons, there->icons, &McpIcon::src);
  return same ? found(api::to_json(*there), there->name) : Finding();
}

inline constexpr RecipeRow mcp_server_recipe{&api::ops::get_mcp_server, look_for_mcp_server, read_mcp_server};

// --- find_mcp_version

MLFLOWHA_INLINE Result<Request> look_for_mcp_version(const RecipeKey& key) {
  const auto said = request_said<CreateMcpServerVersion>(key);
  if (!said) return said.error();
  const nlohmann::json server_json = inner_server_json(said->server_json);
  const auto version = server_json.find("version");
  if (version == server_json.end() || !version->is_string()) {
    return invalid_argument("server_json has no version; expected a member \"version\" of text");
  }
  GetMcpServerVersion get;
  get.name = key.scope;
  get.version = version->get<std::string>();
  return request_of(api::prepare_get_mcp_server_version(get));
}

MLFLOWHA_INLINE Result<Finding> read_mcp_version(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateMcpServerVersion>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_mcp_server_version(response.body);
  if (!there) return there.error();
  const bool same =
      inner_server_json(said->server_json) == inner_server_json(there->server_json) &&
      as_said(said->source, there->source) && there->status == (said->status.empty() ? "draft" : said->status) &&
      same_names(said->tools, there->tools, &McpTool::name) && said->connect_options == there->connect_options;
  return same ? found(api::to_json(*there), there->version) : Finding();
}

inline constexpr RecipeRow mcp_version_recipe{&api::ops::get_mcp_server_version, look_for_mcp_version,
                                              read_mcp_version};

// --- find_changed_mcp_version: a status can't be set twice; ours may be what set it

MLFLOWHA_INLINE Result<Request> look_for_changed_mcp_version(const RecipeKey& key) {
  const auto said = request_said<UpdateMcpServerVersion>(key);
  if (!said) return said.error();
  return look_for_version(*said, said->version);
}

MLFLOWHA_INLINE Result<Finding> read_changed_mcp_version(const RecipeKey& key, const Response& response) {
  const auto said = request_said<UpdateMcpServerVersion>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_mcp_server_version(response.body);
  if (!there) return there.error();
  const bool same = there->status == said->status &&
                    (!said->tools || same_names(*said->tools, there->tools, &McpTool::name)) &&
                    as_said(said->connect_options, there->connect_options);
  return same ? found(api::to_json(*there), there->version) : Finding();
}

inline constexpr RecipeRow changed_mcp_version_recipe{&api::ops::get_mcp_server_version, look_for_changed_mcp_version,
                                                      read_changed_mcp_version};

// --- find_deleted_mcp_version: found is what is no longer listed

MLFLOWHA_INLINE Result<Request> look_for_deleted_mcp_version(const RecipeKey& key) {
  const auto said = request_said<DeleteMcpServerVersion>(key);
  if (!said) return said.error();
  SearchMcpServerVersions search;
  search.name = said->name;
  search.filter_string = filter::attribute("version") == said->version;
  return request_of(api::prepare_search_mcp_server_versions(search));
}

MLFLOWHA_INLINE Result<Finding> read_deleted_mcp_version(const RecipeKey& key, const Response& response) {
  const auto said = request_said<DeleteMcpServerVersion>(key);
  if (!said) return said.error();
  // Only a list can show that something is missing in it.
  const auto list = nlohmann::json::parse(response.body, nullptr, false);
  if (!list.is_object() || !list.contains("mcp_server_versions") || !list["mcp_server_versions"].is_array()) {
    return Finding();
  }
  const auto page = api::decode_search_mcp_server_versions(response.body);
  if (!page) return page.error();
  for (const McpServerVersion& version : page->items) {
    if (version.version == said->version) return Finding();
  }
  Finding gone;
  gone.objects.push_back({said->version});
  gone.answer = answer_with("{}");
  return gone;
}

inline constexpr RecipeRow deleted_mcp_version_recipe{&api::ops::search_mcp_server_versions,
                                                      look_for_deleted_mcp_version, read_deleted_mcp_version};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
