// Values in addresses: servers decode a path before they look for its route, so a slash in a name leads elsewhere.

#include <mlflowha/api/evaluation_datasets_codec.hpp>
#include <mlflowha/api/impl/route_match.ipp>
#include <mlflowha/api/json_call.hpp>
#include <mlflowha/api/mcp_servers_codec.hpp>
#include <mlflowha/api/operations.hpp>

#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using mlflowha_tests::contains;
namespace ops = api::ops;

namespace {

using Places = std::optional<std::vector<std::string>>;

Places matched(std::string_view route, std::string_view path) {
  std::vector<std::string_view> places;
  if (!detail::match_route(route, path, places)) {
    CHECK(places.empty());
    return std::nullopt;
  }
  return std::vector<std::string>(places.begin(), places.end());
}

std::string fault(const Result<api::PreparedRequest>& prepared) {
  if (prepared) return "";
  CHECK(prepared.error().code == Errc::invalid_argument);
  return prepared.error().message;
}

}  // namespace

TEST_CASE("a route takes what fits it", "[api][routes]") {
  const std::string tag = "/s/{name+}/tags/{key+}";
  CHECK(matched("/x", "/x") == Places{std::vector<std::string>{}});
  CHECK(matched("/x", "/y") == std::nullopt);
  CHECK(matched("/x/{a}", "/x/1") == Places{{"1"}});
  CHECK(matched("/x/{a}", "/x/") == std::nullopt);
  CHECK(matched("/x/{a}", "/x/1/2") == std::nullopt);
  CHECK(matched("/x/{a}/y/{b}", "/x/1/y/2") == Places{{"1", "2"}});
  CHECK(matched("/x/{a}/y", "/x/1/z") == std::nullopt);
  CHECK(matched("/x/{a*}", "/x/1/2/3") == Places{{"1/2/3"}});
  CHECK(matched("/x/{a*}", "/x/") == std::nullopt);
  CHECK(matched(tag, "/s/a/b/tags/k") == Places{{"a/b", "k"}});
  CHECK(matched(tag, "/s/a/tags/b/tags/c") == Places{{"a/tags/b", "c"}});  // the first takes all that it can
  CHECK(matched(tag, "/s/a/b/tags") == std::nullopt);
  CHECK(matched(tag, "/s/tags/k") == std::nullopt);
  CHECK(detail::fixed_parts("/s/{name+}/tags/{key+}") == 2);
  CHECK(detail::fixed_parts("/s") == 1);
  CHECK(detail::same_route("/s/{a+}/t", "/s/{b}/t"));
  CHECK_FALSE(detail::same_route("/s/{a}/t", "/s/{a}"));
  CHECK_FALSE(detail::same_route("/s/{a}", "/s/a"));
  CHECK_FALSE(detail::same_route("/s", "/t"));
}

TEST_CASE("a slash goes only where the server's route takes it", "[api][routes]") {
  const auto deleted = api::prepare_delete_mcp_server_tag({.name = "com.example/weather", .key = "team/a"});
  CHECK(deleted.value().http.target == "/api/3.0/mlflow/mcp-servers/com.example%2Fweather/tags/team%2Fa");
  CHECK_THAT(fault(api::prepare_delete_dataset({.dataset_id = "d-1/tags/k"})),
             contains("delete_dataset: dataset_id is \"d-1/tags/k\"; expected a value without '/'"));
  CHECK_THAT(fault(api::prepare_delete_dataset_tag({.dataset_id = "d-1", .key = "a/b"})), contains("key is \"a/b\""));
  for (const std::string name : {"a/..", "../a", "a/./b", ".", ".."}) {
    INFO(name);
    CHECK_THAT(fault(api::prepare_get_mcp_server({.name = name})), contains("name is \"" + name + "\"; expected"));
  }
}

TEST_CASE("no value makes an address another operation's", "[api][routes]") {
  CHECK(api::prepare_delete_mcp_server({.name = "com.example/weather"}));
  CHECK_THAT(fault(api::prepare_delete_mcp_server({.name = "com.example/weather/versions/1.0.0"})),
             contains("delete_mcp_server: the address would be") &&
                 contains("which servers take for that of delete_mcp_server_version"));
  CHECK_THAT(fault(api::prepare_delete_mcp_server_tag({.name = "com.example/weather", .key = "versions/1"})),
             contains("that of delete_mcp_server_version"));
  CHECK_THAT(fault(api::prepare_delete_mcp_server_tag({.name = "com.example/weather", .key = "a/tags/b"})),
             contains("that of other values"));
  CHECK_THAT(fault(api::prepare_get_mcp_server({.name = "endpoints"})),
             contains("that of search_mcp_access_endpoints"));
  CHECK(api::prepare_delete_mcp_server({.name = "endpoints"}));  // that route is a GET
}

TEST_CASE("each row's address is its own", "[api][routes]") {
  for (const api::Operation* row : api::operations) {
    if (row->takes_bytes || row->path.find('{') == std::string_view::npos) continue;
    std::string json = "{\"assessment\": {\"trace_id\": \"v\"}";
    for (std::string_view rest = row->path; rest.find('{') != std::string_view::npos;) {
      rest.remove_prefix(rest.find('{') + 1);
      const std::string_view name = detail::field_of_place(rest.substr(0, rest.find('}')));
      if (name.find('.') == std::string_view::npos) json += ", \"" + std::string(name) + "\": \"v\"";
    }
    INFO(row->name << ' ' << json);
    CHECK(fault(api::prepare_json(*row, json + "}", "tag")).find("the address would be") == std::string::npos);
  }
}

TEST_CASE("a caller's own operation says where slashes may be", "[api][routes]") {
  api::Operation operation;
  operation.name = "custom";
  operation.method = Method::del;
  operation.path = "/things/{name}";
  CHECK_THAT(fault(api::prepare_json(operation, R"({"name": "a/b"})", "")), contains("name is \"a/b\"; expected"));
  operation.path = "/things/{name+}";
  CHECK(api::prepare_json(operation, R"({"name": "a/b"})", "").value().http.target == "/things/a%2Fb");
  operation.path = "/api/3.0/mlflow/mcp-servers/{name+}";  // the table's route
  CHECK(api::prepare_json(operation, R"({"name": "a/b"})", ""));
  CHECK_THAT(fault(api::prepare_json(operation, R"({"name": "a/b/versions/1"})", "")),
             contains("that of delete_mcp_server_version"));
  operation.path = "/api/3.0/mlflow/{what}/{name}";  // its own affair
  CHECK(api::prepare_json(operation, R"({"what": "mcp-servers", "name": "a"})", ""));
}
