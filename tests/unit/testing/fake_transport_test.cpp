#include <mlflowha/testing/fake_transport.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha::testing;
using namespace std::chrono_literals;
using mlflowha::AttemptTimeouts;
using mlflowha::CancellationSource;
using mlflowha::Duration;
using mlflowha::Method;
using mlflowha::Progress;
using mlflowha::Request;
using mlflowha::Response;
using mlflowha::TimePoint;
using mlflowha::TransportFailure;
using mlflowha::TransportFault;
using mlflowha::TransportResult;
using mlflowha::Uri;
using mlflowha::WallTime;
using mlflowha_tests::contains;

namespace {

constexpr const char* a = "http://a:5000";
const mlflowha::ProbeOwner probe_owner = std::make_shared<const int>(0);

struct Net {
  Net() = default;
  explicit Net(FaultScript faults) { transport.add(a, backend, std::move(faults)); }

  TransportResult send(const Request& request, const char* endpoint = a, Duration total = 10s, Duration connect = 3s,
                       mlflowha::CancellationToken cancel = {}) {
    return transport.perform(mlflowha::parse_uri(endpoint).value(), request, {connect, total}, cancel);
  }
  TransportResult create(Duration total = 10s) { return send(create_run(), a, total); }

  static Request create_run() {
    Request request;
    request.method = Method::post;
    request.target = "/api/2.0/mlflow/runs/create";
    request.body = R"({"experiment_id": "0", "run_name": "r"})";
    return request;
  }
  static Request health() {
    Request request;
    request.target = "/health";
    return request;
  }
  [[nodiscard]] std::uint64_t runs() const { return backend->counts().runs; }

  std::shared_ptr<FakeClock> clock = std::make_shared<FakeClock>();
  std::shared_ptr<FakeBackend> backend = std::make_shared<FakeBackend>();
  FakeTransport transport{clock};
};

FaultScript script(const char* text) { return FaultScript::parse(text).value(); }

const Response& response(const TransportResult& result) {
  if (const auto* failure = std::get_if<TransportFailure>(&result))
    FAIL(to_string(failure->fault) << " " << failure->detail);
  return std::get<Response>(result);
}
TransportFailure failure(const TransportResult& result) {
  REQUIRE(std::holds_alternative<TransportFailure>(result));
  return std::get<TransportFailure>(result);
}
void check_failure(const TransportResult& result, TransportFault fault, Progress progress) {
  const TransportFailure found = failure(result);
  CHECK(to_string(found.fault) == to_string(fault));
  CHECK(to_string(found.progress) == to_string(progress));
}

}  // namespace

TEST_CASE("FakeTransport: carries requests to a backend and takes virtual time for it", "[testing][transport]") {
  Net net{FaultScript{}};
  const TimePoint start = net.clock->now();
  CHECK(response(net.create()).status == 200);
  CHECK(net.runs() == 1);
  const Duration taken = net.clock->now() - start;
  CHECK(taken >= 500us);
  CHECK(taken <= 2ms);
  CHECK(net.clock->sleeps().empty());
  const auto exchanges = net.transport.exchanges();
  REQUIRE(exchanges.size() == 1);
  CHECK(exchanges[0].endpoint == a);
  CHECK(exchanges[0].request.target == "/api/2.0/mlflow/runs/create");
  CHECK(exchanges[0].started == start);
  CHECK(exchanges[0].duration == taken);
  CHECK(exchanges[0].applied);
  CHECK_FALSE(exchanges[0].probe);
  CHECK(net.transport.count(a) == 1);
  net.transport.clear_exchanges();
  CHECK(net.transport.exchanges().empty());
}

TEST_CASE("FakeTransport: each fault looks to the client as it does on a socket", "[testing][transport]") {
  struct Row {
    const char* script;
    TransportFault fault;
    Progress progress;
    bool applied;
    Duration at_least;
  };
  const Row rows[] = {
      {"refuse", TransportFault::connect_refused, Progress::not_sent, false, 0s},
      {"connect_hang", TransportFault::connect_timeout, Progress::not_sent, false, 3s},
      {"black_hole", TransportFault::timeout, Progress::sent, false, 10s},
      {"reset", TransportFault::connection_lost, Progress::sent, false, 0s},
      {"drop_before", TransportFault::connection_lost, Progress::sent, false, 0s},
      {"apply_then_drop", TransportFault::connection_lost, Progress::sent, true, 0s},
      {"apply_late 1min", TransportFault::connection_lost, Progress::sent, false, 0s},
      {"apply_late 1min silent", TransportFault::timeout, Progress::sent, false, 10s},
      {"garbage", TransportFault::bad_http, Progress::sent, true, 0s},
      {"truncate 10", TransportFault::connection_lost, Progress::sent, true, 0s},
      {"wrong_length +10", TransportFault::timeout, Progress::sent, true, 10s},
      {"delay 11s", TransportFault::timeout, Progress::sent, true, 10s},
      {"delay 11s and reset", TransportFault::timeout, Progress::sent, false, 10s},
      {"drip 10B/s", TransportFault::timeout, Progress::sent, true, 10s},
      {"redirect http://elsewhere/", TransportFault::redirect_refused, Progress::answered, false, 0s},
  };
  for (const Row& row : rows) {
    INFO(row.script);
    Net net(script(row.script));
    const TimePoint start = net.clock->now();
    check_failure(net.create(), row.fault, row.progress);
    CHECK((net.runs() == 1) == row.applied);
    const Duration taken = net.clock->now() - start;
    CHECK(taken >= row.at_least);
    CHECK(taken <= row.at_least + 10ms);
  }
}

TEST_CASE("FakeTransport: faults that still give an answer", "[testing][transport]") {
  SECTION("another answer instead") {
    Net net(script("status 503 retry_after 2"));
    const Response answer = response(net.create());
    CHECK(answer.status == 503);
    CHECK(answer.header("retry-after") == "2");
    CHECK(answer.header("content-type") == "text/html");
    CHECK(net.runs() == 0);
  }
  SECTION("another answer after applying") {
    Net net(script("apply_then_status 504"));
    CHECK(response(net.create()).status == 504);
    CHECK(net.runs() == 1);
  }
  SECTION("an answer that is cut by a short length") {
    Net net(script("wrong_length -5"));
    const Response answer = response(net.create());
    CHECK(answer.body.substr(0, 1) == "{");
    CHECK(answer.body.back() != '}');
  }
  SECTION("late and slow, but in time") {
    Net net(script("delay 200ms; drip 10kB/s"));
    const TimePoint start = net.clock->now();
    CHECK(response(net.create()).status == 200);
    CHECK(net.clock->now() - start > 250ms);
    CHECK(net.clock->now() - start < 400ms);
  }
  SECTION("a limit that isn't reached") {
    Net net(script("truncate 1000000"));
    CHECK(response(net.create()).status == 200);
  }
}

TEST_CASE("FakeTransport: what is applied late appears when its time comes", "[testing][transport]") {
  Net net(script("when nth 1 -> apply_late 2s"));
  const TimePoint start = net.clock->now();
  check_failure(net.create(), TransportFault::connection_lost, Progress::sent);
  CHECK(net.runs() == 0);
  CHECK(response(net.create()).status == 200);
  CHECK(net.runs() == 1);
  net.clock->advance_to(start + 1999ms);
  CHECK(net.runs() == 1);
  net.clock->advance_to(start + 2s);
  CHECK(net.runs() == 2);
  CHECK(net.transport.exchanges()[0].fault == FaultKind::apply_late);
}

TEST_CASE("FakeTransport: a late request outlives the transport safely", "[testing][transport]") {
  auto clock = std::make_shared<FakeClock>();
  auto backend = std::make_shared<FakeBackend>();
  {
    FakeTransport transport(clock);
    transport.add(a, backend, script("apply_late 2s"));
    static_cast<void>(transport.perform(mlflowha::parse_uri(a).value(), Net::create_run(), {1s, 1s}, {}));
  }
  clock->advance(3s);
  CHECK(backend->counts().runs == 1);
}

TEST_CASE("FakeTransport: the faults' clock is the virtual one", "[testing][transport]") {
  Net net(script("when from 2s for 1s -> refuse"));
  CHECK(response(net.create()).status == 200);
  net.clock->advance(2s);
  check_failure(net.create(), TransportFault::connect_refused, Progress::not_sent);
  net.clock->advance(1s);
  CHECK(response(net.create()).status == 200);
  net.transport.set_faults(a, script("refuse"));
  check_failure(net.create(), TransportFault::connect_refused, Progress::not_sent);
  CHECK(net.transport.fault_counts(a).at(0).fired == 1);
}

TEST_CASE("FakeTransport: endpoints share a database or have their own", "[testing][transport]") {
  Net net{FaultScript{}};
  net.transport.add("http://b:5000", net.backend);
  BackendOptions other;
  other.seed = 2;
  net.transport.add("http://c:5000", std::make_shared<FakeBackend>(other));
  Request request;
  request.target = "/api/2.0/mlflow/experiments/get?experiment_id=0";
  const std::string first = response(net.send(request)).body;
  CHECK(response(net.send(request, "http://b:5000")).body == first);
  CHECK(response(net.send(request, "http://c:5000")).body != first);
  CHECK(net.transport.exchanges("http://c:5000").size() == 1);
}

TEST_CASE("FakeTransport: timeouts and cancellation", "[testing][transport]") {
  Net net(script("black_hole"));
  const TimePoint start = net.clock->now();
  SECTION("no time at all") { check_failure(net.create(0s), TransportFault::connect_timeout, Progress::not_sent); }
  SECTION("the shorter limit counts while connecting") {
    net.transport.set_faults(a, script("connect_hang"));
    check_failure(net.send(Net::create_run(), a, 1s, 3s), TransportFault::connect_timeout, Progress::not_sent);
    CHECK(net.clock->now() - start == 1s);
  }
  SECTION("cancelled before") {
    CancellationSource source;
    source.request_stop();
    check_failure(net.send(Net::create_run(), a, 10s, 3s, source.get_token()), TransportFault::cancelled,
                  Progress::not_sent);
    CHECK(net.transport.count(a) == 0);
  }
  SECTION("cancelled on the way") {
    CancellationSource source;
    net.clock->schedule(start + 4s, [&] { source.request_stop(); });
    check_failure(net.send(Net::create_run(), a, 10s, 3s, source.get_token()), TransportFault::cancelled,
                  Progress::sent);
    CHECK(net.clock->now() - start == 4s);
  }
  SECTION("forever") {
    check_failure(net.create(Duration::max()), TransportFault::timeout, Progress::sent);
    CHECK(net.clock->now() == TimePoint::max());
  }
}

TEST_CASE("FakeTransport: a response beyond the request's cap is refused", "[testing][transport]") {
  Net net{FaultScript{}};
  Request request = Net::create_run();
  request.max_response_bytes = 10;
  check_failure(net.send(request), TransportFault::too_large, Progress::sent);
}

TEST_CASE("FakeTransport: prepared answers", "[testing][transport]") {
  Net net;
  Response teapot;
  teapot.status = 418;
  Response ok;
  ok.status = 200;
  net.transport.reply(a, Method::get, "/health", teapot, 2);
  net.transport.reply(a, Method::get, "/health", ok, 0);
  net.transport.reply(a, Method::post, "/api/2.0/mlflow/runs/create",
                      TransportFailure{TransportFault::tls, Progress::not_sent, "bad certificate", 60});
  CHECK(net.transport.unused_replies().size() == 3);
  CHECK(response(net.send(Net::health())).status == 418);
  CHECK_THAT(net.transport.unused_replies().at(0), contains("GET http://a:5000/health: asked for 1 of 2 times"));
  CHECK(response(net.send(Net::health())).status == 418);
  CHECK(response(net.send(Net::health())).status == 200);
  CHECK(response(net.send(Net::health())).status == 200);
  check_failure(net.create(), TransportFault::tls, Progress::not_sent);
  CHECK(net.transport.unused_replies().empty());
}

TEST_CASE("FakeTransport: a request that nothing is there for says what comes near", "[testing][transport]") {
  Net net;
  SECTION("nothing at all") {
    const TransportFailure nothing = failure(net.send(Net::health()));
    CHECK(nothing.fault == TransportFault::resolve);
    CHECK_THAT(nothing.detail, contains("nothing for GET http://a:5000/health; it has no endpoint"));
  }
  SECTION("an unknown endpoint") {
    net.transport.add("http://b:5000", net.backend);
    CHECK_THAT(failure(net.send(Net::health())).detail, contains("there is an endpoint http://b:5000"));
  }
  SECTION("prepared answers that don't fit, the nearest first") {
    Response ok;
    ok.status = 200;
    net.transport.reply(a, Method::get, "/api/2.0/mlflow/experiments/get", ok);
    net.transport.reply(a, Method::get, "/api/2.0/mlflow/runs/create", ok);
    net.transport.reply("http://b:5000", Method::post, "/api/2.0/mlflow/runs/create", ok);
    net.transport.reply(a, Method::post, "/api/2.0/mlflow/runs/create", ok);
    CHECK(response(net.create()).status == 200);
    const TransportFailure missed = failure(net.create());
    CHECK(missed.fault == TransportFault::bad_request);
    CHECK(missed.progress == Progress::not_sent);
    INFO(missed.detail);
    const std::size_t used = missed.detail.find("used up (1 times)");
    const std::size_t method = missed.detail.find("another method");
    const std::size_t endpoint = missed.detail.find("another endpoint");
    const std::size_t target = missed.detail.find("another target");
    CHECK(used < method);
    CHECK(used < endpoint);
    CHECK(method < target);
    CHECK(target != std::string::npos);
    CHECK(net.transport.unmatched_requests().size() == 1);
  }
}

TEST_CASE("FakeTransport: handlers may throw and endpoints have to be addresses", "[testing][transport]") {
  Net net;
  net.transport.add(a, [](const Request&, WallTime) -> Response { throw std::runtime_error("broken handler"); });
  CHECK_THAT(failure(net.create()).detail, contains("broken handler"));
  CHECK_THROWS_AS(net.transport.add("nonsense", net.backend), mlflowha::Exception);
}

TEST_CASE("FakeTransport: what a handler throws is a failure, whatever it is", "[testing][transport]") {
  struct NoException {};
  Net net;
  net.transport.add(a, [](const Request&, WallTime) -> Response { throw NoException(); });
  const auto result = net.send(Net::health());
  check_failure(result, TransportFault::bad_request, Progress::not_sent);
  CHECK_THAT(std::get<TransportFailure>(result).detail, contains("no std::exception"));
  CHECK_FALSE(net.transport.start_probe(probe_owner, 1, mlflowha::parse_uri(a).value(), Net::health(), {1s, 1s}));
}

TEST_CASE("FakeTransport: times without end never come round", "[testing][transport]") {
  const auto fault = GENERATE(as<std::string>(), "delay", "delays", "drip");
  Net net;
  if (fault == "delay") {
    net.transport.add(a, net.backend, {when().delay(Duration::max())});
  } else if (fault == "delays") {
    net.transport.add(a, net.backend, {when().delay(Duration::max() - 1s), when().delay(Duration::max() - 1s)});
  } else {
    net.transport.add(a, net.backend, {when().delay(Duration::max() - 1s), when().drip(1e-300)});
  }
  check_failure(net.send(Net::health()), TransportFault::timeout, Progress::sent);
}

TEST_CASE("FakeTransport: what is applied at the end of time is never applied", "[testing][transport]") {
  Net net({when().delay(1s), when().apply_late(Duration::max())});
  check_failure(net.create(), TransportFault::connection_lost, Progress::sent);
  net.clock->advance(24h * 365);
  CHECK(net.runs() == 0);
}

TEST_CASE("FakeTransport: latencies that can't be drawn are refused", "[testing][transport]") {
  const auto clock = std::make_shared<FakeClock>();
  FakeTransportOptions options;
  options.min_latency = 50ms;  // and the default of max_latency, 2 ms
  try {
    const FakeTransport transport(clock, options);
    FAIL("accepted");
  } catch (const mlflowha::Exception& refused) {
    CHECK_THAT(refused.error().message, contains("min_latency is 50 ms, expected 0 .. max_latency, which is 2 ms"));
  }
  options.min_latency = -1ms;
  CHECK_THROWS_AS(FakeTransport(clock, options), mlflowha::Exception);
  CHECK_THROWS_AS(FakeTransport(nullptr), mlflowha::Exception);
}

TEST_CASE("FakeTransport: probes travel while the time passes", "[testing][transport]") {
  Net net(script("when path /health -> delay 100ms; when path /version -> black_hole"));
  const Uri uri = mlflowha::parse_uri(a).value();
  CHECK(net.transport.poll_probes(probe_owner).empty());
  Request version = Net::health();
  version.target = "/version";
  CHECK(net.transport.start_probe(probe_owner, 1, uri, version, {1s, 1s}));
  CHECK(net.transport.start_probe(probe_owner, 2, uri, Net::health(), {1s, 1s}));
  CHECK(net.transport.poll_probes(probe_owner).empty());
  net.clock->advance(200ms);
  auto done = net.transport.poll_probes(probe_owner);
  REQUIRE(done.size() == 1);
  CHECK(done[0].id == 2);
  CHECK(response(done[0].result).body == "OK");
  CHECK(done[0].unattended > 90ms);  // it was there, and nobody looked
  CHECK(done[0].unattended <= 100ms);
  net.clock->advance(1s);
  done = net.transport.poll_probes(probe_owner);
  REQUIRE(done.size() == 1);
  CHECK(done[0].id == 1);
  check_failure(done[0].result, TransportFault::timeout, Progress::sent);
  CHECK(net.transport.poll_probes(probe_owner).empty());
  CHECK(net.transport.exchanges().at(0).probe);
}

TEST_CASE("FakeTransport: the same seed repeats a simulation exactly", "[testing][transport]") {
  const auto play = [](std::uint64_t seed) {
    auto clock = std::make_shared<FakeClock>();
    FakeTransportOptions options;
    options.seed = seed;
    FakeTransport transport(clock, options);
    transport.add(a, std::make_shared<FakeBackend>(), script("when share 20% -> reset; when share 10% -> delay 1s"));
    std::string story;
    for (int i = 0; i < 200; ++i) {
      const auto result = transport.perform(mlflowha::parse_uri(a).value(), Net::create_run(), {1s, 1s}, {});
      story += std::holds_alternative<Response>(result) ? '.' : '#';
      story += std::to_string((clock->now() - TimePoint{}).count() % 997);
    }
    return story;
  };
  CHECK(play(1) == play(1));
  CHECK(play(1) != play(2));
}

TEST_CASE("FakeTransport: many threads at once", "[testing][transport]") {
  Net net(script("when share 10% -> apply_then_drop"));
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) answered += std::holds_alternative<Response>(net.create()) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(net.runs() == 400);
  CHECK(net.transport.count(a) == 400);
  CHECK(static_cast<std::uint64_t>(400 - answered) == net.transport.fault_counts(a).at(0).fired);
}
