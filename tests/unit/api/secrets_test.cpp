// Passwords in requests: sent, and shown by nothing else.

#include <mlflowha/api/auth.hpp>
#include <mlflowha/api/auth_codec.hpp>
#include <mlflowha/api/error_body.hpp>
#include <mlflowha/api/json_call.hpp>
#include <mlflowha/api/operations.hpp>

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
  CHECK(api::ops::create_user.secret);
  CHECK(api::ops::update_user_password.secret);
  CHECK_FALSE(api::ops::get_user.secret);
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
