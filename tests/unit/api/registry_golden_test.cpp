// Registered models, model versions, logged models, webhooks and artifacts: recorded answers of real servers, and the
// requests of the official client (tests/golden/registry.py).

#include <mlflowha/api/all.hpp>
#include <mlflowha/api/artifacts_codec.hpp>
#include <mlflowha/api/error_body.hpp>
#include <mlflowha/api/logged_models_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/registry_codec.hpp>
#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/api/webhooks_codec.hpp>

#include "unit/api/support.hpp"

#include "support/catch.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <map>
#include <string>

using namespace mlflowha;
using mlflowha_tests::golden;
using nlohmann::json;

namespace {

std::string body_of(const std::string& version, const std::string& name) {
  const Response answer = golden(version, name);
  INFO(version << ' ' << name << ' ' << answer.body);
  REQUIRE(answer.status == 200);
  return answer.body;
}

Error error_of(const std::string& version, const std::string& name) { return api::decode_error(golden(version, name)); }

}  // namespace

TEST_CASE("recorded answers about registered models and their versions", "[api]") {
  for (const std::string& v : mlflowha_tests::golden_versions) {
    INFO(v);
    const RegisteredModel made = api::decode_create_registered_model(body_of(v, "create_registered_model")).value();
    CHECK(made.name == "golden \xC3\xA4");
    CHECK(made.tags ==
          std::vector<RegisteredModelTag>{{.key = "team", .value = "a\nb"},
                                          {.key = std::string(api::request_tag_key), .value = "golden-10"}});
    CHECK(made.description == "first");
    CHECK(made.unknown_fields.empty());
    const RegisteredModel read = api::decode_get_registered_model(body_of(v, "get_registered_model")).value();
    CHECK(read.description == "second");
    CHECK(read.aliases == std::vector<RegisteredModelAlias>{{.alias = "champion", .version = "1"}});
    CHECK(read.latest_versions.size() == 2);
    CHECK(read.unknown_fields.empty());
    CHECK(api::from_json<RegisteredModel>(api::to_json(read).value()).value() == read);
    CHECK(api::decode_search_registered_models(body_of(v, "search_registered_models")).value().items.size() == 1);

    CHECK(api::decode_create_model_version(body_of(v, "create_model_version")).value().version == "1");
    CHECK(api::decode_create_model_version(body_of(v, "create_model_version_again")).value().version == "2");
    const ModelVersion one = api::decode_get_model_version(body_of(v, "get_model_version")).value();
    CHECK(one.current_stage == "Staging");
    CHECK(one.status == ModelVersionStatus::ready);
    CHECK(one.description == "new");
    CHECK(one.aliases == std::vector<std::string>{"champion"});
    CHECK(one.unknown_fields.empty());
    CHECK(api::decode_get_model_version_by_alias(body_of(v, "get_model_version_by_alias")).value() == one);
    CHECK(api::decode_get_latest_versions(body_of(v, "get_latest_versions")).value().size() == 2);
    CHECK(api::decode_get_model_version_download_uri(body_of(v, "get_model_version_download_uri")).value() ==
          "s3://bucket/x");
    const auto page = api::decode_search_model_versions(body_of(v, "search_model_versions")).value();
    CHECK(page.items.size() == 1);
    CHECK_FALSE(page.next_page_token.empty());

    // What same_again rests on.
    for (const char* name : {"update_registered_model", "set_registered_model_tag", "delete_registered_model_tag",
                             "set_registered_model_alias", "delete_registered_model_alias", "update_model_version",
                             "set_model_version_tag", "delete_model_version_tag", "transition_model_version_stage",
                             "upload_artifact", "delete_artifact"}) {
      INFO(name);
      CHECK(golden(v, name).status == 200);
      CHECK(golden(v, std::string(name) + "_again").status == 200);
    }
    CHECK(error_of(v, "get_registered_model_missing").code == Errc::not_found);
    CHECK(error_of(v, "get_model_version_missing").code == Errc::not_found);
    CHECK(error_of(v, "get_model_version_by_alias_missing").code == Errc::rejected);
    CHECK(error_of(v, "create_multipart_upload").code == Errc::not_implemented);
    CHECK(api::decode_rename_registered_model(body_of(v, "rename_registered_model")));
  }
}

TEST_CASE("recorded answers about artifacts", "[api]") {
  for (const std::string& v : mlflowha_tests::golden_versions) {
    INFO(v);
    CHECK(api::decode_upload_artifact(body_of(v, "upload_artifact")));
    CHECK(api::decode_upload_run_artifact(body_of(v, "upload_run_artifact")));
    const auto proxied = api::decode_list_proxied_artifacts(body_of(v, "list_proxied_artifacts")).value();
    REQUIRE(proxied.size() == 1);
    CHECK(proxied[0] == ProxiedFile{.path = "a.txt", .is_dir = false, .file_size = 5});
    const ArtifactList listed = api::decode_list_artifacts(body_of(v, "list_artifacts")).value();
    CHECK(listed.files == std::vector<FileInfo>{{.path = "d/a.txt", .is_dir = false, .file_size = 5}});
    const auto points = api::decode_get_metric_history_bulk(body_of(v, "get_metric_history_bulk_nan")).value();
    REQUIRE(points.size() == 1);
    CHECK(std::isnan(points[0].value));
  }
}

TEST_CASE("recorded answers about logged models and webhooks", "[api]") {
  const std::string v = "3.17.2";
  const LoggedModel made = api::decode_create_logged_model(body_of(v, "create_logged_model")).value();
  CHECK(made.info.status == LoggedModelStatus::pending);
  CHECK(made.data.params == std::vector<LoggedModelParameter>{{.key = "p", .value = "1"}});
  const LoggedModel read = api::decode_get_logged_model(body_of(v, "get_logged_model")).value();
  CHECK(read.info.status == LoggedModelStatus::ready);
  CHECK(read.data.params.size() == 2);
  CHECK(read.info.unknown_fields.empty());
  CHECK(api::from_json<LoggedModel>(api::to_json(read).value()).value() == read);
  CHECK(api::decode_search_logged_models(body_of(v, "search_logged_models")).value().items.at(0) == read);
  CHECK(api::decode_list_logged_model_artifacts(body_of(v, "list_logged_model_artifacts")).value().files.empty());
  CHECK(golden(v, "delete_logged_model_again").status == 200);
  CHECK(golden(v, "finalize_logged_model_again").status == 200);
  CHECK(api::decode_set_logged_model_tags(body_of(v, "set_logged_model_tags_again")));
  // A unique key of the database keeps the second one out; nobody's breaker may open over it.
  for (const char* name : {"log_logged_model_params_again", "log_outputs_of_model_again"}) {
    INFO(name);
    CHECK(error_of(v, name).error_code == "BAD_REQUEST");
    CHECK(error_of(v, name).message.find("IntegrityError") != std::string::npos);
  }
  CHECK(golden(v, "log_inputs_of_model_again").status == 200);

  const Webhook hook = api::decode_create_webhook(body_of(v, "create_webhook")).value();
  CHECK(hook.status == WebhookStatus::disabled);
  CHECK(hook.events.at(0).action == WebhookAction::created);
  CHECK(api::decode_get_webhook(body_of(v, "get_webhook")).value() == hook);
  CHECK(api::decode_list_webhooks(body_of(v, "list_webhooks")).value().items.at(0) == hook);
  CHECK(api::decode_update_webhook(body_of(v, "update_webhook")).value().name == "new");
  CHECK_FALSE(api::decode_test_webhook(body_of(v, "test_webhook")).value().success);
}

TEST_CASE("requests to the registry mean what the official client's mean", "[api]") {
  for (const std::string& version : mlflowha_tests::golden_versions) {
    const auto file = mlflowha_tests::golden_folder(version) / "sent_registry.json";
    const json recording = json::parse(mlflowha_tests::read_file(file));
    std::map<std::string, json> official;  // the last request of each call
    for (const json& one : recording["sent"]) official[one["call"]] = one;
    const auto same = [&](const std::string& name, const Result<api::PreparedRequest>& prepared) {
      INFO(version << ' ' << name);
      const json& theirs = official.at(name);
      const api::PreparedRequest& ours = prepared.value();
      const std::string target = theirs["target"];
      CHECK(ours.http.target.substr(0, ours.http.target.find('?')) == target.substr(0, target.find('?')));
      CHECK(to_string(ours.http.method) == theirs["method"].get<std::string>());
      if (ours.http.method == Method::get) return;
      const std::string text = theirs["body"];
      const json body = json::parse(ours.http.body);
      const json wanted = text.empty() ? json::object() : json::parse(text);
      for (const auto& [key, value] : wanted.items()) {
        INFO(key);
        // The request tag is ours.
        CHECK((body.at(key) == value || (key == "tags" && body.at(key).at(0) == value.at(0))));
      }
      // What we say besides is the id that stands in the path, too.
      for (const auto& [key, value] : body.items()) {
        INFO(key);
        CHECK((wanted.contains(key) || key == "model_id" || key == "webhook_id" || key == "tag_key"));
      }
    };
    same("create_registered_model",
         api::prepare_create_registered_model(
             {.name = "official", .tags = {{.key = "team", .value = "a"}}, .description = "first"}, "tag"));
    same("get_registered_model", api::prepare_get_registered_model({.name = "official"}));
    same("update_registered_model",
         api::prepare_update_registered_model({.name = "official", .description = "second"}));
    same("set_registered_model_tag",
         api::prepare_set_registered_model_tag({.name = "official", .key = "k", .value = "v"}));
    same("delete_registered_model_tag", api::prepare_delete_registered_model_tag({.name = "official", .key = "k"}));
    CreateModelVersion create;
    create.name = "official";
    create.source = "s3://bucket/x";
    create.tags.push_back({.key = "a", .value = "b"});
    create.description = "d";
    same("create_model_version", api::prepare_create_model_version(create, "tag"));
    same("get_model_version", api::prepare_get_model_version({.name = "official", .version = "1"}));
    same("update_model_version",
         api::prepare_update_model_version({.name = "official", .version = "1", .description = "new"}));
    same("get_model_version_download_uri",
         api::prepare_get_model_version_download_uri({.name = "official", .version = "1"}));
    same("set_model_version_tag",
         api::prepare_set_model_version_tag({.name = "official", .version = "1", .key = "k", .value = "v"}));
    same("delete_model_version_tag",
         api::prepare_delete_model_version_tag({.name = "official", .version = "1", .key = "k"}));
    same("transition_model_version_stage",
         api::prepare_transition_model_version_stage(
             {.name = "official", .version = "1", .stage = "Staging", .archive_existing_versions = true}));
    same("get_latest_versions", api::prepare_get_latest_versions({.name = "official", .stages = {"Staging"}}));
    same("set_registered_model_alias",
         api::prepare_set_registered_model_alias({.name = "official", .alias = "champion", .version = "1"}));
    same("get_model_version_by_alias",
         api::prepare_get_model_version_by_alias({.name = "official", .alias = "champion"}));
    same("delete_registered_model_alias",
         api::prepare_delete_registered_model_alias({.name = "official", .alias = "champion"}));
    same("delete_model_version", api::prepare_delete_model_version({.name = "official", .version = "1"}));
    same("rename_registered_model", api::prepare_rename_registered_model({.name = "official", .new_name = "renamed"}));
    same("delete_registered_model", api::prepare_delete_registered_model({.name = "renamed"}));
    if (!recording.contains("model_id")) continue;
    const std::string model = recording["model_id"];
    CreateLoggedModel logged;
    logged.experiment_id = "0";
    logged.name = "official";
    logged.params.push_back({.key = "p", .value = "1"});
    logged.tags.push_back({.key = "a", .value = "b"});
    same("create_logged_model", api::prepare_create_logged_model(logged, "tag"));
    same("get_logged_model", api::prepare_get_logged_model({.model_id = model}));
    same("finalize_logged_model",
         api::prepare_finalize_logged_model({.model_id = model, .status = LoggedModelStatus::ready}));
    same("set_logged_model_tags",
         api::prepare_set_logged_model_tags({.model_id = model, .tags = {{.key = "k", .value = "v"}}}));
    same("delete_logged_model_tag", api::prepare_delete_logged_model_tag({.model_id = model, .tag_key = "k"}));
    same("log_model_params",
         api::prepare_log_logged_model_params({.model_id = model, .params = {{.key = "q", .value = "2"}}}));
    same("search_logged_models",
         api::prepare_search_logged_models({.experiment_ids = {"0"}, .filter = "name = 'official'", .max_results = 5}));
    same("delete_logged_model", api::prepare_delete_logged_model({.model_id = model}));
    const std::string hook = recording["webhook_id"];
    CreateWebhook webhook;
    webhook.name = "official";
    webhook.description = "d";
    webhook.url = "https://127.0.0.1:9/h";
    webhook.events.push_back({.entity = WebhookEntity::model_version, .action = WebhookAction::created});
    webhook.secret = "s";
    webhook.status = WebhookStatus::disabled;
    same("create_webhook", api::prepare_create_webhook(webhook));
    same("list_webhooks", api::prepare_list_webhooks({.max_results = 5}));
    same("get_webhook", api::prepare_get_webhook({.webhook_id = hook}));
    same("update_webhook", api::prepare_update_webhook({.webhook_id = hook, .name = "new"}));
    same("test_webhook", api::prepare_test_webhook({.webhook_id = hook}));
    same("delete_webhook", api::prepare_delete_webhook({.webhook_id = hook}));
  }
}
