// Every fault of the language over real sockets, by FakeServer itself and by a FaultProxy in front of a FakeServer:
// both have to look alike to libcurl, and like FakeTransport's version of it
// (tests/unit/testing/fake_transport_test.cpp).

#include <mlflowha/testing/fake_server.hpp>
#include <mlflowha/testing/fault_proxy.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <variant>

#include "testing_support.hpp"

using namespace mlflowha::testing;
using namespace std::chrono_literals;
using mlflowha::Duration;
using mlflowha::Progress;
using mlflowha::Response;
using mlflowha::TransportFailure;
using mlflowha::TransportFault;
using mlflowha::TransportResult;
using namespace mlflowha_tests;

namespace {

/// A server with faults: alone, or behind a proxy that has them.
class Stand {
 public:
  Stand(bool proxied, const char* script) {
    const FaultScript faults = FaultScript::parse(script).value();
    if (proxied) {
      FaultProxyOptions options;
      options.faults = faults;
      proxy.emplace(server.endpoint(), options);
    } else {
      server.set_faults(faults);
    }
  }
  [[nodiscard]] mlflowha::Uri endpoint() const { return proxy ? proxy->endpoint() : server.endpoint(); }
  [[nodiscard]] std::uint16_t port() const { return endpoint().port; }
  [[nodiscard]] std::uint64_t runs() const { return server.backend()->counts().runs; }
  void set_faults(const char* script) {
    const FaultScript faults = FaultScript::parse(script).value();
    if (proxy)
      proxy->set_faults(faults);
    else
      server.set_faults(faults);
  }
  [[nodiscard]] std::vector<FaultCount> counts() const { return proxy ? proxy->fault_counts() : server.fault_counts(); }

  FakeServer server;
  std::optional<FaultProxy> proxy;
};

std::string outcome(const TransportResult& result) {
  if (const auto* response = std::get_if<Response>(&result)) return std::to_string(response->status);
  const auto& failure = std::get<TransportFailure>(result);
  return std::string(to_string(failure.fault)) + "/" + std::string(to_string(failure.progress));
}

std::string expected(TransportFault fault, Progress progress) {
  return std::string(to_string(fault)) + "/" + std::string(to_string(progress));
}

}  // namespace

TEST_CASE("faults over sockets: what libcurl sees and what was applied", "[testing][fault]") {
  struct Row {
    const char* script;
    std::string outcome;
    int applied;
    Duration at_least;
  };
  constexpr Duration total = 400ms;  // of the rows that wait for it; what else happens may take longer
  const Row rows[] = {
      {"", "200", 1, 0s},
      {"refuse", expected(TransportFault::connect_refused, Progress::not_sent), 0, 0s},
      {"connect_hang", expected(TransportFault::connect_timeout, Progress::not_sent), 0, total},
      {"black_hole", expected(TransportFault::timeout, Progress::sent), 0, total},
      {"reset", expected(TransportFault::connection_lost, Progress::sent), 0, 0s},
      {"drop_before", expected(TransportFault::connection_lost, Progress::sent), 0, 0s},
      {"apply_then_drop", expected(TransportFault::connection_lost, Progress::sent), 1, 0s},
      {"apply_late 1h", expected(TransportFault::connection_lost, Progress::sent), 0, 0s},
      {"apply_late 1h silent", expected(TransportFault::timeout, Progress::sent), 0, total},
      {"status 503", "503", 0, 0s},
      {"apply_then_status 504", "504", 1, 0s},
      {"garbage", expected(TransportFault::bad_http, Progress::sent), 1, 0s},
      {"truncate 10", expected(TransportFault::connection_lost, Progress::sent), 1, 0s},
      {"truncate 0", expected(TransportFault::connection_lost, Progress::sent), 1, 0s},
      {"truncate 1000000", "200", 1, 0s},
      {"wrong_length -5", "200", 1, 0s},
      {"wrong_length +10", expected(TransportFault::timeout, Progress::sent), 1, total},
      {"delay 50ms", "200", 1, 50ms},
      {"delay 1h", expected(TransportFault::timeout, Progress::sent), 1, total},
      {"delay 50ms and status 503", "503", 0, 50ms},
      {"drip 10B/s", expected(TransportFault::timeout, Progress::sent), 1, total},
      {"drip 10kB/s", "200", 1, 40ms},
      {"redirect http://elsewhere:1/", expected(TransportFault::redirect_refused, Progress::answered), 0, 0s},
      {"error RESOURCE_DOES_NOT_EXIST gone", "404", 0, 0s},
  };
  for (const bool proxied : {false, true}) {
    for (const Row& row : rows) {
      INFO((proxied ? "proxy: " : "server: ") << row.script);
      Stand stand(proxied, row.script);
      const auto start = std::chrono::steady_clock::now();
      const TransportResult result =
          attempt(stand.endpoint(), create_run_request(), row.at_least == total ? total : 10s);
      const auto taken = std::chrono::steady_clock::now() - start;
      CHECK(outcome(result) == row.outcome);
      CHECK(stand.runs() == static_cast<std::uint64_t>(row.applied));
      CHECK(taken >= row.at_least - 10ms);  // libcurl counts in milliseconds and may be early by a few
    }
  }
}

TEST_CASE("faults over sockets: the bytes", "[testing][fault]") {
  for (const bool proxied : {false, true}) {
    CAPTURE(proxied);
    Stand stand(proxied,
                "when nth 1 -> reset; when nth 1 -> drop_before; when nth 1 -> apply_then_drop; when nth 1 -> "
                "truncate 10; when nth 1 -> wrong_length -5; when nth 1 -> garbage");
    const auto ask = [&](RawClient& client) {
      client.send(raw_create_run());
      return client.read_until("\n}\n}", 2s);
    };
    RawClient reset(stand.port());
    CHECK(ask(reset).empty());
    CHECK(reset.error() == ECONNRESET);
    RawClient drop(stand.port());
    CHECK(ask(drop).empty());
    CHECK(drop.closed());
    CHECK(drop.error() == 0);
    CHECK(stand.runs() == 0);
    RawClient applied(stand.port());
    CHECK(ask(applied).empty());
    CHECK(applied.closed());
    CHECK(applied.error() == 0);
    CHECK(stand.runs() == 1);
    RawClient cut(stand.port());
    const std::string answer = ask(cut);
    const std::size_t body = answer.find("\r\n\r\n");
    REQUIRE(body != std::string::npos);
    CHECK(answer.size() - body - 4 == 10);
    CHECK_THAT(answer, !contains("Content-Length: 10\r\n"));
    RawClient wrong(stand.port());
    wrong.send(raw_create_run());
    const std::string whole = wrong.read_until("\"inputs\": {}\n  }\n}");
    const std::size_t head = whole.find("\r\n\r\n");
    REQUIRE(head != std::string::npos);
    CHECK_THAT(whole, contains("Content-Length: " + std::to_string(whole.size() - head - 4 - 5) + "\r\n"));
    RawClient garbage(stand.port());
    CHECK(ask(garbage).substr(0, 4) != "HTTP");
    for (const FaultCount& count : stand.counts()) CHECK(count.fired == 1);
  }
}

TEST_CASE("faults over sockets: applied late, after the client has gone", "[testing][fault]") {
  for (const bool proxied : {false, true}) {
    CAPTURE(proxied);
    Stand stand(proxied, "when nth 1 -> apply_late 150ms");
    const auto start = std::chrono::steady_clock::now();
    CHECK(outcome(attempt(stand.endpoint(), create_run_request())) ==
          expected(TransportFault::connection_lost, Progress::sent));
    CHECK(eventually([&] { return stand.runs() == 1; }));
    CHECK(std::chrono::steady_clock::now() - start >= 150ms);
    CHECK(outcome(attempt(stand.endpoint(), create_run_request())) == "200");
  }
}

TEST_CASE("faults over sockets: a listener that refuses for a while", "[testing][fault]") {
  for (const bool proxied : {false, true}) {
    for (const char* kind : {"refuse", "connect_hang"}) {
      CAPTURE(proxied, kind);
      Stand stand(proxied, ("when for 1s -> " + std::string(kind)).c_str());
      const TransportResult first = attempt(stand.endpoint(), create_run_request(), 100ms);
      CHECK(std::get<TransportFailure>(first).progress == Progress::not_sent);
      CHECK(eventually([&] { return outcome(attempt(stand.endpoint(), create_run_request(), 500ms)) == "200"; }));
      // A connection that is kept from before is no way around it.
      RawClient kept(stand.port());
      kept.send(raw_create_run());
      CHECK_THAT(kept.read_until("\"inputs\": {}\n  }\n}"), contains("200 OK"));
      const std::uint64_t runs = stand.runs();
      stand.set_faults(kind);
      kept.send(raw_create_run());
      const bool refuses = std::string(kind) == "refuse";
      CHECK(kept.read_until("HTTP", refuses ? 10s : 100ms).empty());
      CHECK(kept.closed() == refuses);
      CHECK(stand.runs() == runs);
      stand.set_faults("");
      CHECK(eventually([&] { return outcome(attempt(stand.endpoint(), create_run_request(), 500ms)) == "200"; }));
    }
  }
}

TEST_CASE("faults over sockets: single connections are refused by a reset", "[testing][fault]") {
  for (const bool proxied : {false, true}) {
    CAPTURE(proxied);
    Stand stand(proxied, "when connection 2 -> refuse");
    RawClient first(stand.port());
    first.send(raw_create_run());
    CHECK_THAT(first.read_until("\"inputs\""), contains("200 OK"));
    RawClient second(stand.port());
    second.send(raw_create_run());
    CHECK(second.read_all().empty());
    CHECK(second.error() == ECONNRESET);
    CHECK(stand.runs() == 1);
  }
}
