// The registry of MCP servers. Real MLflow 3 only: 2.x hasn't got it, and the fake doesn't imitate it.

#include <mlflowha/api/mcp_servers.hpp>

#include "contract/lossy.hpp"
#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

std::string new_server_name() { return fresh_name("com.example/s"); }

CreateMcpServerVersion new_version(const std::string& server, const std::string& version) {
  CreateMcpServerVersion create;
  create.name = server;
  create.server_json = {R"({"version": ")" + version + R"(", "name": ")" + server +
                        R"(", "x": [1, 2.0], "title": "T"})"};
  create.source = "ours";
  create.tools.push_back({.name = "add", .input_schema = {R"({"type": "object"})"}});
  return create;
}

/// A server with an active version 1.0.0 and the alias `live`.
std::string fresh_mcp_server() {
  const std::string name = new_server_name();
  CreateMcpServerVersion create = new_version(name, "1.0.0");
  create.status = "active";
  contract_client().create_mcp_server_version(create).value();
  contract_client().set_mcp_server_alias({.name = name, .alias = "live", .version = "1.0.0"}).value();
  return name;
}

}  // namespace

TEST_CASE("an MCP server lives: create, read, change, delete", "[contract][mcp]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string name = new_server_name();
  const CreateMcpServer create{.name = name, .description = "ours"};
  const McpServer server = client.create_mcp_server(create).value();
  CHECK(server.name == name);
  CHECK(server.description == "ours");
  CHECK(server.status.empty());
  CHECK(client.create_mcp_server(create).error().code == Errc::already_exists);
  CHECK(client.get_mcp_server({.name = name}).value() == server);
  SearchMcpServers search;
  search.filter_string = filter::attribute("name") == name;
  CHECK(client.search_mcp_servers(search).value().items == std::vector<McpServer>{server});
  const UpdateMcpServer update{.name = name, .display_name = "D", .description = "", .icons = std::vector<McpIcon>()};
  for (int i = 0; i < 2; ++i) {
    const McpServer changed = client.update_mcp_server(update).value();
    CHECK(changed.display_name == "D");
    CHECK(changed.description.empty());
  }
  const SetMcpServerTag tag{.name = name, .key = "team/a", .value = "v"};
  for (int i = 0; i < 2; ++i) REQUIRE(client.set_mcp_server_tag(tag));
  CHECK(client.get_mcp_server({.name = name}).value().tags == std::map<std::string, std::string>{{"team/a", "v"}});
  const DeleteMcpServerTag untag{.name = name, .key = "team/a"};
  REQUIRE(client.delete_mcp_server_tag(untag));
  CHECK(is_not_found(client.delete_mcp_server_tag(untag).error()));
  REQUIRE(client.delete_mcp_server({.name = name}));

  CHECK(is_not_found(client.delete_mcp_server({.name = name}).error()));
  CHECK(is_not_found(client.get_mcp_server({.name = name}).error()));
  CHECK(is_not_found(client.update_mcp_server(update).error()));
  CHECK(is_not_found(client.set_mcp_server_tag(tag).error()));
  search.filter_string = "nonsense";
  CHECK(client.search_mcp_servers(search).error().code == Errc::rejected);
  CHECK(client.create_mcp_server({.name = "no slash"}).error().code == Errc::rejected);
  CHECK(client.create_mcp_server({}).error().code == Errc::invalid_argument);
  CHECK(client.search_mcp_servers({.max_results = 1001}).error().code == Errc::invalid_argument);
}

TEST_CASE("a version of an MCP server lives: create, read, change, delete", "[contract][mcp]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string name = new_server_name();
  const McpServerVersion version = client.create_mcp_server_version(new_version(name, "1.0.0")).value();
  CHECK(version.status == "draft");
  CHECK(version.tools.at(0).input_schema.text == R"({"type":"object"})");
  CHECK(client.create_mcp_server_version(new_version(name, "1.0.0")).error().code == Errc::already_exists);
  CHECK(client.create_mcp_server_version({.name = name}).error().code == Errc::invalid_argument);
  const GetMcpServerVersion get{.name = name, .version = "1.0.0"};
  CHECK(client.get_mcp_server_version(get).value() == version);
  REQUIRE(client.create_mcp_server_version(new_version(name, "1.1.0")));
  CHECK(client.search_mcp_server_versions_all({.name = name, .max_results = 1}).all().value().size() == 2);

  UpdateMcpServerVersion update{.name = name, .version = "1.0.0", .status = "active"};
  update.tools.emplace();
  update.connect_options = {{"remote:0", {.hidden = true}}};
  const McpServerVersion active = client.update_mcp_server_version(update).value();
  CHECK(active.status == "active");
  CHECK(active.tools.empty());
  CHECK(active.connect_options.at("remote:0").hidden);
  CHECK(client.update_mcp_server_version(update).error().code == Errc::rejected);  // active stays active: refused
  CHECK(client.delete_mcp_server_version({.name = name, .version = "1.0.0"}).error().code == Errc::rejected);

  const SetMcpServerAlias alias{.name = name, .alias = "live", .version = "1.0.0"};
  for (int i = 0; i < 2; ++i) REQUIRE(client.set_mcp_server_alias(alias));
  CHECK(client.get_mcp_server_version_by_alias({.name = name, .alias = "live"}).value().version == "1.0.0");
  CHECK(client.get_mcp_server_version_by_alias({.name = name, .alias = "latest"}).value().version == "1.0.0");
  REQUIRE(client.delete_mcp_server_alias({.name = name, .alias = "live"}));
  const SetMcpServerVersionTag tag{.name = name, .version = "1.0.0", .key = "k", .value = "v"};
  for (int i = 0; i < 2; ++i) REQUIRE(client.set_mcp_server_version_tag(tag));
  const DeleteMcpServerVersionTag untag{.name = name, .version = "1.0.0", .key = "k"};
  REQUIRE(client.delete_mcp_server_version_tag(untag));
  REQUIRE(client.delete_mcp_server_version({.name = name, .version = "1.1.0"}));

  CHECK(is_not_found(client.delete_mcp_server_version_tag(untag).error()));
  CHECK(is_not_found(client.delete_mcp_server_alias({.name = name, .alias = "live"}).error()));
  CHECK(is_not_found(client.get_mcp_server_version_by_alias({.name = name, .alias = "live"}).error()));
  CHECK(is_not_found(client.set_mcp_server_alias({.name = name, .alias = "a", .version = "9.0.0"}).error()));
  CHECK(is_not_found(
      client.set_mcp_server_version_tag({.name = name, .version = "9.0.0", .key = "k", .value = "v"}).error()));
  CHECK(is_not_found(client.get_mcp_server_version({.name = name, .version = "1.1.0"}).error()));
  CHECK(client.search_mcp_server_versions({.name = name, .filter_string = "nonsense"}).error().code == Errc::rejected);
}

TEST_CASE("an MCP server's name reaches no other operation", "[contract][mcp]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string name = fresh_mcp_server();
  // The server would take each of them for another thing, and delete it.
  CHECK(client.delete_mcp_server({.name = name + "/versions/1.0.0"}).error().code == Errc::invalid_argument);
  CHECK(client.delete_mcp_server({.name = name + "/aliases/live"}).error().code == Errc::invalid_argument);
  CHECK(client.delete_mcp_server_tag({.name = name, .key = "aliases/live"}).error().code == Errc::invalid_argument);
  CHECK(client.get_mcp_server_version_by_alias({.name = name, .alias = "live"}).value().version == "1.0.0");
  REQUIRE(client.set_mcp_server_tag({.name = name, .key = "a/b/c", .value = "v"}));
  REQUIRE(client.delete_mcp_server_tag({.name = name, .key = "a/b/c"}));
  CHECK(client.get_mcp_server({.name = name}).value().tags.empty());
}

TEST_CASE("an MCP server's address lives: create, read, change, delete", "[contract][mcp]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string name = fresh_mcp_server();
  CreateMcpAccessEndpoint create{.name = name, .url = "https://example.com/mcp"};
  CHECK(client.create_mcp_access_endpoint(create).error().code == Errc::rejected);  // of which version?
  create.server_alias = "live";
  const McpAccessEndpoint endpoint = client.create_mcp_access_endpoint(create).value();
  CHECK(endpoint.transport_type == "streamable-http");
  CHECK(endpoint.resolved_version.value().version == "1.0.0");
  CHECK(client.create_mcp_access_endpoint(create).value().id != endpoint.id);  // why a repetition makes a twin
  const GetMcpAccessEndpoint get{.name = name, .endpoint_id = endpoint.id};
  CHECK(client.get_mcp_access_endpoint(get).value().url == endpoint.url);
  CHECK(client.search_mcp_server_access_endpoints_all({.name = name, .max_results = 1}).all().value().size() == 2);
  CHECK_FALSE(client.search_mcp_access_endpoints({.server_alias = "live"}).value().items.empty());
  const UpdateMcpAccessEndpoint update{
      .name = name, .endpoint_id = endpoint.id, .transport_type = "sse", .server_version = "1.0.0"};
  for (int i = 0; i < 2; ++i) {
    const McpAccessEndpoint changed = client.update_mcp_access_endpoint(update).value();
    CHECK(changed.transport_type == "sse");
    CHECK(changed.server_version == "1.0.0");
    CHECK(changed.server_alias.empty());
  }
  REQUIRE(client.delete_mcp_access_endpoint({.name = name, .endpoint_id = endpoint.id}));

  CHECK(is_not_found(client.delete_mcp_access_endpoint({.name = name, .endpoint_id = endpoint.id}).error()));
  CHECK(is_not_found(client.get_mcp_access_endpoint(get).error()));
  CHECK(is_not_found(client.update_mcp_access_endpoint(update).error()));
  CHECK(client.search_mcp_access_endpoints({.page_token = "bad"}).error().code == Errc::rejected);
  CHECK(client.search_mcp_server_access_endpoints({.name = name, .page_token = "bad"}).error().code == Errc::rejected);
  CHECK(client.delete_mcp_server({.name = name}).error().code == Errc::rejected);  // it has an active version
  REQUIRE(client.update_mcp_server_version({.name = name, .version = "1.0.0", .status = "deprecated"}));
  REQUIRE(client.delete_mcp_server({.name = name}));
}

TEST_CASE("lost answers: MCP servers and their versions", "[contract][once][mcp]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string name = new_server_name();
  const auto server = Lossy("/mcp-servers")->create_mcp_server({.name = name, .description = "ours"});
  CHECK(server.value() == client.get_mcp_server({.name = name}).value());

  CreateMcpServerVersion first = new_version(name, "1.0.0");
  first.connect_options = {{"remote:0", {.hidden = true}}};
  const auto version = Lossy("/versions")->create_mcp_server_version(first);
  const GetMcpServerVersion get{.name = name, .version = "1.0.0"};
  CHECK(version.value() == client.get_mcp_server_version(get).value());

  const UpdateMcpServerVersion update{.name = name, .version = "1.0.0", .status = "deprecated"};
  UpdateMcpServerVersion activate = update;
  activate.status = "active";
  REQUIRE(client.update_mcp_server_version(activate));
  CHECK(Lossy("/versions", Method::patch)->update_mcp_server_version(update).value().status == "deprecated");

  REQUIRE(Lossy("/versions", Method::del)->delete_mcp_server_version({.name = name, .version = "1.0.0"}));
  CHECK(is_not_found(client.get_mcp_server_version(get).error()));
  REQUIRE(Lossy("/mcp-servers", Method::del)->delete_mcp_server({.name = name}));
  CHECK(is_not_found(client.get_mcp_server({.name = name}).error()));
}

TEST_CASE("2.x has no registry of MCP servers, and the error says so", "[contract][mcp]") {
  if (contract_server().major >= 3) return;
  const Error error = contract_client().get_mcp_server({.name = "com.example/s"}).error();
  CHECK(error.code == Errc::unsupported_by_server);
  CHECK_THAT(error.message, contains("needs MLflow >= 3.15"));
}
