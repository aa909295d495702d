// Runs that can't be delivered just now, beside others that can.

#include <mlflowha/logging/impl/log_hub.hpp>
#include <mlflowha/logging/impl/turns.hpp>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;
using mlflowha::detail::LogHub;
using mlflowha::detail::RunBuffer;

namespace {

RunStart start_of(const std::string& tag, const std::string& parent = {}) {
  RunStart start;
  start.experiment_id = "0";
  start.request_tag = tag;
  if (!parent.empty()) start.tags.push_back({.key = "mlflow.parentRunId", .value = parent});
  return start;
}

struct TurnsFixture : LoggerFixture {
  std::shared_ptr<LogHub> hub() { return LogHub::open(client, options).value(); }
  /// A run whose next record can't be delivered while the artifact store is away.
  std::shared_ptr<RunBuffer> add_stuck(LogHub& hub, const std::string& name) {
    auto buffer = hub.add("local-" + name, start_of(name), "").value();
    std::ofstream(directory / name) << "x";
    REQUIRE(buffer->put(hub.spool().take_artifact(directory / name, name, ArtifactKeep::copy, 100).value()) !=
            RunBuffer::Put::full);
    return buffer;
  }
  std::vector<std::shared_ptr<RunBuffer>> add_family(LogHub& hub, int children) {
    std::vector<std::shared_ptr<RunBuffer>> family{hub.add("local-parent", start_of("parent"), "").value()};
    for (int i = 0; i < children; ++i) {
      const std::string name = "child-" + std::to_string(i);
      family.push_back(hub.add("local-" + name, start_of(name, "local-parent"), "").value());
      REQUIRE(family.back()->put_metric("m", 1, 1, 1) == RunBuffer::Put::taken_first);
    }
    return family;
  }
  Deadline within(Duration time) const { return Deadline::after(cluster.clock->now(), time); }
  std::size_t requests() const { return cluster.transport->exchanges().size(); }
  void check_family(std::size_t size) const {
    const std::vector<StoredRun> runs = cluster.backend->runs();
    REQUIRE(runs.size() == size);
    std::string parent;
    for (const StoredRun& run : runs) {
      if (run.tags.count("mlflow.parentRunId") == 0) parent = run.run_id;
    }
    for (const StoredRun& run : runs) {
      if (run.run_id == parent) continue;
      CHECK(run.tags.at("mlflow.parentRunId") == parent);
      CHECK(run.metrics.at("m").size() == 1);
    }
  }
};

}  // namespace

TEST_CASE("runs that can't be delivered cost the others next to nothing", "[logging][run_logger]") {
  TurnsFixture f;
  const int stuck = GENERATE(1, 5);
  CAPTURE(stuck);
  f.set_faults({when().method(Method::put).status(503)});  // the artifact store is away, nothing else
  const auto hub = f.hub();
  std::vector<std::shared_ptr<RunBuffer>> buffers;
  for (int i = 0; i < stuck; ++i) buffers.push_back(f.add_stuck(*hub, "stuck-" + std::to_string(i)));
  const auto good = buffers.emplace_back(hub->add("local-good", start_of("good"), "").value());
  for (int i = 0; i < 100'000; ++i) REQUIRE(good->put_metric("m", i, 1, i) != RunBuffer::Put::full);
  // One call that fails takes 30 s, and each of those runs is asked for once before it is known.
  CHECK(hub->flush(good->run(), f.within(stuck * 30s + 10s)).value().drained);
  f.bring_up();
  for (const auto& buffer : buffers) CHECK(hub->flush(buffer->run(), f.within(40s)).value().drained);
  CHECK(f.diary->events == std::vector<std::string>{"degraded deadline_exceeded", "recovered"});
  for (const auto& buffer : buffers) hub->remove(buffer);
}

TEST_CASE("runs that fail take at most every other second of the sender", "[logging][turns]") {
  const auto clock = std::make_shared<FakeClock>();
  mlflowha::detail::Turns turns(clock, std::make_shared<SplitMixRng>(1));
  const std::vector<mlflowha::detail::Turn> all{{0, 1}, {0, 2}};  // the first fails after 30 s each, the second is fine
  Error error;
  error.code = Errc::deadline_exceeded;
  Duration lost{0};
  const TimePoint start = clock->now();
  while (clock->now() - start < 2h) {
    for (const mlflowha::detail::Turn& turn : turns.begin(all)) {
      const TimePoint began = clock->now();
      if (turn.run == 2) {
        clock->advance(100ms);
        turns.moved(turn);
        continue;
      }
      clock->advance(30s);
      lost += 30s;
      CHECK_FALSE(turns.failed(turn, error, began));
    }
    static_cast<void>(turns.next());
  }
  CHECK(lost > 40min);
  CHECK(lost < 62min);
}

TEST_CASE("a run that fails at once has a backoff of its own", "[logging][turns]") {
  const auto clock = std::make_shared<FakeClock>();
  mlflowha::detail::Turns turns(clock, std::make_shared<SplitMixRng>(1));
  const std::vector<mlflowha::detail::Turn> all{{0, 1}, {0, 2}};
  Error error;
  error.code = Errc::deadline_exceeded;
  int tries = 0;
  const TimePoint start = clock->now();
  while (clock->now() - start < 10min) {
    for (const mlflowha::detail::Turn& turn : turns.begin(all)) {
      if (turn.run == 1) {
        ++tries;
        CHECK_FALSE(turns.failed(turn, error, clock->now()));
      } else {
        clock->advance(100ms);
        turns.moved(turn);
      }
    }
    static_cast<void>(turns.next());
  }
  CHECK(tries > 35);  // each 16 s at the most
  CHECK(tries < 80);
  turns.hurry({0, 1});
  CHECK(turns.begin(all).size() == 2);
}

TEST_CASE("an outage is no request a run and round", "[logging][run_logger]") {
  TurnsFixture f;
  const auto hub = f.hub();
  std::vector<std::shared_ptr<RunBuffer>> buffers;
  for (int i = 0; i < 50; ++i) {
    buffers.push_back(hub->add("local-" + std::to_string(i), start_of(std::to_string(i)), "").value());
  }
  for (const auto& buffer : buffers) REQUIRE(hub->flush(buffer->run(), f.within(1min)).value().drained);
  for (const auto& buffer : buffers) REQUIRE(buffer->put_metric("m", 1, 1, 1) == RunBuffer::Put::taken_first);
  f.set_faults({when().status(503)});
  const auto count_calls = [&] {
    std::size_t calls = 0;
    for (const std::string& call : f.cluster.diary->calls) calls += call.starts_with("log_batch") ? 1U : 0U;
    return calls;
  };
  CHECK_FALSE(hub->flush(buffers[0]->run(), f.within(10min)).value().drained);
  CHECK(count_calls() > 5);
  CHECK(count_calls() < 40);  // 30 s a call, two a round
  f.bring_up();
  f.cluster.clock->advance(1min);
  const TimePoint back = f.cluster.clock->now();
  for (const auto& buffer : buffers) CHECK(hub->flush(buffer->run(), f.within(1min)).value().drained);
  CHECK(f.cluster.clock->now() - back < 5s);  // nobody waits on for what was the outage's doing
  CHECK(f.diary->events == std::vector<std::string>{"degraded deadline_exceeded", "recovered"});
  for (const auto& buffer : buffers) hub->remove(buffer);
}

TEST_CASE("children that were started offline don't hold up their parent", "[logging][run_logger]") {
  TurnsFixture f;
  const auto hub = f.hub();
  const auto family = f.add_family(*hub, 30);
  f.take_down();
  CHECK_FALSE(hub->flush(family[0]->run(), f.within(1s)).value().drained);
  f.bring_up();
  f.cluster.clock->advance(1min);
  const std::size_t before = f.requests();
  CHECK(hub->flush(family[0]->run(), f.within(5s)).value().drained);
  for (const auto& buffer : family) CHECK(hub->flush(buffer->run(), f.within(5s)).value().drained);
  CHECK(f.requests() - before < 31 * 4);
  f.check_family(31);
  for (const auto& buffer : family) hub->remove(buffer);
}

TEST_CASE("a replay delivers a parent and its children as soon as servers are back", "[logging][replay]") {
  TurnsFixture f;
  f.take_down();
  {
    const auto hub = f.hub();
    for (const auto& buffer : f.add_family(*hub, 30)) hub->remove(buffer);
  }
  f.cluster.clock->schedule(f.cluster.clock->now() + 5s, [&] { f.bring_up(); });
  ReplayOptions options;
  options.directory = f.options.directory;
  const TimePoint before = f.cluster.clock->now();
  CHECK(replay(f.cluster.client(), options).value().complete());
  CHECK(f.cluster.clock->now() - before < 45s);
  f.check_family(31);
}

TEST_CASE("a run that can't be delivered doesn't hold up a replay of the others", "[logging][replay]") {
  TurnsFixture f;
  f.take_down();
  {
    const auto hub = f.hub();
    const auto one = f.add_stuck(*hub, "one");
    const auto two = f.add_stuck(*hub, "two");
    const auto good = hub->add("local-good", start_of("good"), "").value();
    for (int i = 0; i < 100'000; ++i) REQUIRE(good->put_metric("m", i, 1, i) != RunBuffer::Put::full);
    for (const auto& buffer : {one, two, good}) hub->remove(buffer);
  }
  f.set_faults({when().method(Method::put).status(503)});
  ReplayOptions options;
  options.directory = f.options.directory;
  options.timeout = 80s;
  CHECK(replay(f.cluster.client(), options).value().waiting == 2);
  CHECK(f.cluster.backend->counts().points == 100'000);
  f.bring_up();
  CHECK(replay(f.cluster.client(), options).value().complete());
}

TEST_CASE("only runs with something to deliver are looked at", "[logging][spool]") {
  TurnsFixture f;
  SpoolOptions options;
  options.directory = f.options.directory;
  std::string path;
  std::vector<std::int64_t> runs;
  {
    const auto spool = Spool::create(options, f.cluster.clock, *f.client.config().options().rng).value();
    path = spool->path();
    for (int i = 0; i < 5; ++i) {
      const std::string name = std::to_string(i);
      runs.push_back(spool->add_run("local-" + name, start_of(name), i == 4 ? "id-4" : "").value());
    }
    CHECK(spool->active_runs().value() == std::vector<std::int64_t>{runs[0], runs[1], runs[2], runs[3]});
    REQUIRE(spool->append({{runs[1], RecordKind::values, 1, "x"}, {runs[2], RecordKind::values, 1, "x"}}));
    REQUIRE(spool->append({{runs[4], RecordKind::values, 1, "x"}, {runs[4], RecordKind::values, 1, "x"}}));
    for (const int i : {0, 1, 2}) REQUIRE(spool->set_run_server_id(runs[static_cast<std::size_t>(i)], "id"));
    CHECK(spool->active_runs().value() == std::vector<std::int64_t>{runs[1], runs[2], runs[3], runs[4]});
    REQUIRE(spool->refuse_run(runs[2], "no"));
    REQUIRE(spool->refuse_run(runs[3], "no"));
    CHECK(spool->active_runs().value() == std::vector<std::int64_t>{runs[1], runs[4]});
    CHECK(spool->find_run("local-3").value()->refused == "no");
    CHECK_FALSE(spool->find_run("local-9").value());
  }
  const auto spool = Spool::adopt(path, options, f.cluster.clock).value();
  CHECK(spool->active_runs().value() == std::vector<std::int64_t>{runs[1], runs[4]});
}
