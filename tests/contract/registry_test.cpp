// Registered models, aliases, model versions and stages.

#include <algorithm>

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

std::string fresh_model() {
  CreateRegisteredModel create;
  create.name = fresh_name("model");
  return contract_client().create_registered_model(create).value().name;
}

ModelVersion fresh_version(const std::string& model, const std::string& source = "s3://bucket/model") {
  CreateModelVersion create;
  create.name = model;
  create.source = source;
  return contract_client().create_model_version(create).value();
}

template <class Tag>
std::string value_of(const std::vector<Tag>& tags, std::string_view key) {
  for (const Tag& tag : tags) {
    if (tag.key == key) return tag.value;
  }
  return "(none)";
}

}  // namespace

TEST_CASE("a registered model lives: create, read, update, tag, rename, delete", "[contract][registry]") {
  const Client& client = contract_client();
  CreateRegisteredModel create;
  create.name = fresh_name("life");
  create.description = "first";
  create.tags.push_back({.key = "team", .value = "vision \xC3\xA4"});
  const RegisteredModel made = client.create_registered_model(create).value();
  CHECK(made.name == create.name);
  CHECK(made.description == "first");
  CHECK(made.creation_timestamp > 1'600'000'000'000);
  CHECK(value_of(made.tags, "team") == "vision \xC3\xA4");
  CHECK(value_of(made.tags, api::request_tag_key) != "(none)");

  CHECK(client.update_registered_model({.name = create.name, .description = "second"}).value().description == "second");
  CHECK(client.get_registered_model({.name = create.name}).value().description == "second");
  REQUIRE(client.set_registered_model_tag({.name = create.name, .key = "state", .value = "tried"}));
  CHECK(value_of(client.get_registered_model({.name = create.name}).value().tags, "state") == "tried");
  REQUIRE(client.delete_registered_model_tag({.name = create.name, .key = "state"}));
  REQUIRE(client.delete_registered_model_tag({.name = create.name, .key = "state"}));  // gone is gone
  CHECK(value_of(client.get_registered_model({.name = create.name}).value().tags, "state") == "(none)");

  const std::string renamed = fresh_name("renamed");
  REQUIRE(client.rename_registered_model({.name = create.name, .new_name = renamed}));
  CHECK(is_not_found(client.get_registered_model({.name = create.name}).error()));
  REQUIRE(client.delete_registered_model({.name = renamed}));
  CHECK(is_not_found(client.delete_registered_model({.name = renamed}).error()));
}

TEST_CASE("a registered model that is or isn't there is a typed error", "[contract][registry]") {
  const Client& client = contract_client();
  const std::string taken = fresh_model();
  CreateRegisteredModel create;
  create.name = taken;
  CHECK(client.create_registered_model(create).error().code == Errc::already_exists);
  const std::string nobody = fresh_name("nobody");
  CHECK(is_not_found(client.get_registered_model({.name = nobody}).error()));
  CHECK(is_not_found(client.update_registered_model({.name = nobody, .description = "x"}).error()));
  CHECK(is_not_found(client.rename_registered_model({.name = nobody, .new_name = "other"}).error()));
  CHECK(client.rename_registered_model({.name = fresh_model(), .new_name = taken}).error().code ==
        Errc::already_exists);
  CHECK(is_not_found(client.set_registered_model_tag({.name = nobody, .key = "k", .value = "v"}).error()));
  CHECK(is_not_found(client.delete_registered_model_tag({.name = nobody, .key = "k"}).error()));
  CHECK(is_not_found(client.get_latest_versions({.name = nobody}).error()));
  CHECK(is_not_found(client.delete_registered_model_alias({.name = nobody, .alias = "a"}).error()));
  if (contract_server().major >= 3) {
    create.name = "no/slash";
    CHECK(client.create_registered_model(create).error().code == Errc::rejected);
  }
}

TEST_CASE("registered models are searched and paged", "[contract][registry]") {
  const Client& client = contract_client();
  const std::string stem = fresh_name("many");
  for (int i = 0; i < 5; ++i) {
    CreateRegisteredModel create;
    create.name = stem + "-" + std::to_string(i);
    create.tags.push_back({.key = "parity", .value = i % 2 == 0 ? "even" : "odd"});
    REQUIRE(client.create_registered_model(create));
  }
  SearchRegisteredModels search;
  search.filter = "name LIKE '" + stem + "%'";
  search.max_results = 2;
  search.order_by = {"name DESC"};
  const auto all = client.search_registered_models_all(search).all().value();
  REQUIRE(all.size() == 5);
  CHECK(all.front().name == stem + "-4");
  CHECK(all.back().name == stem + "-0");
  search.filter = search.filter && filter::tag("parity") == "odd";
  search.max_results = 100;
  CHECK(client.search_registered_models(search).value().items.size() == 2);
  search.filter = "nonsense";
  CHECK(client.search_registered_models(search).error().code == Errc::rejected);
}

TEST_CASE("a model version lives: create, read, update, tag, delete", "[contract][registry]") {
  const Client& client = contract_client();
  const std::string model = fresh_model();
  const Run run = fresh_run();
  CreateModelVersion create;
  create.name = model;
  create.source = run.info.artifact_uri + "/model";
  create.run_id = run.info.run_id;
  create.description = "first";
  create.tags.push_back({.key = "team", .value = "vision"});
  const ModelVersion made = client.create_model_version(create).value();
  CHECK(made.version == "1");
  CHECK(made.status == ModelVersionStatus::ready);
  CHECK(made.current_stage == "None");
  CHECK(value_of(made.tags, "team") == "vision");
  CHECK(fresh_version(model).version == "2");

  const GetModelVersion first{.name = model, .version = "1"};
  CHECK(client.get_model_version(first).value().run_id == run.info.run_id);
  CHECK(client.get_model_version_download_uri({.name = model, .version = "1"}).value() == create.source);
  CHECK(client.update_model_version({.name = model, .version = "1", .description = "new"}).value().description ==
        "new");
  REQUIRE(client.set_model_version_tag({.name = model, .version = "1", .key = "k", .value = "v"}));
  CHECK(value_of(client.get_model_version(first).value().tags, "k") == "v");
  REQUIRE(client.delete_model_version_tag({.name = model, .version = "1", .key = "k"}));
  REQUIRE(client.delete_model_version_tag({.name = model, .version = "1", .key = "k"}));
  CHECK(value_of(client.get_model_version(first).value().tags, "k") == "(none)");

  REQUIRE(client.delete_model_version({.name = model, .version = "2"}));
  CHECK(is_not_found(client.delete_model_version({.name = model, .version = "2"}).error()));
  CHECK(fresh_version(model).version == "3");  // numbers are not given again
}

TEST_CASE("a model version that isn't there is a typed error", "[contract][registry]") {
  const Client& client = contract_client();
  const std::string model = fresh_model();
  CreateModelVersion create;
  create.name = fresh_name("nobody");
  create.source = "s3://bucket/model";
  CHECK(is_not_found(client.create_model_version(create).error()));
  create.name = model;
  create.source = "/etc";
  CHECK(client.create_model_version(create).error().code == Errc::rejected);
  CHECK(is_not_found(client.get_model_version({.name = model, .version = "9"}).error()));
  CHECK(client.get_model_version({.name = model, .version = "nine"}).error().kind() == ErrorKind::invalid_argument);
  CHECK(is_not_found(client.update_model_version({.name = model, .version = "9"}).error()));
  CHECK(is_not_found(client.get_model_version_download_uri({.name = model, .version = "9"}).error()));
  CHECK(is_not_found(client.set_model_version_tag({.name = model, .version = "9", .key = "k"}).error()));
  CHECK(is_not_found(client.delete_model_version_tag({.name = model, .version = "9", .key = "k"}).error()));
  CHECK(
      is_not_found(client.transition_model_version_stage({.name = model, .version = "9", .stage = "Staging"}).error()));
}

TEST_CASE("model versions are searched and paged", "[contract][registry]") {
  const Client& client = contract_client();
  const std::string model = fresh_model();
  for (int i = 0; i < 5; ++i) REQUIRE(fresh_version(model, "s3://bucket/" + std::to_string(i)).name == model);
  SearchModelVersions search;
  search.filter = "name = '" + model + "'";
  search.max_results = 2;
  search.order_by = {"version_number ASC"};
  const auto all = client.search_model_versions_all(search).all().value();
  REQUIRE(all.size() == 5);
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i].version == std::to_string(i + 1));
  search.filter = search.filter && filter::attribute("source_path") == "s3://bucket/3";
  CHECK(client.search_model_versions(search).value().items.at(0).version == "4");
  search.filter = "nonsense = 1";
  CHECK(client.search_model_versions(search).error().code == Errc::rejected);
}

TEST_CASE("an alias points at one version at a time", "[contract][registry]") {
  const Client& client = contract_client();
  const std::string model = fresh_model();
  REQUIRE(fresh_version(model).version == "1");
  REQUIRE(fresh_version(model).version == "2");
  REQUIRE(client.set_registered_model_alias(model, "champion", "1"));
  REQUIRE(client.set_registered_model_alias(model, "champion", "2"));
  const ModelVersion champion = client.get_model_version_by_alias(model, "champion").value();
  CHECK(champion.version == "2");
  CHECK(champion.aliases == std::vector<std::string>{"champion"});
  CHECK(client.get_registered_model(model).value().aliases ==
        std::vector<RegisteredModelAlias>{{.alias = "champion", .version = "2"}});
  REQUIRE(client.delete_registered_model_alias(model, "champion"));
  REQUIRE(client.delete_registered_model_alias(model, "champion"));
  CHECK(client.get_model_version_by_alias(model, "champion").error().code == Errc::rejected);
  CHECK(is_not_found(client.set_registered_model_alias(model, "champion", "9").error()));
  CHECK(client.set_registered_model_alias(model, "latest", "1").error().code == Errc::rejected);
  CHECK(client.set_registered_model_alias(model, "v1", "1").error().code == Errc::rejected);
}

TEST_CASE("stages: one version each, the others archived when asked", "[contract][registry]") {
  const Client& client = contract_client();
  const std::string model = fresh_model();
  for (int i = 1; i <= 3; ++i) REQUIRE(fresh_version(model).version == std::to_string(i));
  CHECK(client.transition_model_version_stage(model, "1", "Production").value().current_stage == "Production");
  CHECK(client.transition_model_version_stage(model, "2", "production", true).value().current_stage == "Production");
  CHECK(client.get_model_version(model, "1").value().current_stage == "Archived");
  CHECK(client.transition_model_version_stage(model, "2", "Production", true).value().version == "2");  // again
  const auto latest = client.get_latest_versions(model).value();
  CHECK(latest.size() == 3);  // Archived 1, Production 2, None 3
  const auto in_production = client.get_latest_versions(model, {"Production"}).value();
  REQUIRE(in_production.size() == 1);
  CHECK(in_production[0].version == "2");
  CHECK(client.transition_model_version_stage(model, "1", "Nowhere").error().code == Errc::rejected);
  CHECK(client.get_latest_versions(model, {"Nowhere"}).error().code == Errc::rejected);
  // Servers answer this with a 500 that no repetition would better.
  CHECK(client.transition_model_version_stage(model, "1", "None", true).error().code == Errc::invalid_argument);
}
