// What one run, one record or one file may not do to everything else.

#include <mlflowha/client/impl/artifact_files.hpp>
#include <mlflowha/logging/impl/log_hub.hpp>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::string write(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}
std::size_t requests(const LoggerFixture& f, const std::string& path) {
  std::size_t count = 0;
  const std::vector<Exchange> exchanges = f.cluster.transport->exchanges();
  for (const Exchange& exchange : exchanges) {
    if (exchange.request.target.find(path) != std::string::npos) ++count;
  }
  return count;
}
RunStart start_of(const std::string& tag) {
  RunStart start;
  start.experiment_id = "0";
  start.request_tag = tag;
  return start;
}

}  // namespace

TEST_CASE("a run that can't be delivered doesn't hold up the others of its process", "[logging][run_logger]") {
  LoggerFixture f;
  f.set_faults({when().method(Method::put).status(503)});  // the artifact store is away, nothing else
  const auto hub = mlflowha::detail::LogHub::open(f.client, f.options).value();
  const auto stuck = hub->add("local-stuck", start_of("tag-1"), "").value();
  const auto good = hub->add("local-good", start_of("tag-2"), "").value();
  const RunArtifact file =
      hub->spool().take_artifact(write(f.directory / "w/a", "x"), "a", ArtifactKeep::copy, 100).value();
  REQUIRE(stuck->put(file) == mlflowha::detail::RunBuffer::Put::taken_first);
  for (int i = 0; i < 3000; ++i) REQUIRE(good->put_metric("m", i, 1, i) != mlflowha::detail::RunBuffer::Put::full);
  const TimePoint now = f.cluster.clock->now();
  CHECK(hub->flush(good->run(), Deadline::after(now, 10min)).value().drained);
  CHECK_FALSE(hub->flush(stuck->run(), Deadline::after(now, 11min)).value().drained);
  f.bring_up();
  CHECK(hub->flush(stuck->run(), Deadline::after(f.cluster.clock->now(), 10min)).value().drained);
  hub->remove(stuck);
  hub->remove(good);
}

TEST_CASE("more than a spool may hold at once goes through it in parts", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.max_spool_bytes = 60'000;
  RunLogger logger = f.start();
  for (int i = 0; i < 10'000; ++i) REQUIRE(logger.log_metric("m", i, i));
  CHECK(logger.commit().error().code == Errc::storage_full);
  REQUIRE(logger.log_metric("m", -1, 10'000));
  const CloseReport report = logger.close(30min).value();
  CHECK(report.drained);
  const auto points = f.only_run().metrics.at("m");
  REQUIRE(points.size() == 10'001);
  CHECK(f.only_run().status == "FINISHED");
}

TEST_CASE("a run that somebody deleted is refused as a whole", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  const std::string id = logger.flush(1min).value().run_id;
  REQUIRE(f.client.delete_run({.run_id = id}));
  for (int i = 0; i < 1000; ++i) REQUIRE(logger.log_metric("m", i, i));
  const std::size_t before = requests(f, "runs/log-batch");
  const CloseReport report = logger.close(1min).value();
  CHECK_FALSE(report.drained);
  CHECK(report.refused.find("'active' state") != std::string::npos);
  CHECK(report.quarantined == 0);
  CHECK(report.waiting == 1001);
  CHECK(requests(f, "runs/log-batch") == before + 1);
}

TEST_CASE("only a clash of keys says that a NaN is there already", "[logging][run_logger]") {
  // What MLflow 3 says to a point of a model that it doesn't have.
  const std::string foreign =
      R"({"error_code": "BAD_REQUEST", "message": "(sqlite3.IntegrityError) FOREIGN KEY constraint failed"})";
  LoggerFixture f(1);
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  f.set_faults({when().path("/runs/log-metric").status(400, foreign)});
  REQUIRE(logger.log_metrics({{.key = "m", .value = std::numeric_limits<double>::quiet_NaN(), .model_id = "m-gone"}}));
  const CloseReport report = logger.close(30min).value();
  CHECK(report.quarantined == 1);
}

TEST_CASE("who flushes often doesn't make a doubtful refusal a certain one", "[logging][run_logger]") {
  LoggerFixture f(1);
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  f.set_faults({when()
                    .path("/runs/log-batch")
                    .status(400, R"({"error_code": "BAD_REQUEST", "message": "a database of no known kind"})")});
  REQUIRE(logger.log_metric("m", 1));
  for (int i = 0; i < 20; ++i) CHECK_FALSE(logger.flush(100ms).value().drained);
  CHECK(logger.status().refused == 0);
  f.bring_up();
  CHECK(logger.close(1min).value().drained);
  CHECK(f.only_run().metrics.count("m") == 1);
}

TEST_CASE("a doubtful refusal counts only in a row", "[logging][run_logger]") {
  LoggerFixture f(1);
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  const bool end = GENERATE(false, true);
  if (end) REQUIRE(logger.end());
  if (!end) REQUIRE(logger.log_metric("m", 1));
  const auto answer = [&](int status, const char* text) {
    f.set_faults({when().path("/runs/").status(status, text)});
    CHECK_FALSE(logger.flush(100ms).value().drained);
    f.cluster.clock->advance(20s);
  };
  for (int i = 0; i < 12; ++i) {  // a database that fails in more than one way
    answer(400, R"({"error_code": "BAD_REQUEST", "message": "a database of no known kind"})");
    if (i % 4 == 3) answer(503, "<html>");
  }
  CHECK(logger.status().refused == 0);
  f.bring_up();
  CHECK(logger.close(1min).value().drained);
  CHECK(f.only_run().metrics.size() == (end ? 0 : 1));
  CHECK(f.only_run().status == "FINISHED");
}

TEST_CASE("a record that a server always fails over is set aside in the end", "[logging][run_logger]") {
  LoggerFixture f(1);
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  REQUIRE(logger.log_metric("m", 1));  // breakers open over it, which says nothing else
  f.set_faults({when().path("/runs/log-batch").error("INTERNAL_ERROR", "what it can't do")});
  const CloseReport report = logger.close(2h).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 1);
  CHECK(f.only_run().status == "FINISHED");
}

TEST_CASE("the memory for inputs is bounded, too", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.when_full = WhenFull::reject;
  f.options.max_buffer_bytes = std::size_t{8} << 20;  // one of eight shares is 1 MiB
  RunLogger logger = f.start();
  DatasetInput input;
  input.dataset.name = "d";
  input.dataset.digest = "x";
  input.dataset.source_type = "local";
  input.dataset.source = "s";
  input.dataset.profile = std::string(300'000, 'p');
  int taken = 0;
  while (taken < 20 && logger.log_input(input)) ++taken;
  CHECK(taken < 5);
  REQUIRE(logger.commit());
  REQUIRE(logger.log_input(input));
}

TEST_CASE("a closed logger leaves no book behind", "[logging][verify]") {
  LoggerFixture f;
  f.options.verify_on_close = true;
  f.take_down();
  const auto hub = mlflowha::detail::LogHub::open(f.client, f.options).value();
  const auto gone = hub->add("local-gone", start_of("tag-1"), "").value();
  const auto stays = hub->add("local-stays", start_of("tag-2"), "").value();
  REQUIRE(gone->put_metric("m", 1, 1, 1) == mlflowha::detail::RunBuffer::Put::taken_first);
  REQUIRE(stays->put_metric("m", 1, 1, 1) == mlflowha::detail::RunBuffer::Put::taken_first);
  hub->remove(gone);
  f.bring_up();
  const Deadline deadline = Deadline::after(f.cluster.clock->now(), 10min);
  const FlushReport report = hub->flush(gone->run(), deadline).value();
  REQUIRE(report.drained);
  REQUIRE(hub->flush(stays->run(), deadline).value().drained);
  CHECK(hub->verify(gone->run(), report.run_id, deadline).checked == 0);
  CHECK(hub->verify(stays->run(), report.run_id, deadline).checked == 1);
  hub->remove(stays);
}

TEST_CASE("a link in the place of a spool's folder leads nowhere", "[logging][artifacts][hostile]") {
  LoggerFixture f;
  f.take_down();
  std::string path;
  {
    RunLogger logger = f.start();
    REQUIRE(logger.log_metric("m", 1));
    path = logger.close(1s).value().spool;
  }
  const std::string precious = write(f.directory / "home/precious", "p");
  fs::create_directory_symlink(fs::absolute(f.directory / "home"), path.substr(0, path.size() - 6) + ".files");
  ReplayOptions replaying;
  replaying.directory = f.options.directory;
  replaying.dry_run = true;
  REQUIRE(replay(f.client, replaying));
  CHECK(fs::exists(precious));
  f.bring_up();
  replaying.dry_run = false;
  CHECK(replay(f.client, replaying).value().complete());
  CHECK(fs::exists(precious));
}

TEST_CASE("a row's end is on the disk before its file goes", "[logging][artifacts]") {
  LoggerFixture f;
  std::string path;
  {
    RunLogger logger = f.start();
    path = Spool::list(f.options.directory).value().at(0).path;
    REQUIRE(logger.log_artifact(write(f.directory / "w/a", "x")));
    REQUIRE(logger.flush(1min).value().drained);
    f.take_down();
    REQUIRE(logger.log_metric("m", 1));
    REQUIRE(logger.close(1s));
  }
  // Once for the artifact, once at the end.
  CHECK(ask_file(path, "SELECT value FROM meta WHERE key = 'syncs'") == "2");
}

TEST_CASE("a row with an unreadable time ends no process", "[logging][replay][hostile]") {
  LoggerFixture f;
  f.take_down();
  std::string path;
  {
    RunLogger logger = f.start();
    REQUIRE(logger.log_metric("m", 1));
    path = logger.close(1s).value().spool;
  }
  ask_file(path, "UPDATE records SET created_ms = 'yesterday'");
  f.bring_up();
  ReplayOptions replaying;
  replaying.directory = f.options.directory;
  CHECK(replay(f.client, replaying).value().complete());
  CHECK(f.only_run().status == "FINISHED");
}

TEST_CASE("a spool that was closed is free, whoever has inherited its lock", "[logging][spool]") {
  LoggerFixture f;
  SpoolOptions options;
  options.directory = f.options.directory;
  auto spool = Spool::create(options, f.cluster.clock, *f.client.config().options().rng).value();
  const std::string path = spool->path();
  const std::string lock = fs::absolute(path.substr(0, path.size() - 6) + ".lock").string();
  int copy = -1;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code failed;
    if (fs::read_symlink(entry.path(), failed).string() != lock) continue;
    copy = ::dup(std::stoi(entry.path().filename().string()));  // as a fork at the wrong moment would
    break;
  }
  REQUIRE(copy >= 0);
  CHECK(Spool::adopt(path, options, f.cluster.clock).error().code == Errc::conflict);
  spool->close();
  CHECK(Spool::adopt(path, options, f.cluster.clock));
  ::close(copy);
}

TEST_CASE("an artifact that can't have its place is refused, not tried for ever", "[client][artifacts]") {
  LoggerFixture f;
  const std::string root = "file://" + fs::absolute(f.directory / "root").string();
  const std::string file = write(f.directory / "w/a", "x");
  const std::string longest(250, 'n');
  CHECK(f.client.put_artifact(root, longest, file));  // the name itself is possible
  CHECK(f.client.fetch_artifact(root, longest, f.directory / ("w/" + longest)));
  CHECK(f.client.put_artifact(root, std::string(300, 'n'), file).error().code == Errc::invalid_argument);
  REQUIRE(f.client.put_artifact(root, "a", file));
  CHECK(f.client.put_artifact(root, "a/b", file).error().code == Errc::invalid_argument);
  REQUIRE(f.client.put_artifact(root, "d/b", file));
  CHECK(f.client.put_artifact(root, "d", file).error().code == Errc::invalid_argument);
}

TEST_CASE("what a killed process has left half copied is in nobody's way", "[client][artifacts]") {
  TemporaryDirectory directory;
  const std::string from = write(directory / "a", "x");
  const std::string to = directory / "b";
  const auto make = [&](std::uint64_t seed) {
    SplitMixRng names(seed);
    const mlflowha::detail::PartialFile made = mlflowha::detail::make_partial(to, 0600, names).value();
    ::close(made.fd);
    return made.path;
  };
  const std::string half = write(make(7), "half");
  // Another container's process may have our number and may have counted as far as we have: here, drawn the same.
  const std::string next = make(7);
  CHECK(next != half);
  CHECK(fs::file_size(next) == 0);
  CHECK(fs::file_size(half) == 4);
  CHECK(mlflowha::detail::copy_file(from, to, 0600));
}

TEST_CASE("two processes that download the same file write to files of their own", "[client][artifacts]") {
  Cluster cluster(1);
  TemporaryDirectory directory;
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  REQUIRE(client.log_artifact(run, write(directory / "m.bin", "all of it")));
  const std::string to = directory / "out/m.bin";
  std::filesystem::create_directory(directory / "out");
  const auto asked_for = [&] {
    std::vector<std::string> files;
    for (const Exchange& exchange : cluster.transport->exchanges()) {
      if (!exchange.request.save_to.empty()) files.push_back(exchange.request.save_to);
    }
    return files;
  };
  REQUIRE(client.download_artifact(run, "m.bin", to));
  REQUIRE(client.download_artifact(run, "m.bin", to));
  const std::vector<std::string> parts = asked_for();
  REQUIRE(parts.size() == 2);
  CHECK(parts[0] != parts[1]);
  for (const std::string& part : parts) {  // 64 random bits and no count: "<to>.0123456789abcdef.part"
    REQUIRE(part.size() == to.size() + 1 + 16 + 5);
    CHECK(part.substr(to.size() + 1, 16).find_first_not_of("0123456789abcdef") == std::string::npos);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(directory / "out"), {}) == 1);
  // Nothing is asked for where it couldn't be kept.
  cluster.transport->clear_exchanges();
  CHECK(client.download_artifact(run, "m.bin", directory / "none/m.bin").error().code == Errc::storage_failed);
  CHECK(asked_for().empty());
}

TEST_CASE("a logger that is dropped while its spool is full loses nothing", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.max_spool_bytes = 20'000;
  f.take_down();
  const auto hub = mlflowha::detail::LogHub::open(f.client, f.options).value();
  const auto gone = hub->add("local-gone", start_of("tag-1"), "").value();
  const auto stays = hub->add("local-stays", start_of("tag-2"), "").value();
  using Put = mlflowha::detail::RunBuffer::Put;
  int step = 0;
  do {
    REQUIRE(stays->put_metric("m", step, 1, step) == Put::taken_first);
    ++step;
  } while (hub->commit());
  REQUIRE(gone->put_metric("m", 1, 1, 1) == Put::taken_first);  // behind what the spool didn't take
  hub->remove(gone);
  f.bring_up();
  const Deadline deadline = Deadline::after(f.cluster.clock->now(), 10min);
  CHECK(hub->flush(stays->run(), deadline).value().drained);
  CHECK(hub->flush(gone->run(), deadline).value().drained);
  CHECK(f.cluster.backend->counts().points == static_cast<std::uint64_t>(step) + 1);
  hub->remove(stays);
}

TEST_CASE("artifacts that a server refuses count for the cap", "[logging][artifacts]") {
  LoggerFixture f;
  CreateExperiment create;
  create.name = "bucket";
  create.artifact_location = "s3://bucket/x";
  REQUIRE(f.client.create_experiment(create));
  f.options.experiment = "bucket";
  f.options.max_spool_bytes = 100'000;
  RunLogger logger = f.start();
  const std::string file = write(f.directory / "w/a", std::string(30'000, 'x'));
  int taken = 0;
  while (taken < 10 && logger.log_artifact(file)) {
    ++taken;
    REQUIRE(logger.flush(1min).value().drained);
  }
  CHECK(taken == 3);
  CHECK(logger.log_artifact(file).error().code == Errc::storage_full);
  REQUIRE(logger.log_metric("m", 1));  // all else goes on
  const CloseReport report = logger.close(1min).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 3);
  SpoolOptions options;
  options.directory = f.options.directory;
  options.max_bytes = 100'000;
  const auto spool = Spool::adopt(report.spool, options, f.cluster.clock).value();
  CHECK(spool->take_artifact(file, "a", ArtifactKeep::copy, 50'000).error().code == Errc::storage_full);
}
