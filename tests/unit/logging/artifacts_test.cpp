#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/logging/impl/sha256.hpp>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
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
std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> files;
  if (!fs::exists(directory)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}
/// Those of the spool's folder.
std::vector<std::string> kept_in(const std::string& directory) {
  std::vector<std::string> files = files_in(directory);
  std::erase_if(files, [](const std::string& path) { return path.find(".files/") == std::string::npos; });
  return files;
}
std::string artifact(const LoggerFixture& f, const std::string& path) {
  return f.client.get_artifact({.run_id = f.only_run().run_id, .path = path}).value();
}
ReplayReport replay_all(const LoggerFixture& f, bool dry = false) {
  ReplayOptions options;
  options.directory = f.options.directory;
  options.dry_run = dry;
  return replay(f.client, options).value();
}

}  // namespace

TEST_CASE("an artifact arrives as it was when it was logged, in its turn", "[logging][artifacts]") {
  for (const Durability durability : {Durability::none, Durability::interval, Durability::each}) {
    LoggerFixture f;
    f.options.durability = durability;
    RunLogger logger = f.start();
    const std::string path = write(f.directory / "w/model.pt", "first");
    REQUIRE(logger.set_tag("before", "1"));
    REQUIRE(logger.log_artifact(path));
    REQUIRE(logger.set_tag("after", "1"));
    write(path, "second");
    REQUIRE(logger.log_artifact(path, "later"));
    fs::remove(path);
    REQUIRE(logger.flush(1min).value().drained);
    CHECK(kept_in(f.options.directory).empty());  // a copy goes with its acknowledgement, not with the spool
    const CloseReport report = logger.close(1min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 0);
    CHECK(artifact(f, "model.pt") == "first");
    CHECK(artifact(f, "later/model.pt") == "second");
    CHECK(files_in(f.options.directory).empty());

    std::string order;
    const std::vector<Exchange> exchanges = f.cluster.transport->exchanges();
    for (const Exchange& exchange : exchanges) {
      if (exchange.request.method == Method::put) order += 'a';
      if (exchange.request.body.find("\"before\"") != std::string::npos) order += 'b';
      if (exchange.request.body.find("\"after\"") != std::string::npos) order += 'c';
      if (exchange.request.body.find("FINISHED") != std::string::npos) order += 'e';
    }
    CHECK(order == "bacae");
  }
}

TEST_CASE("a directory is logged as a whole", "[logging][artifacts]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  write(f.directory / "d/a.txt", "a");
  write(f.directory / "d/sub/b.txt", "b");
  REQUIRE(logger.log_artifacts(f.directory / "d", "all"));
  REQUIRE(logger.close(1min).value().drained);
  CHECK(artifact(f, "all/a.txt") == "a");
  CHECK(artifact(f, "all/sub/b.txt") == "b");
}

TEST_CASE("artifacts wait in the spool, private and whole, until somebody replays them", "[logging][artifacts]") {
  LoggerFixture f;
  f.options.keep_artifacts = GENERATE(ArtifactKeep::copy, ArtifactKeep::link);
  f.take_down();
  const std::string path = write(f.directory / "w/model.pt", "0123456789");
  {
    RunLogger logger = f.start();
    REQUIRE(logger.log_artifact(path));
    REQUIRE(logger.log_artifact(path, "again"));
    const CloseReport report = logger.close(1s).value();
    CHECK(report.waiting == 3);
  }
  const std::vector<std::string> kept = kept_in(f.options.directory);
  REQUIRE(kept.size() == 2);
  const bool linked = f.options.keep_artifacts == ArtifactKeep::link;
  CHECK(fs::equivalent(kept[0], path) == linked);
  struct ::stat about{};
  REQUIRE(::stat(fs::path(kept[0]).parent_path().c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0700U);
  REQUIRE(::stat(kept[0].c_str(), &about) == 0);
  if (!linked) CHECK((about.st_mode & 0777U) == 0600U);

  const ReplayReport dry = replay_all(f, true);
  REQUIRE(dry.spools.size() == 1);
  CHECK(dry.spools[0].artifacts == 2);
  CHECK(dry.spools[0].artifact_bytes == 20);
  CHECK_THAT(to_json(dry), contains("\"artifact_bytes_waiting\": 20"));
  CHECK(kept_in(f.options.directory).size() == 2);
  f.bring_up();
  const ReplayReport report = replay_all(f);
  INFO(to_json(report));
  CHECK(report.complete());
  CHECK(report.delivered == 3);
  CHECK(artifact(f, "model.pt") == "0123456789");
  CHECK(artifact(f, "again/model.pt") == "0123456789");
  CHECK(files_in(f.options.directory).empty());
  CHECK(fs::exists(path));
}

TEST_CASE("a file that isn't what was logged is put aside with the reason, and the rest is delivered",
          "[logging][artifacts]") {
  LoggerFixture f;
  f.options.keep_artifacts = ArtifactKeep::link;
  f.take_down();
  const std::string path = write(f.directory / "w/model.pt", "0123456789");
  {
    RunLogger logger = f.start();
    REQUIRE(logger.log_artifact(path));
    REQUIRE(logger.set_tag("t", "1"));
    REQUIRE(logger.close(1s));
  }
  const std::vector<std::string> kept = kept_in(f.options.directory);
  REQUIRE(kept.size() == 1);
  std::string words;
  SECTION("overwritten in place, with as many bytes") {
    write(path, "9876543210");
    words = "is not what was logged";
  }
  SECTION("replaced by rename, which a link doesn't mind") {
    fs::rename(write(f.directory / "w/other", "9876543210"), path);
  }
  SECTION("gone") {
    fs::remove(kept[0]);
    words = "is gone";
  }
  SECTION("cut") {
    fs::resize_file(kept[0], 3);
    words = "it has 3 bytes";
  }
  f.bring_up();
  const ReplayReport report = replay_all(f);
  INFO(to_json(report));
  CHECK(f.only_run().tags.at("t") == "1");
  CHECK(f.only_run().status == "FINISHED");
  if (words.empty()) {
    CHECK(report.complete());
    CHECK(artifact(f, "model.pt") == "0123456789");
    return;
  }
  REQUIRE(report.spools.size() == 1);
  CHECK(report.spools[0].quarantined == 1);
  CHECK(report.spools[0].waiting == 0);
  const auto spool = Spool::adopt(report.spools[0].path, {.directory = f.options.directory}, f.cluster.clock).value();
  const auto quarantine = spool->quarantine().value();
  REQUIRE(quarantine.size() == 1);
  CHECK_THAT(quarantine[0].reason, contains(words));
  CHECK(kept_in(f.options.directory).size() == (words == "is gone" ? 0U : 1U));  // for people to look at
}

TEST_CASE("a run whose artifacts are kept elsewhere gets everything else", "[logging][artifacts]") {
  LoggerFixture f;
  CreateExperiment create;
  create.name = "bucket";
  create.artifact_location = "s3://bucket/x";
  REQUIRE(f.client.create_experiment(create));
  f.options.experiment = "bucket";
  RunLogger logger = f.start();
  REQUIRE(logger.log_artifact(write(f.directory / "w/a", "x")));
  REQUIRE(logger.log_metric("m", 1));
  const CloseReport report = logger.close(1min).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 1);
  CHECK_FALSE(report.spool.empty());
  CHECK(f.only_run().metrics.size() == 1);
  CHECK_THAT(f.diary->events.back(), contains("refused 1"));
  CHECK_THAT(report.last_error.value().message, contains("\"s3\""));
}

TEST_CASE("a 404 for an upload isn't taken for a run that is gone", "[logging][artifacts]") {
  LoggerFixture f(1);
  RunLogger logger = f.start();
  f.set_faults({when().method(Method::put).status(404, "{\"error_code\": \"RESOURCE_DOES_NOT_EXIST\"}")});
  REQUIRE(logger.log_artifact(write(f.directory / "w/a", "x")));
  REQUIRE(logger.log_metric("m", 1));
  const FlushReport waiting = logger.flush(5s).value();
  CHECK_FALSE(waiting.drained);
  CHECK(waiting.refused.empty());
  SECTION("for a while") {
    f.bring_up();
    CHECK(logger.close(5min).value().drained);
    CHECK(artifact(f, "a") == "x");
  }
  SECTION("for ever, which is believed in the end") {
    const CloseReport report = logger.close(30min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 1);
    CHECK(report.refused.empty());
    CHECK(f.only_run().metrics.size() == 1);
    CHECK(f.only_run().status == "FINISHED");
  }
}

TEST_CASE("what can't be taken is refused, and leaves nothing behind", "[logging][artifacts]") {
  LoggerFixture f;
  f.options.keep_artifacts = GENERATE(ArtifactKeep::copy, ArtifactKeep::link);
  f.options.max_artifact_bytes = 1000;
  f.options.max_spool_bytes = 3900;
  f.take_down();
  RunLogger logger = f.start();
  const auto fails = [&](const Result<void>& result, Errc code, const std::string& words) {
    REQUIRE_FALSE(result);
    CHECK(result.error().code == code);
    CHECK_THAT(result.error().message, contains(words));
  };
  fails(logger.log_artifact(f.directory / "none"), Errc::storage_failed, "none");
  fails(logger.log_artifact(f.directory.path()), Errc::storage_failed, "is a directory");
  fails(logger.log_artifact(write(f.directory / "w/a%41", "x")), Errc::invalid_argument, "hexadecimal");
  fails(logger.log_artifact(write(f.directory / "w/big", std::string(1001, 'x'))), Errc::storage_full,
        "max_artifact_bytes");
  const std::string path = write(f.directory / "w/file", std::string(1000, 'x'));
  for (int i = 0; i < 3; ++i) REQUIRE(logger.log_artifact(path, std::to_string(i)));  // not even in a row yet
  fails(logger.log_artifact(path, "3"), Errc::storage_full, "SpoolOptions::max_bytes");
  CHECK(kept_in(f.options.directory).size() == 3);
  REQUIRE(logger.commit());
  fails(logger.log_artifact(path, "3"), Errc::storage_full, "SpoolOptions::max_bytes");
  fs::remove(f.directory / "w/a%41");
  write(f.directory / "w/sub/small", "x");
  fails(logger.log_artifacts(f.directory / "w"), Errc::storage_full, "0 of 3 files taken; big");
  f.bring_up();
  REQUIRE(logger.flush(5min).value().drained);
  REQUIRE(logger.log_artifact(path, "3"));  // there is room again
  REQUIRE(logger.close(5min).value().drained);
  CHECK(artifact(f, "3/file").size() == 1000);
  CHECK(files_in(f.options.directory).empty());
  fails(logger.log_artifact(path), Errc::cancelled, "closed");
}

TEST_CASE("files that no row knows are cleaned up by who adopts the spool", "[logging][artifacts]") {
  LoggerFixture f;
  f.take_down();
  {
    RunLogger logger = f.start();
    REQUIRE(logger.log_artifact(write(f.directory / "w/a", "x")));
    REQUIRE(logger.close(1s));
  }
  const std::vector<std::string> kept = kept_in(f.options.directory);
  REQUIRE(kept.size() == 1);
  const std::string folder = fs::path(kept[0]).parent_path().string();
  write(folder + "/77", "taken, and then the process died");
  write(folder + "/78.123-4.part", "half of it");
  CHECK(replay_all(f, true).spools.at(0).artifacts == 1);
  CHECK(kept_in(f.options.directory).size() == 3);  // a dry run changes nothing
  SpoolOptions options;
  options.directory = f.options.directory;
  REQUIRE(Spool::adopt(Spool::list(options.directory).value().at(0).path, options, f.cluster.clock));
  CHECK(kept_in(f.options.directory) == kept);
  f.bring_up();
  CHECK(replay_all(f).complete());
  CHECK(files_in(f.options.directory).empty());
}

TEST_CASE("a record can't lead out of the spool's folder", "[logging][artifacts]") {
  LoggerFixture f;
  f.take_down();
  const std::string secret = write(f.directory / "secret", "s");
  std::string spool_path;
  {
    RunLogger logger = f.start();
    REQUIRE(logger.log_artifact(write(f.directory / "w/a", "x")));  // so that there is a folder to lead out of
    spool_path = logger.close(1s).value().spool;
  }
  for (const char* file : {"../../secret", "", "..", "/etc/passwd"}) {
    const auto spool = Spool::adopt(spool_path, {.directory = f.options.directory}, f.cluster.clock).value();
    RunArtifact artifact;
    artifact.path = "stolen";
    artifact.file = file;
    artifact.sha256 = mlflowha::detail::digest_file(secret).value().sha256;
    artifact.size = 1;
    REQUIRE(spool->append({{1, RecordKind::artifact, 1, encode(artifact).value()}}));
  }
  f.bring_up();
  const ReplayReport report = replay_all(f);
  CHECK(report.spools.at(0).quarantined == 4);
  CHECK(fs::exists(secret));
  CHECK(f.client.list_artifacts({.run_id = f.only_run().run_id}).value().files.size() == 1);
}

TEST_CASE("SHA-256 is what everybody computes", "[logging][artifacts]") {
  TemporaryDirectory directory;
  // FIPS 180-4, examples of NIST.
  CHECK(mlflowha::detail::digest_file(write(directory / "abc", "abc")).value().sha256 ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(mlflowha::detail::digest_file(write(directory / "e", "")).value().sha256 ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(mlflowha::detail::digest_file(directory / "none").error().code == Errc::storage_failed);
}
