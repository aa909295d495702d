#include <mlflowha/api/all.hpp>
#include <mlflowha/api/trace_location.hpp>

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

CreateLabelSchema new_schema(const std::string& experiment) {
  CreateLabelSchema create;
  create.experiment_id = experiment;
  create.name = "helpful";
  create.type = LabelSchemaType::feedback;
  create.input.categorical = InputCategorical{.options = {"yes", "no"}};
  create.instruction = "Was it?";
  return create;
}

}  // namespace

TEST_CASE("a label schema lives: create, read, list, change, delete", "[contract][review]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const LabelSchema schema = client.create_label_schema(new_schema(experiment)).value();
  const std::string& id = schema.schema_id;
  CHECK(schema.input.categorical->options == std::vector<std::string>{"yes", "no"});
  // Who asks twice is told so, even for the same: only a sending with an unknown fate may be taken for ours.
  CHECK(client.create_label_schema(new_schema(experiment)).error().code == Errc::already_exists);
  CHECK(client.get_label_schema({.schema_id = id}).value() == schema);
  CHECK(client.get_label_schema_by_name({.experiment_id = experiment, .name = "helpful"}).value() == schema);
  CHECK(client.list_label_schemas({.experiment_id = experiment, .max_results = 1}).value().items.size() == 1);
  const UpdateLabelSchema update{.schema_id = id, .name = "useful", .instruction = ""};
  for (int i = 0; i < 2; ++i) {
    const LabelSchema changed = client.update_label_schema(update).value();
    CHECK(changed.name == "useful");
    CHECK(changed.instruction.empty());
  }
  for (int i = 0; i < 2; ++i) REQUIRE(client.delete_label_schema({.schema_id = id}));

  CHECK(is_not_found(client.get_label_schema({.schema_id = id}).error()));
  CHECK(is_not_found(client.get_label_schema_by_name({.experiment_id = experiment, .name = "useful"}).error()));
  CHECK(is_not_found(client.update_label_schema(update).error()));
  CHECK(is_not_found(client.list_label_schemas({.experiment_id = "99999999"}).error()));
  CHECK(client.delete_label_schema({}).error().code == Errc::invalid_argument);
  CHECK(client.create_label_schema({.experiment_id = experiment, .name = "n"}).error().code == Errc::invalid_argument);
}

TEST_CASE("a review queue lives: create, fill, review, delete", "[contract][review]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  StartTrace start;
  start.trace.trace_info.trace_id = fresh_name("t").substr(0, 38);
  start.trace.trace_info.trace_location = experiment_location(experiment);
  start.trace.trace_info.request_time = format_timestamp(WallTime(std::chrono::seconds(1767323045)));
  const std::string trace = client.start_trace(start).value().trace_info.trace_id;

  CreateReviewQueue create;
  create.experiment_id = experiment;
  create.name = "monday";
  create.users = {"bob"};
  create.schema_ids = {client.create_label_schema(new_schema(experiment)).value().schema_id};
  const ReviewQueue queue = client.create_review_queue(create).value();
  const std::string& id = queue.queue_id;
  CHECK(queue.queue_type == ReviewQueueType::custom);
  CHECK(client.create_review_queue(create).error().code == Errc::already_exists);
  CHECK(client.get_review_queue({.queue_id = id}).value() == queue);
  CHECK(client.get_review_queue_by_name({.experiment_id = experiment, .name = "monday"}).value() == queue);
  const auto own = client.get_or_create_user_queue({.experiment_id = experiment, .user = "bob"}).value();
  CHECK(client.get_or_create_user_queue({.experiment_id = experiment, .user = "bob"}).value() == own);
  CHECK(client.list_review_queues({.experiment_id = experiment, .user = "bob"}).value().items.size() == 2);
  const UpdateReviewQueue update{.queue_id = id, .update_users = true, .users = {"eve"}, .name = "tuesday"};
  for (int i = 0; i < 2; ++i) CHECK(client.update_review_queue(update).value().users == update.users);

  const AddItemsToReviewQueue add{.queue_id = id, .item_ids = {trace}};
  const auto items = client.add_items_to_review_queue(add).value();
  CHECK(client.add_items_to_review_queue(add).value() == items);
  CHECK(client.list_review_queue_items({.queue_id = id, .status = ReviewStatus::pending}).value().items == items);
  const SetReviewQueueItemStatus done{
      .queue_id = id, .item_id = trace, .status = ReviewStatus::complete, .completed_by = "eve"};
  const ReviewQueueItem reviewed = client.set_review_queue_item_status(done).value();
  CHECK(reviewed.status == ReviewStatus::complete);
  CHECK(client.set_review_queue_item_status(done).value() == reviewed);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.remove_items_from_review_queue({.queue_id = id, .item_ids = {trace}}));
  }
  CHECK(is_not_found(client.set_review_queue_item_status(done).error()));
  CHECK(is_not_found(client.add_items_to_review_queue({.queue_id = id, .item_ids = {"none"}}).error()));
  for (int i = 0; i < 2; ++i) REQUIRE(client.delete_review_queue({.queue_id = id}));

  CHECK(is_not_found(client.get_review_queue({.queue_id = id}).error()));
  CHECK(is_not_found(client.get_review_queue_by_name({.experiment_id = experiment, .name = "tuesday"}).error()));
  CHECK(is_not_found(client.get_or_create_user_queue({.experiment_id = "99999999", .user = "bob"}).error()));
  CHECK(is_not_found(client.list_review_queues({.experiment_id = "99999999"}).error()));
  CHECK(is_not_found(client.update_review_queue(update).error()));
  CHECK(is_not_found(client.remove_items_from_review_queue({.queue_id = id, .item_ids = {trace}}).error()));
  CHECK(is_not_found(client.list_review_queue_items({.queue_id = id}).error()));
  CHECK(client.delete_review_queue({}).error().code == Errc::invalid_argument);
}
