// Passwords and other secrets in requests: sent, and shown by nothing else.

#include <mlflowha/api/auth.hpp>
#include <mlflowha/api/auth_codec.hpp>
#include <mlflowha/api/error_body.hpp>
#include <mlflowha/api/gateway.hpp>
#include <mlflowha/api/gateway_codec.hpp>
#include <mlflowha/api/json_call.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/secrets.hpp>
#include <mlflowha/api/webhooks_codec.hpp>

#include "support/catch.hpp"
#include "unit/api/support.hpp"

#include <string>

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("a password is sent in the body and nowhere else", "[api][secret]") {
  const auto prepared =
      api::prepare_update_user_password({.username = "bob", .password = "a\"b", .current_password = "c"});
  CHECK(prepared.value().http.body == R"({"username":"bob","password":"a\"b","current_password":"c"})");
  CHECK(prepared->http.target == "/api/2.0/mlflow/users/update-password");
  CHECK(api::prepare_update_user_password({.username = "bob", .password = "x"})->http.body ==
        R"({"username":"bob","password":"x"})");
  CHECK(api::ops::create_user.has_secrets());
  CHECK(api::ops::update_user_password.secrets == std::array<std::string_view, 2>{"password", "current_password"});
  CHECK_FALSE(api::ops::get_user.has_secrets());
}

TEST_CASE("who changes his own password is not repeated, an administrator is", "[api][secret]") {
  UpdateUserPassword update{.username = "bob", .password = "x"};
  CHECK(api::prepare_update_user_password(update)->idempotency == Idempotency::same_again);
  update.current_password = "y";
  CHECK(api::prepare_update_user_password(update)->idempotency == Idempotency::never);
}

TEST_CASE("a faulty password is refused without being shown", "[api][secret]") {
  const Error missing = api::prepare_create_user({.username = "bob"}).error();
  CHECK(missing.code == Errc::invalid_argument);
  CHECK_THAT(missing.message, contains("password is empty"));
  const Error bytes = api::prepare_create_user({.username = "bob", .password = "hidden\xff"}).error();
  CHECK_THAT(bytes.message, contains("password is not UTF-8 at byte 6"));
  CHECK_THAT(bytes.message, !contains("hidden"));
  // What is not secret is shown as ever.
  CHECK_THAT(api::prepare_create_user({.username = "bob\xff", .password = "hidden"}).error().message, contains("bob"));
}

TEST_CASE("a request that is no JSON shows nothing where it may hold a password", "[api][secret]") {
  for (const char* json : {R"({"username": 5, "password": "hidden"})", R"({"password": hidden})", R"({"password": 77})",
                           R"({"username": "b", "password": "hidden)"}) {
    INFO(json);
    const auto read = api::from_json<CreateUser>(json);
    REQUIRE_FALSE(read);
    CHECK_THAT(read.error().message, !contains("hidden"));
    CHECK_THAT(read.error().message, !contains("77"));
  }
  CHECK(api::from_json<CreateUser>(R"({"username": "b", "password": "hidden"})").value().password.reveal() == "hidden");
  for (const char* json : {R"({"password": hidden})", R"([hidden])", R"({"password": "a", hidden)"}) {
    const auto prepared = api::prepare_json(api::ops::create_user, json, "");
    REQUIRE_FALSE(prepared);
    CHECK_THAT(prepared.error().message, !contains("hidden"));
    CHECK_THAT(api::prepare_json(api::ops::get_user, json, "").error().message, contains("hidden"));
  }
}

TEST_CASE("the values of a failed SQL statement stay out of the error", "[api][secret]") {
  Response response;
  response.status = 400;
  response.body =
      R"~({"error_code": "RESOURCE_ALREADY_EXISTS", "message": "User (username=bob) already exists. Error: )~"
      R"~((sqlite3.IntegrityError) UNIQUE constraint failed: users.username\n[SQL: INSERT INTO users (username, )~"
      R"~(password_hash) VALUES (?, ?)]\n[parameters: ('bob', 'scrypt:32768:8:1$kH6t')]\n(Background on this error)~"
      R"~( at: https://sqlalche.me/e/20/gkpj)"})~";
  const Error error = api::decode_error(response);
  CHECK(error.code == Errc::already_exists);
  CHECK_THAT(error.message, contains("(sqlite3.IntegrityError) UNIQUE constraint failed: users.username"));
  CHECK_THAT(error.message, contains("[parameters: not shown]"));
  CHECK_THAT(error.message, !contains("scrypt"));
}

TEST_CASE("what webhooks sign with and gateways open models with is secret, too", "[api][secret]") {
  CreateWebhook webhook;
  webhook.name = "w";
  webhook.url = "https://a.example";
  webhook.events.push_back({.entity = WebhookEntity::registered_model, .action = WebhookAction::created});
  webhook.secret = "hidden\xff";
  CHECK_THAT(api::prepare_create_webhook(webhook).error().message, contains("secret is not UTF-8 at byte 6"));
  CHECK_THAT(api::prepare_create_webhook(webhook).error().message, !contains("hidden"));
  const CreateGatewaySecret broken{.secret_name = "s", .secret_value = {{"api_key", "hidden\xff"}}};
  CHECK_THAT(api::prepare_create_gateway_secret(broken).error().message,
             contains("secret_value.api_key is not UTF-8 at byte 6"));
  CHECK_THAT(api::prepare_create_gateway_secret(broken).error().message, !contains("hidden"));
  CHECK(api::prepare_update_gateway_secret({.secret_id = "i", .secret_value = {{"a", "x"}, {"b", "y"}}})->http.body ==
        R"({"secret_id":"i","secret_value":{"a":"x","b":"y"}})");
  const auto read = api::from_json<CreateGatewaySecret>(R"({"secret_value": {"a": "x"}})");
  CHECK(read.value().secret_value.at("a").reveal() == "x");
  for (const api::Operation* row : {&api::ops::create_webhook, &api::ops::update_webhook,
                                    &api::ops::create_gateway_secret, &api::ops::update_gateway_secret}) {
    CHECK(row->has_secrets());
  }
  CHECK_FALSE(api::ops::get_webhook.has_secrets());
}

TEST_CASE("what a server repeats of a secret is masked", "[api][secret]") {
  const auto shown = [](const std::string& body, const std::string& text) {
    return api::without_secrets(api::ops::create_gateway_secret, body, text);
  };
  const std::string body =
      R"({"secret_name": "open-name", "secret_value": {"api_key": "sk-abcdefgh12345678", "pin": "1234", "n": 98765,)"
      R"( "inner": ["first-entry", {"deep": "quoted\"and\nbroken"}], "yes": true, "none": null, "empty": ""}})";
  CHECK(shown(body, "bad value sk-abcdefgh12345678 for open-name") == "bad value [secret] for open-name");
  CHECK(shown(body, "sk-abcdefgh12345678sk-abcdefgh12345678") == "[secret]");
  CHECK(shown(body, "cut: sk-abcdefg..., again 12345678") == "cut: [secret]..., again [secret]");
  CHECK(shown(body, "1234 98765 first-entry") == "[secret] [secret] [secret]");
  CHECK(shown(body, R"({'deep': 'quoted\\"and\\nbroken'})") == R"({'deep': '[secret]\\"and\\n[secret]'})");
  CHECK(shown(body, "true, 123, sk-abc, none of it") == "true, 123, [secret], none of it");
  CHECK(shown(body, "") == "");
  // Pieces of characters are left over: escaped as any text of a server's.
  CHECK(shown(R"({"secret_value": "abcde\u00e4"})", "abcde\xC3\xA5") == "[secret]\\xA5");
  CHECK(shown("no JSON sk-abcdefgh12345678", "text") == "text");
  CHECK(api::without_secrets(api::ops::get_gateway_secret_info, body, "pin 1234") == "pin 1234");
  CHECK(api::without_secrets(api::ops::create_webhook, R"({"name": "1234", "secret": "s3cret"})", "1234 s3cret") ==
        "1234 [secret]");
}
