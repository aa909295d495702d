#include <mlflowha/core/uri.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"

using mlflowha::parse_endpoint_list;
using mlflowha::parse_uri;

TEST_CASE("an address is split into scheme, host, port and prefix", "[core][uri]") {
  struct Row {
    const char* text;
    const char* base;
  };
  const Row row =
      GENERATE(Row{"http://a", "http://a:80"}, Row{"https://a", "https://a:443"},
               Row{"HTTP://Example.ORG:5000", "http://example.org:5000"}, Row{"http://a:5000/", "http://a:5000"},
               Row{"http://a:5000/ml/flow//", "http://a:5000/ml/flow"}, Row{"http://[::1]:5000", "http://[::1]:5000"},
               Row{"http://127.0.0.1:1", "http://127.0.0.1:1"},
               Row{"http://my_host.ns.svc.:65535", "http://my_host.ns.svc.:65535"});
  INFO(row.text);
  auto uri = parse_uri(row.text);
  REQUIRE(uri.has_value());
  CHECK(uri->base() == row.base);
}

TEST_CASE("an address that can't be used is refused with its reason", "[core][uri]") {
  struct Row {
    std::string text;
    std::string reason;
  };
  const Row row = GENERATE(
      Row{"", "expected http"}, Row{"a:5000", "expected http"}, Row{"ftp://a", "scheme is \"ftp\""},
      Row{"file:///tmp/x", "scheme is \"file\""}, Row{"http://", "host is empty"}, Row{"http://:5000", "host is empty"},
      Row{"http://a:0", "expected 1..65535"}, Row{"http://a:65536", "expected 1..65535"},
      Row{"http://a:99999999999999999999", "expected 1..65535"}, Row{"http://a:", "expected 1..65535"},
      Row{"http://a:5x", "expected 1..65535"}, Row{"http://a:-1", "expected 1..65535"},
      Row{"http://a b", "white space"}, Row{"http://a\r\nHost: b", "white space"},
      Row{std::string("http://a\0b", 10), "white space"}, Row{"http://\xC3\xA4", "non-ASCII"},
      Row{"http://a?x=1", "query"}, Row{"http://a#f", "fragment"}, Row{"http://[::1", "without ']'"},
      Row{"http://[zz]", "not an IPv6"}, Row{"http://::1:5000", "in brackets"}, Row{"http://[::1]5000", "expected ':'"},
      Row{"http://a..b", "the host must be"}, Row{"http://a/\"", "percent-encoded"},
      Row{"http://" + std::string(64, 'a'), "the host must be"});
  INFO(row.text);
  auto uri = parse_uri(row.text);
  REQUIRE_FALSE(uri.has_value());
  CHECK(uri.error().code == mlflowha::Errc::invalid_endpoint);
  CHECK(uri.error().message.find(row.reason) != std::string::npos);
}

TEST_CASE("credentials in an address are refused and not repeated", "[core][uri][secret]") {
  struct Row {
    std::string text;
    std::string shown;
  };
  // Unencoded, as people write them: '#', '?', '/', '@' and more are parts of the password all the same.
  const Row row = GENERATE(
      Row{"http://user:hunter2@a:5000", "\"http://...@a:5000\""}, Row{"http://user:#hunter2@a", "\"http://...@a\""},
      Row{"http://user:?hunter2@a", "\"http://...@a\""}, Row{"http://user:hunter2/x@a", "\"http://...@a\""},
      Row{"http://user:hunter2@x@a", "\"http://...@a\""}, Row{"http://user:hunter2\xC3\xA4@a", "\"http://...@a\""},
      Row{"http://user: hunter2@a", "\"http://...@a\""}, Row{"user:hunter2@a:5000", "\"...@a:5000\""},
      Row{"user:hunter2://x@a", "\"...@a\""}, Row{"https://user:[hunter2@a/p", "\"https://...@a/p\""},
      Row{"ftp://user:hunter2@a", "\"ftp://...@a\""});
  INFO(row.text);
  const auto uri = parse_uri(row.text);
  REQUIRE_FALSE(uri.has_value());
  CHECK(uri.error().code == mlflowha::Errc::invalid_endpoint);
  INFO(uri.error().message);
  CHECK(uri.error().message.find("hunter2") == std::string::npos);
  CHECK(uri.error().message.find(row.shown) != std::string::npos);
  CHECK(uri.error().message.find("MLFLOW_TRACKING_PASSWORD") != std::string::npos);
  // Alone or among others, wherever a comma of its own may cut it.
  for (const std::string& list : {row.text, "http://b:1," + row.text, row.text + ",http://b:0"}) {
    const auto endpoints = parse_endpoint_list(list);
    REQUIRE_FALSE(endpoints.has_value());
    INFO(endpoints.error().message);
    CHECK(endpoints.error().message.find("hunter2") == std::string::npos);
    CHECK(endpoints.error().message.find("MLFLOW_TRACKING_PASSWORD") != std::string::npos);
  }
}

TEST_CASE("halves of a password with a comma are not repeated", "[core][uri][secret]") {
  for (const std::string password :
       {"hunter2,hunter2", "hunter2,http://hunter2", "hunter2,hunter2://hunter2", "1,hunter2", "hunter2,", ",hunter2",
        "1,http://user:1/,hunter2", "hunter2,#,hunter2"}) {
    INFO(password);
    const auto list = parse_endpoint_list("http://user:" + password + "@a:5000,http://b:0");
    REQUIRE_FALSE(list.has_value());
    const std::string& message = list.error().message;
    INFO(message);
    CHECK(message.find("hunter2") == std::string::npos);
    CHECK(message.find("@a:5000\"") != std::string::npos);
    CHECK(message.find("MLFLOW_TRACKING_PASSWORD") != std::string::npos);
    CHECK(message.find("endpoint \"http://b:0\": port is \"0\", expected 1..65535") != std::string::npos);
  }
  const auto twice = parse_endpoint_list("http://user:1,http://user:1,x@a:5000");
  REQUIRE_FALSE(twice.has_value());
  CHECK(twice.error().message.find("user:1") == std::string::npos);
  // An '@' in a path prefix is none of that.
  CHECK(parse_endpoint_list("http://a/@x,http://b/@x")->at(1).base() == "http://b:80/@x");
}

TEST_CASE("an endpoint list keeps its order and lends the first scheme", "[core][uri]") {
  auto list = parse_endpoint_list(" http://a:5000 , b:5000,http://c:5000 ");
  REQUIRE(list.has_value());
  REQUIRE(list->size() == 3);
  CHECK((*list)[0].origin() == "http://a:5000");
  CHECK((*list)[1].origin() == "http://b:5000");
  CHECK((*list)[2].origin() == "http://c:5000");
  CHECK((*parse_endpoint_list("https://a,b"))[1].origin() == "https://b:443");
}

TEST_CASE("every fault of an endpoint list is named", "[core][uri]") {
  auto list = parse_endpoint_list("http://a:5000,,http://a:5000,https://b,http://c:0");
  REQUIRE_FALSE(list.has_value());
  const std::string& message = list.error().message;
  INFO(message);
  CHECK(message.find("item 2 is empty") != std::string::npos);
  CHECK(message.find("item 3: http://a:5000 is listed twice") != std::string::npos);
  CHECK(message.find("item 4: scheme https differs") != std::string::npos);
  CHECK(message.find("item 5: ") != std::string::npos);
  CHECK(parse_endpoint_list("  ").error().message.find("the list is empty") != std::string::npos);
}

TEST_CASE("percent encoding leaves only unreserved characters", "[core][uri]") {
  CHECK(mlflowha::percent_encode("aZ09-._~") == "aZ09-._~");
  CHECK(mlflowha::percent_encode("a b/c?d=%\xC3\xA4") == "a%20b%2Fc%3Fd%3D%25%C3%A4");
}
