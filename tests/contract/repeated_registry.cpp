// Calls about registered models, MCP servers and their versions, for killed_server_test.cpp and dropped_reply_test.cpp.

#include "contract/repeated_calls.hpp"

using namespace mlflowha;

namespace mlflowha_tests {

void add_registry_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const auto fresh_model = [&] {
    const std::string name = fresh_name("repeated");
    client.create_registered_model(name).value();
    client.create_model_version(name, "s3://bucket/x").value();
    return name;
  };
  const std::string name = fresh_name("repeated");
  repeated.add(
      "POST /registered-models/create", [=](const Client& c) { return c.create_registered_model(name); },
      [=, &client](const Result<RegisteredModel>& made) {
        CHECK(client.get_registered_model(name).value() == made.value());
      });
  const std::string model = fresh_model();
  repeated.add(
      "POST /model-versions/create", [=](const Client& c) { return c.create_model_version(model, "s3://bucket/x"); },
      [=, &client](const Result<ModelVersion>& made) {
        CHECK(made.value().version == "2");
        CHECK(client.get_latest_versions(model).value().at(0).version == "2");
      });
  const std::string aliased = fresh_model();
  repeated.add(
      "POST /registered-models/alias",
      [=](const Client& c) { return c.set_registered_model_alias(aliased, "live", "1"); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_model_version_by_alias(aliased, "live").value().version == "1");
      });
  const std::string renamed = fresh_model();
  repeated.add(
      "POST /registered-models/rename",
      [=](const Client& c) { return c.rename_registered_model(renamed, renamed + "-new"); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_registered_model(renamed).error()));
        CHECK(client.get_registered_model(renamed + "-new"));
      });
  const std::string deleted = fresh_model();
  repeated.add(
      "DELETE /registered-models/delete", [=](const Client& c) { return c.delete_registered_model(deleted); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_registered_model(deleted).error()));
      });
  const std::string emptied = fresh_model();
  repeated.add("DELETE /model-versions/delete", [=](const Client& c) { return c.delete_model_version(emptied, "1"); });
}

void add_mcp_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const auto version = [](const std::string& server) {
    return CreateMcpServerVersion{.name = server,
                                  .server_json = {R"({"version": "1.0.0", "name": ")" + server + "\"}"}};
  };
  const auto fresh_version = [&] {
    const std::string name = fresh_name("com.example/s");
    client.create_mcp_server_version(version(name)).value();
    return name;
  };
  const std::string name = fresh_name("com.example/s");
  repeated.add(
      "POST /mlflow/mcp-servers",
      [=](const Client& c) { return c.create_mcp_server({.name = name, .description = "ours"}); },
      [=, &client](const Result<McpServer>& made) {
        CHECK(client.get_mcp_server({.name = name}).value() == made.value());
      });
  const std::string first = fresh_name("com.example/s");
  repeated.add(
      "POST /" + first + "/versions", [=](const Client& c) { return c.create_mcp_server_version(version(first)); },
      [=, &client](const Result<McpServerVersion>& made) {
        CHECK(client.get_mcp_server_version({.name = first, .version = "1.0.0"}).value() == made.value());
      });
  const std::string changed = fresh_version();
  repeated.add(
      "PATCH /" + changed + "/versions/1.0.0",
      [=](const Client& c) {
        return c.update_mcp_server_version({.name = changed, .version = "1.0.0", .status = "active"});
      },
      [](const Result<McpServerVersion>& done) { CHECK(done.value().status == "active"); });
  const std::string emptied = fresh_version();
  repeated.add(
      "DELETE /" + emptied + "/versions/1.0.0",
      [=](const Client& c) { return c.delete_mcp_server_version({.name = emptied, .version = "1.0.0"}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_mcp_server_version({.name = emptied, .version = "1.0.0"}).error()));
      });
  const std::string deleted = fresh_version();
  repeated.add(
      "DELETE /mcp-servers/" + deleted, [=](const Client& c) { return c.delete_mcp_server({.name = deleted}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_mcp_server({.name = deleted}).error()));
      });
  const std::string marked = fresh_version();
  const std::string path = "DELETE /mcp-servers/" + marked;
  REQUIRE(client.update_mcp_server_version({.name = marked, .version = "1.0.0", .status = "active"}));
  REQUIRE(client.set_mcp_server_tag({.name = marked, .key = "k", .value = "v"}));
  REQUIRE(client.set_mcp_server_version_tag({.name = marked, .version = "1.0.0", .key = "vk", .value = "v"}));
  REQUIRE(client.set_mcp_server_alias({.name = marked, .alias = "live", .version = "1.0.0"}));
  const std::string endpoint =
      client.create_mcp_access_endpoint({.name = marked, .url = "https://example.com/mcp", .server_version = "1.0.0"})
          .value()
          .id;
  repeated.add(
      path + "/tags/k", [=](const Client& c) { return c.delete_mcp_server_tag({.name = marked, .key = "k"}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_mcp_server({.name = marked}).value().tags.empty());
      });
  repeated.add(
      path + "/versions/1.0.0/tags/vk",
      [=](const Client& c) {
        return c.delete_mcp_server_version_tag({.name = marked, .version = "1.0.0", .key = "vk"});
      },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_mcp_server_version({.name = marked, .version = "1.0.0"}).value().tags.empty());
      });
  repeated.add(
      path + "/aliases/live",
      [=](const Client& c) { return c.delete_mcp_server_alias({.name = marked, .alias = "live"}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_mcp_server_version_by_alias({.name = marked, .alias = "live"}).error()));
      });
  repeated.add(
      path + "/endpoints/" + endpoint,
      [=](const Client& c) { return c.delete_mcp_access_endpoint({.name = marked, .endpoint_id = endpoint}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_mcp_access_endpoint({.name = marked, .endpoint_id = endpoint}).error()));
      });
}

}  // namespace mlflowha_tests
