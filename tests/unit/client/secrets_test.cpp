// Secrets of requests: whatever a server says of them, neither errors nor observers tell.

#include <mlflowha/api/gateway.hpp>
#include <mlflowha/api/webhooks.hpp>

#include "support/catch.hpp"
#include "unit/client/engine_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;

namespace {

const std::string key = "sk-abcdefgh12345678";

CreateWebhook webhook() {
  CreateWebhook create;
  create.name = "w";
  create.url = "https://a.example";
  create.events.push_back({.entity = WebhookEntity::model_version, .action = WebhookAction::created});
  create.secret = key;
  return create;
}

/// A client whose one server answers every call to `path` with `status` and `body`.
struct Echo {
  Echo(const std::string& path, int status, const std::string& body)
      : cluster(1, {{when().path(path).status(status, body)}}), client(cluster.client()) {}
  Cluster cluster;
  Client client;
};

/// Nothing that is kept or told of a call holds the secret.
void check_untold(const Error& error, const Cluster& cluster) {
  CHECK_THAT(describe(error), !contains("abcdefgh"));
  CHECK_THAT(Exception(error).what(), !contains("abcdefgh"));
  for (const std::string& line : cluster.diary->attempts) CHECK_THAT(line, !contains("abcdefgh"));
}

}  // namespace

TEST_CASE("an error that repeats a secret doesn't show it", "[client][secret]") {
  const std::string said = R"({"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid value ')" + key + R"('"})";
  Echo echo("/webhooks", 400, said);
  const Error error = echo.client.create_webhook(webhook()).error();
  CHECK(error.error_code == "INVALID_PARAMETER_VALUE");
  CHECK(error.message == "Invalid value '[secret]'");
  check_untold(error, echo.cluster);

  const Error by_name = echo.client.call("create_webhook", R"({"name": "w", "secret": ")" + key + R"("})").error();
  CHECK(by_name.message == "Invalid value '[secret]'");
  check_untold(by_name, echo.cluster);
}

TEST_CASE("neither pages of proxies nor answers that are none show a secret", "[client][secret]") {
  for (const auto& [status, body] :
       {std::pair(502, "<html>" + key), std::pair(200, "<html>" + key),
        std::pair(200, R"({"webhook": {"name": [")" + key + R"("]}})"), std::pair(503, "upstream: " + key)}) {
    INFO(status << " " << body);
    Echo echo("/webhooks", status, body);
    const auto made = echo.client.create_webhook(webhook(), {.timeout = std::chrono::seconds(5)});
    REQUIRE_FALSE(made);
    check_untold(made.error(), echo.cluster);
  }
}

TEST_CASE("the values of a gateway's secret stay untold", "[client][secret]") {
  Echo echo("/secrets/create", 500, "could not store {'api_key': '" + key + "'}");
  const CreateGatewaySecret create{.secret_name = "s", .secret_value = {{"api_key", key}}};
  check_untold(echo.client.create_gateway_secret(create, {.timeout = std::chrono::seconds(5)}).error(), echo.cluster);
}
