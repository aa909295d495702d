// The rows of the table as the machinery sees them.

#include <mlflowha/api/operations.hpp>

#include "support/catch.hpp"

#include <set>
#include <string>

using namespace mlflowha;
namespace ops = mlflowha::api::ops;

TEST_CASE("every row is sound", "[api]") {
  std::set<std::string> names;
  for (const api::Operation* row : api::operations) {
    INFO(row->name);
    CHECK(names.insert(std::string(row->name)).second);
    CHECK(row->path.substr(0, 1) == "/");
    CHECK((row->method == Method::get) <= (row->idempotency == Idempotency::read));
    const bool create =
        row->idempotency == Idempotency::create_named || row->idempotency == Idempotency::create_anonymous;
    CHECK(create == (row->recipe != api::Recipe::none));
    CHECK((row->idempotency == Idempotency::once) <= !row->already_done[0].empty());
    CHECK_FALSE(row->is_already_done(""));
  }
  // 11 and 16 bindings (one operation has two), and 3 routes of the server itself
  CHECK(api::operations.size() == 10 + 16 + 3);
}

TEST_CASE("the classes that reviews have settled", "[api]") {
  struct Row {
    const api::Operation& operation;
    Idempotency idempotency;
  };
  const Row rows[] = {
      {ops::create_experiment, Idempotency::create_named},
      {ops::create_run, Idempotency::create_anonymous},
      {ops::delete_experiment, Idempotency::once},
      {ops::restore_experiment, Idempotency::once},
      {ops::delete_tag, Idempotency::once},
      {ops::delete_experiment_tag, Idempotency::once},
      {ops::delete_run, Idempotency::same_again},
      {ops::restore_run, Idempotency::same_again},
      {ops::log_metric, Idempotency::same_again},
      {ops::log_batch, Idempotency::same_again},
      {ops::log_param, Idempotency::same_again},
      {ops::update_run, Idempotency::same_again},
      {ops::log_model, Idempotency::never},
      {ops::log_inputs, Idempotency::never},
      {ops::log_outputs, Idempotency::never},
      {ops::search_runs, Idempotency::read},
      {ops::search_datasets, Idempotency::read},
      {ops::get_server_info, Idempotency::read},
  };
  for (const Row& row : rows) {
    INFO(row.operation.name);
    CHECK(row.operation.idempotency == row.idempotency);
  }
  CHECK(ops::create_experiment.is_already_done("RESOURCE_ALREADY_EXISTS"));
  CHECK(ops::delete_tag.is_already_done("RESOURCE_DOES_NOT_EXIST"));
  CHECK_FALSE(ops::delete_tag.is_already_done("RESOURCE_ALREADY_EXISTS"));
}

TEST_CASE("versions of servers are read and compared", "[api]") {
  CHECK(parse_server_version("3.17.2").value() == ServerVersion{3, 17, 2});
  CHECK(parse_server_version("2.22").value() == ServerVersion{2, 22, 0});
  CHECK(parse_server_version("3.18.0rc1").value() == ServerVersion{3, 18, 0});
  CHECK(parse_server_version("3.11.2.dev0").value() == ServerVersion{3, 11, 2});
  CHECK(ServerVersion{2, 22, 5} < ServerVersion{3, 0, 0});
  CHECK(ServerVersion{3, 9, 9} < ops::get_server_info.since);
  CHECK(to_string(ServerVersion{3, 17, 2}) == "3.17.2");
  for (const char* bad : {"", "3", "three", "<html>", "99999999999.1", "-1.2", ".1.2", "3..2", "v3.1"}) {
    INFO(bad);
    const auto version = parse_server_version(bad);
    REQUIRE_FALSE(version);
    CHECK(version.error().code == Errc::bad_response);
  }
}
