#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/logging.hpp>
#include <mlflowha/testing/fake_server.hpp>
#include <mlflowha/testing/fault_proxy.hpp>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using mlflowha_tests::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  TemporaryDirectory directory;
  std::shared_ptr<FakeBackend> backend = std::make_shared<FakeBackend>();
  FakeServer one{backend};
  FakeServer two{backend};
  RunLoggerOptions options;

  Fixture() {
    options.directory = directory.path();
    options.linger = 20ms;
  }
  Client client() const {
    ClientOptions client;
    client.endpoints = {one.url(), two.url()};
    return Client::create(client).value();
  }
};

std::size_t stored_points(const FakeBackend& backend) {
  std::size_t points = 0;
  const std::vector<StoredRun> runs = backend.runs();
  for (const StoredRun& run : runs) {
    for (const auto& [key, stored] : run.metrics) points += stored.size();
  }
  return points;
}

}  // namespace

TEST_CASE("many threads log into one run", "[thread][logging]") {
  Fixture f;
  f.options.durability = GENERATE(Durability::interval, Durability::each, Durability::none);
  const int each = f.options.durability == Durability::each ? 50 : 2000;
  auto logger = RunLogger::start(f.client(), f.options).value();
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        if (!logger.log_metric("t" + std::to_string(t), i, i)) ++failures;
        if (i % 25 == 0 && !logger.set_tag("t" + std::to_string(t), std::to_string(i))) ++failures;
        if (i % 500 == 0) static_cast<void>(logger.status());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  const CloseReport report = logger.close(30s).value();
  CHECK(report.drained);
  CHECK(stored_points(*f.backend) == static_cast<std::size_t>(4 * each));
  const StoredRun run = f.backend->runs().at(0);
  for (int t = 0; t < 4; ++t) CHECK(run.tags.at("t" + std::to_string(t)) == std::to_string((each - 1) / 25 * 25));
  CHECK(std::filesystem::is_empty(f.directory.path()));
}

TEST_CASE("a point that nobody follows arrives within the linger", "[thread][logging]") {
  Fixture f;
  f.options.linger = 100ms;
  auto logger = RunLogger::start(f.client(), f.options).value();
  REQUIRE(logger.log_metric("m", 1));
  const auto before = std::chrono::steady_clock::now();
  while (stored_points(*f.backend) == 0 && std::chrono::steady_clock::now() - before < 10s) std::this_thread::yield();
  CHECK(stored_points(*f.backend) == 1);
  REQUIRE(logger.close(10s).value().drained);
}

TEST_CASE("what is taken while another thread closes is delivered, the rest is refused", "[thread][logging]") {
  Fixture f;
  auto logger = RunLogger::start(f.client(), f.options).value();
  std::atomic<std::uint64_t> taken{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      // At full speed first, then slowly for a minute: close() may be late, but must come.
      constexpr int fast = 50'000;
      for (int i = 0; i < fast + 60'000; ++i) {
        if (!logger.log_metric("t" + std::to_string(t), i, i)) {
          ++refused;
          break;
        }
        ++taken;
        if (i % 50 == 0) std::this_thread::yield();
        if (i >= fast) std::this_thread::sleep_for(1ms);
      }
    });
  }
  while (taken < 500) std::this_thread::yield();
  const CloseReport report = logger.close(60s).value();
  for (std::thread& thread : threads) thread.join();
  CHECK(report.drained);
  CHECK(refused == 2);
  CHECK(stored_points(*f.backend) == taken);
}

TEST_CASE("who waits for room goes on when there is some, and close() never waits for it", "[thread][logging]") {
  Fixture f;
  f.options.when_full = WhenFull::block;
  f.options.durability = GENERATE(Durability::interval, Durability::each);
  f.options.max_buffer_bytes = 65'536;
  f.options.max_spool_bytes = 100'000;
  FaultProxy proxy(parse_uri(f.one.url()).value());
  proxy.set_faults({when().refuse()});
  ClientOptions reached;
  reached.endpoints = {proxy.url()};
  auto logger = RunLogger::start(Client::create(reached).value(), f.options).value();
  std::atomic<std::uint64_t> taken{0};
  std::atomic<bool> enough{false};
  Result<void> last;
  std::thread thread([&] {
    const std::string value(1000, 'x');
    while (!enough && (last = logger.set_tag("t" + std::to_string(taken), value))) ++taken;
  });
  // Until it stands still: full, and waiting.
  for (std::uint64_t before = 0, still = 0; still < 5; before = taken) {
    std::this_thread::sleep_for(100ms);
    still = taken == before && taken != 0 ? still + 1 : 0;
  }
  SECTION("close() has a deadline") {
    const auto began = std::chrono::steady_clock::now();
    const Result<CloseReport> report = logger.close(1s);
    CHECK(std::chrono::steady_clock::now() - began < 30s);
    if (!report) CHECK(report.error().code == Errc::storage_full);
  }
  SECTION("there is room again") {
    const std::uint64_t before = taken;
    proxy.set_faults({});
    for (int i = 0; i < 300 && taken == before; ++i) std::this_thread::sleep_for(100ms);
    CHECK(taken > before);
  }
  proxy.set_faults({});  // lets it go on, and end
  enough = true;
  thread.join();
  if (!last) CHECK(last.error().code == Errc::cancelled);
  if (const Result<CloseReport> report = logger.close(60s)) {
    CHECK(report->drained);
  } else {  // the close() before was the last: what it left is in the spool
    ReplayOptions options;
    options.directory = f.options.directory;
    CHECK(replay(Client::create(reached).value(), options).value().complete());
  }
  CHECK(f.backend->runs().at(0).tags.size() >= taken);
}

TEST_CASE("two loggers in one directory share a spool", "[thread][logging]") {
  Fixture f;
  const Client client = f.client();
  auto first = RunLogger::start(client, f.options).value();
  auto second = RunLogger::start(client, f.options).value();
  CHECK(Spool::list(f.directory.path()).value().size() == 1);
  REQUIRE(first.log_metric("m", 1));
  REQUIRE(second.log_metric("m", 2));
  REQUIRE(first.close(10s).value().drained);
  CHECK(Spool::list(f.directory.path()).value().size() == 1);
  REQUIRE(second.log_metric("m", 3, 1));
  REQUIRE(second.close(10s).value().drained);
  CHECK(std::filesystem::is_empty(f.directory.path()));
  CHECK(stored_points(*f.backend) == 3);
  auto third = RunLogger::start(client, f.options).value();  // the hub before is gone
  REQUIRE(third.log_metric("m", 1));
  REQUIRE(third.close(10s).value().drained);
}

TEST_CASE("loggers in one directory that are to differ do", "[thread][logging]") {
  struct Diary final : LoggerObserver {
    std::atomic<int> degraded{0};
    void on_degraded(const Error&) noexcept override { ++degraded; }
  };
  Fixture f;
  ClientOptions impatient;
  impatient.endpoints = {f.one.url(), f.two.url()};
  impatient.timeouts.connect = 50ms;
  impatient.timeouts.attempt = impatient.timeouts.call = 100ms;
  const Client client = Client::create(impatient).value();
  f.one.stop();
  f.two.stop();
  const auto first_diary = std::make_shared<Diary>();
  const auto second_diary = std::make_shared<Diary>();
  f.options.observer = first_diary;
  auto first = RunLogger::start(client, f.options).value();
  f.options.observer = second_diary;
  auto second = RunLogger::start(client, f.options).value();
  f.options.observer.reset();
  f.options.max_spool_bytes = 1000;
  auto third = RunLogger::start(client, f.options).value();
  REQUIRE(first.log_metric("m", 1));
  REQUIRE(second.log_metric("m", 2));
  REQUIRE(third.set_tag("t", std::string(2000, 'x')));
  for (int i = 0; i < 100 && (first_diary->degraded == 0 || second_diary->degraded == 0); ++i) {
    CHECK_FALSE(first.flush(100ms).value().drained);
    CHECK_FALSE(second.flush(100ms).value().drained);
  }
  const auto full = third.flush(100ms);
  REQUIRE_FALSE(full);
  CHECK(full.error().code == Errc::storage_full);
  CHECK(first_diary->degraded == 1);
  CHECK(second_diary->degraded == 1);
}

TEST_CASE("close() keeps its deadline with a server that is silent", "[thread][logging]") {
  Fixture f;
  f.one.pause();
  f.two.pause();
  auto logger = RunLogger::start(f.client(), f.options).value();
  REQUIRE(logger.log_metric("m", 1));
  const auto before = std::chrono::steady_clock::now();
  const CloseReport report = logger.close(300ms).value();
  CHECK(std::chrono::steady_clock::now() - before < 3s);
  CHECK_FALSE(report.drained);
  CHECK(report.waiting == 2);
  f.one.resume();
  f.two.resume();
  ReplayOptions replaying;
  replaying.directory = f.directory.path();
  CHECK(replay(f.client(), replaying).value().complete());
  CHECK(stored_points(*f.backend) == 1);
}

TEST_CASE("many threads log files into one run", "[thread][logging]") {
  Fixture f;
  f.options.durability = GENERATE(Durability::interval, Durability::each, Durability::none);
  f.options.verify_on_close = true;
  f.options.linger = 1ms;
  const TemporaryDirectory files;
  auto logger = RunLogger::start(f.client(), f.options).value();
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        const std::string path = files / (std::to_string(t) + "-" + std::to_string(i));
        std::ofstream(path) << t << i;
        if (!logger.log_artifact(path, "d") || !logger.log_metric("m", i, i)) ++failures;
        std::filesystem::remove(path);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const CloseReport report = logger.close(60s).value();
  CHECK(failures == 0);
  CHECK(report.drained);
  REQUIRE(report.verified);
  CHECK(report.verified->done);
  CHECK(report.verified->different == 0);
  CHECK(f.client().list_artifacts({.run_id = report.run_id, .path = "d"}).value().files.size() == 20);
  CHECK(std::filesystem::is_empty(f.directory.path()));
}
