// Recipes of creates without a place for a request tag, and of those with one in an unusual place: what is taken for
// the object of a create, and what isn't.

#include <mlflowha/client/impl/recipes.hpp>

#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace mlflowha;
using detail::RecipeKey;
using detail::RecipeRow;

namespace {

struct Row {
  api::Recipe recipe;
  const char* scope;
  const char* body;                    ///< of the create
  const char* target;                  ///< of the look
  const char* ours;                    ///< an answer with its object
  const char* answer;                  ///< what the create would have answered; "" where it is `ours`
  std::vector<const char*> strangers;  ///< answers without
};

Response ok(std::string body) {
  Response response;
  response.status = 200;
  response.body = std::move(body);
  return response;
}

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {api::Recipe::find_assessment_by_id,
       "tr-1",
       R"({"assessment": {"assessment_id": "a-1", "assessment_name": "n", "trace_id": "tr-1"}})",
       "/api/3.0/mlflow/traces/tr-1/assessments/a-1",
       R"({"assessment": {"assessment_id": "a-1", "metadata": {"mlflowha.request_id": "tag"}}})",
       R"({"assessment": {"assessment_id":"a-1","assessment_name":"","trace_id":"","source":{"source_type":"SOURCE_TYPE_UNSPECIFIED","source_id":""},"metadata":{"mlflowha.request_id":"tag"},"valid":true}})",
       {R"({"assessment": {"assessment_id": "a-1"}})",
        R"({"assessment": {"assessment_id": "a-1", "metadata": {"mlflowha.request_id": "other"}}})"}},
      {api::Recipe::find_newest_scorer,
       "7",
       R"({"experiment_id": "7", "name": "s", "serialized_scorer": "{\"a\": 1, \"b\": [1.0]}"})",
       "/api/3.0/mlflow/scorers/get?experiment_id=7&name=s",
       R"({"scorer": {"experiment_id": 7, "scorer_name": "s", "scorer_version": 3, "scorer_id": "i", "creation_time": 5,
           "serialized_scorer": "{\"b\":[1.0],\"a\":1}"}})",
       R"({"version":3,"scorer_id":"i","experiment_id":"7","name":"s","serialized_scorer":"{\"a\": 1, \"b\": [1.0]}","creation_time":5})",
       {R"({"scorer": {"serialized_scorer": "{\"a\": 2, \"b\": [1.0]}"}})", R"({"scorer": {"serialized_scorer": "{"}})",
        R"({"scorer": {}})"}},
      {api::Recipe::find_canceled_job,
       "j",
       R"({"job_id": "j"})",
       "/api/3.0/mlflow/prompt-optimization/jobs/j",
       R"({"job": {"job_id": "j", "state": {"status": "JOB_STATUS_CANCELED"}}})",
       "",
       {R"({"job": {"job_id": "j", "state": {"status": "JOB_STATUS_COMPLETED"}}})", R"({"job": {"job_id": "j"}})"}},
      {api::Recipe::find_label_schema,
       "7",
       R"({"experiment_id": "7", "name": "n", "type": "FEEDBACK", "input": {"text": {"max_length": 5}}, "instruction": "i"})",
       "/api/3.0/mlflow/label-schemas/get-by-name?experiment_id=7&name=n",
       R"({"label_schema": {"schema_id": "l", "type": "FEEDBACK", "input": {"text": {"max_length": "5"}}, "instruction": "i",
           "enable_comment": false}})",
       "",
       {R"({"label_schema": {"type": "EXPECTATION", "input": {"text": {"max_length": 5}}, "instruction": "i"}})",
        R"({"label_schema": {"type": "FEEDBACK", "input": {"text": {"max_length": 6}}, "instruction": "i"}})",
        R"({"label_schema": {"type": "FEEDBACK", "input": {"text": {}}, "instruction": "i"}})",
        R"({"label_schema": {"type": "FEEDBACK", "input": {"text": {"max_length": 5}}, "instruction": "j"}})",
        R"({"label_schema": {"type": "FEEDBACK", "input": {"text": {"max_length": 5}}, "instruction": "i", "enable_comment": true}})"}},
      {api::Recipe::find_review_queue,
       "7",
       R"({"experiment_id": "7", "name": "n", "queue_type": "CUSTOM", "users": ["a", "b"], "schema_ids": ["s"]})",
       "/api/3.0/mlflow/review-queues/get-by-name?experiment_id=7&name=n",
       R"({"review_queue": {"queue_id": "q", "queue_type": "CUSTOM", "users": ["b", "a"], "schema_ids": ["s"]}})",
       "",
       {R"({"review_queue": {"queue_type": "USER", "users": ["a", "b"], "schema_ids": ["s"]}})",
        R"({"review_queue": {"queue_type": "CUSTOM", "users": ["a"], "schema_ids": ["s"]}})",
        R"({"review_queue": {"queue_type": "CUSTOM", "users": ["a", "b"]}})"}},
      {api::Recipe::find_review_queue,  // servers tidy names and users
       "7",
       R"({"experiment_id": "7", "name": " n\t", "queue_type": "CUSTOM", "users": ["Bob", " al ", "BOB"],
           "schema_ids": ["s", " s "]})",
       "/api/3.0/mlflow/review-queues/get-by-name?experiment_id=7&name=n",
       R"({"review_queue": {"queue_id": "q", "queue_type": "CUSTOM", "users": ["bob", "al"], "schema_ids": ["s"]}})",
       "",
       {R"({"review_queue": {"queue_type": "CUSTOM", "users": ["bob"], "schema_ids": ["s"]}})",
        R"({"review_queue": {"queue_type": "CUSTOM", "users": ["bob", "al"], "schema_ids": ["S"]}})"}},
      {api::Recipe::find_review_queue,  // a user's queue has that user
       "7",
       R"({"experiment_id": "7", "name": "Bob", "queue_type": "USER"})",
       "/api/3.0/mlflow/review-queues/get-by-name?experiment_id=7&name=Bob",
       R"({"review_queue": {"queue_id": "q", "name": "bob", "queue_type": "USER", "users": ["bob"]}})",
       "",
       {R"({"review_queue": {"queue_type": "CUSTOM", "users": ["bob"]}})",
        R"({"review_queue": {"queue_type": "USER", "users": ["al"]}})"}},
      {api::Recipe::find_workspace,  // storage locations are stripped
       "w",
       R"({"name": "w", "default_artifact_root": " s3://b ", "trace_archival_config": {"location": " s3://t", "retention": "1d "}})",
       "/api/3.0/mlflow/workspaces/w",
       R"({"workspace": {"name": "w", "default_artifact_root": "s3://b",
           "trace_archival_config": {"location": "s3://t", "retention": "1d"}}})",
       "",
       {R"({"workspace": {"name": "w", "default_artifact_root": "s3://c",
            "trace_archival_config": {"location": "s3://t", "retention": "1d"}}})",
        R"({"workspace": {"name": "w", "default_artifact_root": "s3://b",
            "trace_archival_config": {"location": "s3://u", "retention": "1d"}}})"}},
      {api::Recipe::find_gateway_secret,  // a blank address is dropped, others are stripped
       "n",
       R"({"secret_name": "n", "secret_value": {}, "auth_config": {"api_base": " https://a ", "k": " v "}})",
       "/api/3.0/mlflow/gateway/secrets/list",
       R"({"secrets": [{"secret_id": "s", "secret_name": "n", "auth_config": {"api_base": "https://a", "k": " v "}}]})",
       R"({"secret": {"secret_id":"s","secret_name":"n","auth_config":{"api_base":"https://a","k":" v "}}})",
       {R"({"secrets": [{"secret_name": "n", "auth_config": {"api_base": "https://b", "k": " v "}}]})",
        R"({"secrets": [{"secret_name": "n", "auth_config": {"api_base": "https://a", "k": "v"}}]})",
        R"({"secrets": [{"secret_name": "n", "auth_config": {"k": " v "}}]})"}},
      {api::Recipe::find_workspace,
       "w",
       R"({"name": "w", "description": "d", "trace_archival_config": {"retention": "30d"}})",
       "/api/3.0/mlflow/workspaces/w",
       R"({"workspace": {"name": "w", "description": "d", "default_artifact_root": "the server's",
           "trace_archival_config": {"retention": "30d"}}})",
       "",
       {R"({"workspace": {"name": "w", "description": "e", "trace_archival_config": {"retention": "30d"}}})",
        R"({"workspace": {"name": "w", "description": "d"}})"}},
      {api::Recipe::find_gateway_secret,
       "n",
       R"({"secret_name": "n", "secret_value": {"api_key": "sk-abcdefgh12345678", "pin": "1234"}, "provider": "p"})",
       "/api/3.0/mlflow/gateway/secrets/list",
       R"({"secrets": [{"secret_name": "m"}, {"secret_id": "s", "secret_name": "n", "provider": "p", "created_by": "x",
           "masked_values": {"api_key": "sk-...5678", "pin": "***"}}]})",
       R"({"secret": {"secret_id":"s","secret_name":"n","masked_values":{"api_key":"sk-...5678","pin":"***"},"provider":"p","created_by":"x"}})",
       {R"({})", R"({"secrets": [{"secret_name": "m"}]})",
        R"({"secrets": [{"secret_name": "n", "provider": "p", "masked_values": {"api_key": "sk-...5679", "pin": "***"}}]})",
        R"({"secrets": [{"secret_name": "n", "provider": "p", "masked_values": {"api_key": "sx-...5678", "pin": "***"}}]})",
        R"({"secrets": [{"secret_name": "n", "provider": "p", "masked_values": {"api_key": "sk-...5678"}}]})",
        R"({"secrets": [{"secret_name": "n", "provider": "q", "masked_values": {"api_key": "sk-...5678", "pin": "***"}}]})"}},
      {api::Recipe::find_gateway_model_definition,
       "s",
       R"({"name": "n", "secret_id": "s", "provider": "p", "model_name": "m", "created_by": "me"})",
       "/api/3.0/mlflow/gateway/model-definitions/list",
       R"({"model_definitions": [{"model_definition_id": "d", "name": "n", "secret_id": "s", "provider": "p",
           "model_name": "m", "created_by": "me"}]})",
       R"({"model_definition": {"model_definition_id":"d","name":"n","secret_id":"s","provider":"p","model_name":"m","created_by":"me"}})",
       {R"({"model_definitions": [{"name": "n", "secret_id": "s", "provider": "p", "model_name": "m", "created_by": "you"}]})",
        R"({"model_definitions": [{"name": "n", "secret_id": "s", "provider": "p", "model_name": "k", "created_by": "me"}]})",
        R"({"model_definitions": [{"name": "n", "secret_id": "t", "provider": "p", "model_name": "m", "created_by": "me"}]})",
        R"({"model_definitions": [{"name": "k", "secret_id": "s", "provider": "p", "model_name": "m", "created_by": "me"}]})"}},
      {api::Recipe::find_gateway_endpoint,
       "n",
       R"({"name": "n", "model_configs": [{"model_definition_id": "d", "linkage_type": "PRIMARY", "weight": 1}],
           "usage_tracking": true})",
       "/api/3.0/mlflow/gateway/endpoints/get?name=n",
       R"({"endpoint": {"endpoint_id": "e", "name": "n", "experiment_id": "the server's", "usage_tracking": true,
           "model_mappings": [{"model_definition_id": "d", "linkage_type": "PRIMARY", "weight": 1.0}]}})",
       "",
       {R"({"endpoint": {"name": "n", "usage_tracking": true}})",
        R"({"endpoint": {"name": "n", "usage_tracking": true, "model_mappings": [{"model_definition_id": "d",
            "linkage_type": "PRIMARY", "weight": 0.5}]}})",
        R"({"endpoint": {"name": "n", "usage_tracking": false, "model_mappings": [{"model_definition_id": "d",
            "linkage_type": "PRIMARY", "weight": 1}]}})",
        R"({"endpoint": {"name": "n", "usage_tracking": true, "model_mappings": [{"model_definition_id": "d",
            "linkage_type": "PRIMARY", "weight": 1}, {"model_definition_id": "c"}]}})"}},
      {api::Recipe::find_attached_model,
       "e",
       R"({"endpoint_id": "e", "model_config": {"model_definition_id": "d", "linkage_type": "FALLBACK", "weight": 1,
           "fallback_order": 2}})",
       "/api/3.0/mlflow/gateway/endpoints/get?endpoint_id=e",
       R"({"endpoint": {"model_mappings": [{"model_definition_id": "c"}, {"mapping_id": "m", "model_definition_id": "d",
           "linkage_type": "FALLBACK", "weight": 1, "fallback_order": 2}]}})",
       R"({"mapping": {"mapping_id":"m","model_definition_id":"d","weight":1,"linkage_type":"FALLBACK","fallback_order":2}})",
       {R"({"endpoint": {}})",
        R"({"endpoint": {"model_mappings": [{"model_definition_id": "d", "linkage_type": "PRIMARY", "weight": 1}]}})",
        R"({"endpoint": {"model_mappings": [{"model_definition_id": "d", "linkage_type": "FALLBACK", "weight": 1,
            "fallback_order": 1}]}})"}},
      {api::Recipe::find_endpoint_binding,
       "e",
       R"({"endpoint_id": "e", "resource_type": "scorer", "resource_id": "r", "created_by": "me"})",
       "/api/3.0/mlflow/gateway/endpoints/bindings/list?endpoint_id=e&resource_type=scorer&resource_id=r",
       R"({"bindings": [{"endpoint_id": "e", "resource_type": "scorer", "resource_id": "r", "created_by": "me"}]})",
       R"({"binding": {"endpoint_id":"e","resource_type":"scorer","resource_id":"r","created_by":"me"}})",
       {R"({})", R"({"bindings": [{"endpoint_id": "e", "resource_type": "scorer", "resource_id": "r"}]})",
        R"({"bindings": [{"endpoint_id": "f", "resource_type": "scorer", "resource_id": "r", "created_by": "me"}]})"}},
      {api::Recipe::find_endpoint_guardrail,
       "e",
       R"({"endpoint_id": "e", "guardrail_id": "g", "execution_order": 1})",
       "/api/3.0/mlflow/gateway/guardrails/list-for-endpoint?endpoint_id=e",
       R"({"configs": [{"endpoint_id": "e", "guardrail_id": "g", "execution_order": "1"}]})",
       R"({"config": {"endpoint_id":"e","guardrail_id":"g","execution_order":1}})",
       {R"({})", R"({"configs": [{"guardrail_id": "g", "execution_order": 2}]})",
        R"({"configs": [{"guardrail_id": "h", "execution_order": 1}]})"}},
      {api::Recipe::find_mcp_server,
       "a.b/c",
       R"({"name": "a.b/c", "description": "d", "icons": [{"src": "https://x.org/i.png", "mimeType": "image/PNG"}]})",
       "/api/3.0/mlflow/mcp-servers/a.b%2Fc",
       R"({"name": "a.b/c", "description": "d", "icons": [{"src": "https://x.org/i.png", "source": "server"}]})",
       R"({"name":"a.b/c","description":"d","icons":[{"src":"https://x.org/i.png","source":"server"}]})",
       {R"({"name": "a.b/c", "description": "e", "icons": [{"src": "https://x.org/i.png"}]})",
        R"({"name": "a.b/c", "description": "d", "icons": [{"src": "https://x.org/j.png"}]})",
        R"({"name": "a.b/c", "description": "d", "icons": null})"}},
      {api::Recipe::find_mcp_version,
       "a.b/c",
       R"({"server_json": {"version": "1.0.0", "name": "a.b/c", "x": 2.0}, "tools": [{"name": "t"}],
           "connect_options": {"remote:0": {"hidden": true}}})",
       "/api/3.0/mlflow/mcp-servers/a.b%2Fc/versions/1.0.0",
       R"({"name": "a.b/c", "version": "1.0.0", "server_json": {"name": "a.b/c", "version": "1.0.0", "x": 2}, "status": "draft",
           "tools": [{"name": "t", "title": null}], "connect_options": {"remote:0": {"hidden": true}}})",
       "",
       {R"({"server_json": {"name": "a.b/c", "version": "1.0.0", "x": 3}, "status": "draft", "tools": [{"name": "t"}],
            "connect_options": {"remote:0": {"hidden": true}}})",
        R"({"server_json": {"name": "a.b/c", "version": "1.0.0", "x": 2}, "status": "active", "tools": [{"name": "t"}],
            "connect_options": {"remote:0": {"hidden": true}}})",
        R"({"server_json": {"name": "a.b/c", "version": "1.0.0", "x": 2}, "status": "draft", "tools": [{"name": "u"}],
            "connect_options": {"remote:0": {"hidden": true}}})",
        R"({"server_json": {"name": "a.b/c", "version": "1.0.0", "x": 2}, "status": "draft", "tools": [{"name": "t"}]})"}},
      {api::Recipe::find_mcp_version,
       "a.b/c",
       R"({"server_json": {"server": {"version": "1.0.0", "name": "a.b/c"}}, "status": "active", "source": "s"})",
       "/api/3.0/mlflow/mcp-servers/a.b%2Fc/versions/1.0.0",
       R"({"version": "1.0.0", "server_json": {"name": "a.b/c", "version": "1.0.0"}, "status": "active", "source": "s"})",
       "",
       {R"({"server_json": {"name": "a.b/c", "version": "1.0.0"}, "status": "active", "source": "t"})"}},
      {api::Recipe::find_changed_mcp_version,
       "a.b/c",
       R"({"name": "a.b/c", "version": "1.0.0", "status": "active", "tools": [], "connect_options": {}})",
       "/api/3.0/mlflow/mcp-servers/a.b%2Fc/versions/1.0.0",
       R"({"version": "1.0.0", "status": "active", "tools": [], "connect_options": {}})",
       "",
       {R"({"version": "1.0.0", "status": "draft", "tools": [], "connect_options": {}})",
        R"({"version": "1.0.0", "status": "active", "tools": [{"name": "t"}], "connect_options": {}})",
        R"({"version": "1.0.0", "status": "active", "tools": [], "connect_options": {"remote:0": {"hidden": true}}})"}},
      {api::Recipe::find_deleted_mcp_version,
       "a.b/c",
       R"({"name": "a.b/c", "version": "1.0.0"})",
       "/api/3.0/mlflow/mcp-servers/a.b%2Fc/versions?filter_string=version%20%3D%20%271.0.0%27&max_results=100",
       R"({"mcp_server_versions": [{"version": "1.0.1"}], "next_page_token": null})",
       "{}",
       {R"({"mcp_server_versions": [{"name": "a.b/c", "version": "1.0.0", "status": "active"}]})"}},
      {api::Recipe::find_user_permission,
       "bob",
       R"({"username": "bob", "resource_type": "experiment", "resource_id": "7", "permission": "EDIT"})",
       "/api/3.0/mlflow/users/permissions/list?username=bob",
       R"({"permissions": [{"role_name": "__user_2__", "workspace": "default", "resource_type": "experiment",
           "resource_pattern": "7", "permission": "EDIT"}]})",
       "{}",
       {R"({"permissions": []})", R"({"is_admin": true})",
        R"({"permissions": [{"role_name": "dev", "workspace": "default", "resource_type": "experiment",
            "resource_pattern": "7", "permission": "EDIT"}]})",
        R"({"permissions": [{"role_name": "__user_2__", "workspace": "other", "resource_type": "experiment",
            "resource_pattern": "7", "permission": "EDIT"}]})",
        R"({"permissions": [{"role_name": "__user_2__", "workspace": "default", "resource_type": "prompt",
            "resource_pattern": "7", "permission": "EDIT"}]})",
        R"({"permissions": [{"role_name": "__user_2__", "workspace": "default", "resource_type": "experiment",
            "resource_pattern": "8", "permission": "EDIT"}]})",
        R"({"permissions": [{"role_name": "__user_2__", "workspace": "default", "resource_type": "experiment",
            "resource_pattern": "7", "permission": "READ"}]})"}},
      {api::Recipe::find_role,
       "default",
       R"({"name": "dev", "workspace": "default", "description": "d"})",
       "/api/3.0/mlflow/roles/list?workspace=default",
       R"({"roles": [{"id": 1, "name": "ops"}, {"id": 2, "name": "dev", "workspace": "default", "description": "d"}]})",
       R"({"role": {"id":2,"name":"dev","workspace":"default","description":"d"}})",
       {R"({"roles": []})", R"({"roles": [{"name": "dev", "workspace": "other", "description": "d"}]})",
        R"({"roles": [{"name": "dev", "workspace": "default", "description": "e"}]})",
        R"({"roles": [{"name": "dev", "workspace": "default", "description": "d", "permissions": [{"id": 1}]}]})"}},
      {api::Recipe::find_role_permission,
       "experiment",
       R"({"role_id": 3, "resource_type": "experiment", "resource_pattern": "*", "permission": "READ"})",
       "/api/3.0/mlflow/roles/permissions/list?role_id=3",
       R"({"role_permissions": [{"id": 4, "role_id": 3, "resource_type": "experiment", "resource_pattern": "*",
           "permission": "READ"}]})",
       "",
       {R"({"role_permissions": [{"resource_type": "prompt", "resource_pattern": "*", "permission": "READ"}]})",
        R"({"role_permissions": [{"resource_type": "experiment", "resource_pattern": "1", "permission": "READ"}]})",
        R"({"role_permissions": [{"resource_type": "experiment", "resource_pattern": "*", "permission": "EDIT"}]})"}},
      {api::Recipe::find_experiment_permission,
       "bob",
       R"({"experiment_id": "7", "username": "bob", "permission": "READ"})",
       "/api/2.0/mlflow/experiments/permissions/get?experiment_id=7&username=bob",
       R"({"experiment_permission": {"experiment_id": "7", "user_id": 2, "permission": "READ"}})",
       "",
       {R"({"experiment_permission": {"experiment_id": "7", "user_id": 2, "permission": "EDIT"}})"}},
      {api::Recipe::find_registered_model_permission,
       "bob",
       R"({"name": "m", "username": "bob", "permission": "READ"})",
       "/api/2.0/mlflow/registered-models/permissions/get?name=m&username=bob",
       R"({"registered_model_permission": {"name": "m", "user_id": 2, "permission": "READ"}})",
       "",
       {R"({"registered_model_permission": {"name": "m", "user_id": 2, "permission": "EDIT"}})"}},
  };
  return all;
}

}  // namespace

TEST_CASE("what a create said is compared with what is there", "[client][once][recipes]") {
  for (const Row& row : rows()) {
    const RecipeRow* recipe = detail::recipe_row(row.recipe);
    REQUIRE(recipe != nullptr);
    INFO(recipe->look->name << " " << row.body);
    CHECK_FALSE(recipe->may_have_twins());
    CHECK(recipe->look->idempotency == Idempotency::read);
    const RecipeKey key{row.scope, "tag", row.body};
    CHECK(recipe->look_request(key).value().target == row.target);

    const auto ours = recipe->read(key, ok(row.ours));
    REQUIRE(ours.has_value());
    CHECK(ours->found() == Found::present);
    CHECK(ours->answer.status == 200);
    if (*row.answer != '\0') CHECK(ours->answer.body == row.answer);
    for (const char* stranger : row.strangers) {
      INFO(stranger);
      const auto finding = recipe->read(key, ok(stranger));
      REQUIRE(finding.has_value());
      CHECK(finding->found() == Found::absent);
    }
    for (const char* broken : {"", "<html>", "[", R"({"assessment": 5})"}) {
      INFO(broken);
      const auto finding = recipe->read(key, ok(broken));
      CHECK((!finding || finding->found() == Found::absent));
    }
    // A request that can't be read back (it can't happen) is no reason to take anything for ours.
    const RecipeKey unreadable{row.scope, "tag", "{"};
    const auto finding = recipe->read(unreadable, ok(row.ours));
    CHECK(
        (!finding || row.recipe == api::Recipe::find_canceled_job || row.recipe == api::Recipe::find_assessment_by_id));
  }
}

TEST_CASE("a trace of version 2 and its twins are found by their tag alone", "[client][once][recipes]") {
  const RecipeRow* recipe = detail::recipe_row(api::Recipe::find_trace_by_tag);
  const RecipeKey key{"7", "tag", ""};
  CHECK(recipe->look_request(key).value().target ==
        "/api/2.0/mlflow/"
        "traces?experiment_ids=7&filter=tags.%60mlflowha.request_id%60%20%3D%20%27tag%27&max_results=100");
  const auto finding = recipe->read(key, ok(R"({"traces": [
      {"request_id": "c", "tags": [{"key": "mlflowha.request_id", "value": "tag"}]},
      {"request_id": "b", "tags": [{"key": "mlflowha.request_id", "value": "other"}]},
      {"request_id": "a", "tags": [{"key": "mlflowha.request_id", "value": "tag"}]}]})"));
  REQUIRE(finding.has_value());
  REQUIRE(finding->objects.size() == 2);
  CHECK(finding->objects[0].id == "a");
  CHECK(finding->objects[1].id == "c");
  CHECK(recipe->created_id(finding->answer) == "a");
  CHECK(recipe->remove_request(key, "c").value().body == R"({"experiment_id":"7","request_ids":["c"]})");
  CHECK(recipe->read(key, ok("{}"))->objects.empty());
}

TEST_CASE("an evaluation dataset and its twins are found by the tag in its JSON", "[client][once][recipes]") {
  const RecipeRow* recipe = detail::recipe_row(api::Recipe::find_dataset_by_tag);
  const RecipeKey key{"d", "tag", R"({"name": "d", "experiment_ids": ["7"]})"};
  CHECK(recipe->look_request(key).value().body ==
        R"({"filter_string":"tags.mlflowha.request_id = 'tag'","max_results":100})");
  const std::string answer = R"({"datasets": [
      {"dataset_id": "c", "created_time": 2, "tags": "{\"mlflowha.request_id\": \"tag\"}"},
      {"dataset_id": "b", "created_time": 1, "tags": "{\"mlflowha.request_id\": \"other\"}"},
      {"dataset_id": "x", "created_time": 1, "tags": "{\"k\": \"mlflowha.request_id tag\"}"},
      {"dataset_id": "y", "created_time": 1, "tags": "["}, {"dataset_id": "z"},
      {"dataset_id": "a", "created_time": 1, "tags": "{\"k\": \"v\", \"mlflowha.request_id\": \"tag\"}"}]})";
  const auto finding = recipe->read(key, ok(answer));
  REQUIRE(finding.has_value());
  REQUIRE(finding->objects.size() == 2);
  CHECK(finding->objects[0].id == "a");
  CHECK(finding->objects[1].id == "c");
  CHECK(recipe->created_id(finding->answer) == "a");
  CHECK_THAT(finding->answer.body, mlflowha_tests::contains(R"("experiment_ids":["7"])"));
  // A look for twins has no request to read; the tag is enough.
  CHECK(recipe->read({"d", "tag", ""}, ok(answer))->objects.size() == 2);
  CHECK(recipe->remove_request(key, "c").value().target == "/api/3.0/mlflow/datasets/c");
}
