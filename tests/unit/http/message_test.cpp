#include <mlflowha/http/message.hpp>
#include <mlflowha/http/transport.hpp>
#include <set>
#include <string>

#include "support/catch.hpp"

using namespace mlflowha;

TEST_CASE("methods have their names on the wire", "[http][message]") {
  CHECK(to_string(Method::get) == "GET");
  CHECK(to_string(Method::post) == "POST");
  CHECK(to_string(Method::put) == "PUT");
  CHECK(to_string(Method::patch) == "PATCH");
  CHECK(to_string(Method::del) == "DELETE");
}

TEST_CASE("a response finds its first header of a name", "[http][message]") {
  Response response;
  CHECK(response.header("a").empty());
  response.headers = {{"b", "1"}, {"a", "2"}, {"a", "3"}};
  CHECK(response.header("a") == "2");
  CHECK(response.header("A").empty());
}

TEST_CASE("every fault and every progress has a name of its own", "[http][message]") {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(TransportFault::bad_file); ++i) {
    names.insert(to_string(static_cast<TransportFault>(i)));
  }
  CHECK(names.size() == static_cast<std::size_t>(TransportFault::bad_file) + 1);
  CHECK(names.count("?") == 0);
  CHECK(to_string(Progress::not_sent) == "not sent");
  CHECK(to_string(Progress::sent) == "sent");
  CHECK(to_string(Progress::answered) == "answered");
}
