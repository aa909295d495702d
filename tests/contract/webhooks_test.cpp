// Webhooks. MLflow 2.22 has none.

#include <mlflowha/api/all.hpp>

#include <algorithm>

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

bool has_webhooks() { return contract_server().major >= 3; }
const std::string nobody = "00000000-0000-0000-0000-000000000000";

/// Disabled, so that nothing is sent while other tests register models.
CreateWebhook disabled_webhook() {
  CreateWebhook create;
  create.name = "contract";
  create.url = "https://127.0.0.1:9/hook";  // the stack lets its servers accept it
  create.description = "of the contract suite";
  create.events.push_back({.entity = WebhookEntity::model_version, .action = WebhookAction::created});
  create.secret = "s3cret";
  create.status = WebhookStatus::disabled;
  return create;
}

}  // namespace

TEST_CASE("a webhook lives: create, read, update, try, delete", "[contract][webhooks]") {
  if (!has_webhooks()) return;
  const Client& client = contract_client();
  const Webhook made = client.create_webhook(disabled_webhook()).value();
  CHECK(made.name == "contract");
  CHECK(made.status == WebhookStatus::disabled);
  CHECK(made.events.at(0).entity == WebhookEntity::model_version);
  CHECK(client.get_webhook({.webhook_id = made.webhook_id}).value() == made);

  const Webhook changed = client.update_webhook({.webhook_id = made.webhook_id, .name = "changed"}).value();
  CHECK(changed.name == "changed");
  CHECK(changed.url == made.url);
  const WebhookTestResult tried = client.test_webhook({.webhook_id = made.webhook_id}).value();
  CHECK_FALSE(tried.success);
  CHECK_FALSE(tried.error_message.empty());

  REQUIRE(client.delete_webhook({.webhook_id = made.webhook_id}));
  CHECK(is_not_found(client.delete_webhook({.webhook_id = made.webhook_id}).error()));
}

TEST_CASE("webhooks are listed a page at a time", "[contract][webhooks]") {
  if (!has_webhooks()) return;
  const Client& client = contract_client();
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(client.create_webhook(disabled_webhook()).value().webhook_id);
  const auto all = client.list_webhooks_all({.max_results = 2}).all().value();
  for (const std::string& id : ids) {
    CHECK(std::count_if(all.begin(), all.end(), [&](const Webhook& hook) { return hook.webhook_id == id; }) == 1);
    REQUIRE(client.delete_webhook({.webhook_id = id}));
  }
  CHECK(client.list_webhooks({.page_token = "not a token"}).error().code == Errc::rejected);
}

TEST_CASE("a webhook that can't be is a typed error", "[contract][webhooks]") {
  if (!has_webhooks()) return;
  const Client& client = contract_client();
  CreateWebhook create = disabled_webhook();
  create.url = "ftp://example.com/";
  CHECK(client.create_webhook(create).error().code == Errc::rejected);
  create = disabled_webhook();
  create.name = "a b";
  CHECK(client.create_webhook(create).error().code == Errc::rejected);
  create = disabled_webhook();
  create.events[0].action = WebhookAction::exceeded;
  CHECK(client.create_webhook(create).error().code == Errc::rejected);
  create.events.clear();
  CHECK(client.create_webhook(create).error().code == Errc::invalid_argument);
  CHECK(is_not_found(client.get_webhook({.webhook_id = nobody}).error()));
  CHECK(is_not_found(client.update_webhook({.webhook_id = nobody, .name = "x"}).error()));
  CHECK(is_not_found(client.test_webhook({.webhook_id = nobody}).error()));
}
