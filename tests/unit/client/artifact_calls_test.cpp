#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/client/impl/artifact_files.hpp>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"
#include "unit/client/engine_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

std::string file_of(const TemporaryDirectory& directory, const std::string& name, const std::string& bytes) {
  const std::string path = directory / name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}
std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
std::size_t files_in(const std::string& directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator()));
}
std::string run_of(const Client& client) { return client.create_run({.experiment_id = "0"}).value().info.run_id; }
std::string run_kept_at(const Cluster& cluster, const Client& client, const std::string& root) {
  CreateExperiment create;
  create.name = "at " + root;
  create.artifact_location = root;
  const std::string id = client.create_experiment(create).value();
  static_cast<void>(cluster);
  return client.create_run({.experiment_id = id}).value().info.run_id;
}
const Exchange* last_put(const std::vector<Exchange>& exchanges) {
  const Exchange* last = nullptr;
  for (const Exchange& exchange : exchanges) {
    if (exchange.request.method == Method::put) last = &exchange;
  }
  return last;
}

}  // namespace

TEST_CASE("an artifact_uri points behind the proxy or to this machine", "[client][artifacts]") {
  const std::vector<Uri> endpoints = parse_endpoint_list("http://a:5000,http://[::1]:80").value();
  const auto root = [&](std::string_view uri) { return mlflowha::detail::parse_artifact_root(uri, endpoints).value(); };
  for (const char* uri :
       {"mlflow-artifacts:/0/r/artifacts", "mlflow-artifacts:0/r/artifacts/", "MLFLOW-artifacts://a:5000/0/r/artifacts",
        "mlflow-artifacts://a/0/r/artifacts", "mlflow-artifacts:///0/r/artifacts"}) {
    INFO(uri);
    CHECK(root(uri).proxied);
    CHECK(root(uri).path == "0/r/artifacts");
  }
  for (const char* uri : {"/x/y z", "file:///x/y%20z", "file:/x/y z", "file://localhost/x/y%20z"}) {
    INFO(uri);
    CHECK_FALSE(root(uri).proxied);
    CHECK(root(uri).path == "/x/y z");
  }
  CHECK(root("./mlruns/0").path == "./mlruns/0");
  // As MLflow's own client has it (local_file_uri_to_path of 3.17.2 and 2.22.5): a plain path is decoded, too, and only
  // an address has a query and a fragment.
  CHECK(root("/x/y%20z").path == "/x/y z");
  CHECK(root("/x/100%").path == "/x/100%");
  CHECK(root("/x?y#z").path == "/x?y#z");
  CHECK(root("file:///x%3Fy/artifacts?workspace=w#z").path == "/x?y/artifacts");
  CHECK(root("C/x:y").path == "C/x:y");
  const auto fault = [&](std::string_view uri) {
    const auto result = mlflowha::detail::parse_artifact_root(uri, endpoints);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::invalid_argument);
    return result.error().message;
  };
  CHECK_THAT(fault("s3://bucket/x?secret=1"), contains("\"s3\""));
  CHECK_THAT(fault("s3://bucket/x?secret=1"), !contains("secret"));
  CHECK_THAT(fault("dbfs:/x"), contains("expected mlflow-artifacts"));
  CHECK_THAT(fault("mlflow-artifacts://elsewhere:5000/0"), contains("not in the endpoint list"));
  CHECK_THAT(fault("mlflow-artifacts://a:5001/0"), contains("not in the endpoint list"));
  CHECK_THAT(fault("mlflow-artifacts:/"), contains("expected"));
  CHECK_THAT(fault("mlflow-artifacts:/x?y"), contains("without a query"));
  CHECK_THAT(fault("file://host/x"), contains("on this machine"));
  for (const std::string& uri : {std::string("file:///x/%00/y"), std::string("/x/%00/y"), std::string("/x\0/y", 5)}) {
    INFO(uri);
    CHECK_THAT(fault(uri), contains("without a zero byte"));  // where the system would end the path
  }
  CHECK_THAT(fault(""), contains("expected"));
  for (const char* uri :
       {"ftp://user:hunter2@host/x", "ftp://user:hunter2?@host/x", "ftp://user:#hunter2@host/x",
        "mlflow-artifacts://user:hunter2/@host/x", "file://user:hunter2@host/x", "hunter2:x@host/x"}) {
    INFO(uri);
    CHECK_THAT(fault(uri), !contains("hunter2") && contains("...@host/x\"") && contains("expected"));
  }
  CHECK_THAT(fault("ftp://user:hunter2@host/x"), contains("\"ftp\""));
}

TEST_CASE("paths that a server would store under another name are refused", "[client][artifacts]") {
  for (const char* good : {"a", "a/b.txt", "100%", "50%off", "a b/\xC3\xA4+&=;x", "a?b", "a%2", ".hidden", "..."}) {
    INFO(good);
    CHECK(mlflowha::detail::artifact_path_fault(good).empty());
  }
  for (const char* bad : {"", "/a", "a/", "a//b", "..", "a/../b", "./a", "a#b", "a%20b", "a%4a", "a\nb", "a\x7F", "a?",
                          "a;", "a;?b", "a\xFF", "\xC3"}) {
    INFO(bad);
    CHECK_THAT(mlflowha::detail::artifact_path_fault(bad), contains("expected"));
  }
}

TEST_CASE("a file is logged under its own name, streamed and whole", "[client][artifacts]") {
  Cluster cluster(2);
  const Client client = cluster.client();
  TemporaryDirectory directory;
  const std::string run = run_of(client);
  const std::string bytes("any\0bytes", 9);
  const std::string path = file_of(directory, "model.pt", bytes);
  REQUIRE(client.log_artifact(run, path));
  REQUIRE(client.log_artifact(run, path, "check/points"));
  REQUIRE(client.log_artifact(run, path, "check/points"));
  CHECK(client.get_artifact({.run_id = run, .path = "model.pt"}).value() == bytes);
  CHECK(client.get_artifact({.run_id = run, .path = "check/points/model.pt"}).value() == bytes);
  const std::vector<Exchange> exchanges = cluster.transport->exchanges();
  const Exchange* put = last_put(exchanges);
  REQUIRE(put != nullptr);
  CHECK(put->request.file == FileBody{path, 0, 9, true});
  CHECK(put->request.body.empty());

  const std::string empty = file_of(directory, "empty", "");
  REQUIRE(client.log_artifact(run, empty));
  CHECK(client.get_artifact({.run_id = run, .path = "empty"}).value().empty());
}

TEST_CASE("what can't be logged is said before anything is sent", "[client][artifacts]") {
  Cluster cluster(1);
  const Client client = cluster.client();
  TemporaryDirectory directory;
  const auto fails = [&](const Result<void>& result, Errc code, const std::string& words) {
    REQUIRE_FALSE(result);
    CHECK(result.error().code == code);
    CHECK_THAT(result.error().message, contains(words));
  };
  fails(client.log_artifact("r", directory / "none"), Errc::storage_failed, "none");
  fails(client.log_artifact("r", directory.path()), Errc::storage_failed, "is a directory");
  fails(client.log_artifact("r", file_of(directory, "a%20b", "x")), Errc::invalid_argument, "hexadecimal");
  fails(client.log_artifact("r", file_of(directory, "a", "x"), "../up"), Errc::invalid_argument, "relative path");
  fails(client.log_artifacts("r", directory / "none"), Errc::storage_failed, "none");
  CHECK(cluster.transport->exchanges().empty());
  const std::string run = run_kept_at(cluster, client, "s3://bucket/x");
  fails(client.log_artifact(run, file_of(directory, "a", "x")), Errc::invalid_argument, "\"s3\"");
  CHECK(client.get_run("0123456789abcdef0123456789abcdef").error().code == Errc::not_found);
  fails(client.log_artifact("0123456789abcdef0123456789abcdef", directory / "a"), Errc::not_found, "");
}

TEST_CASE("a directory is logged with all that is below it", "[client][artifacts]") {
  Cluster cluster(1);
  const Client client = cluster.client();
  TemporaryDirectory directory;
  TemporaryDirectory other;
  file_of(directory, "d/a.txt", "a");
  file_of(directory, "d/sub/b.txt", "b");
  file_of(directory, "d/sub/deep/c.txt", "c");
  file_of(other, "outside.txt", "o");
  std::filesystem::create_directories(directory / "d/nothing");
  std::filesystem::create_symlink(other / "outside.txt", directory / "d/link.txt");
  std::filesystem::create_directory_symlink(other.path(), directory / "d/loop");
  const std::string run = run_of(client);
  REQUIRE(client.log_artifacts(run, directory / "d", "all"));
  const auto read = [&](const std::string& path) { return client.get_artifact({.run_id = run, .path = path}).value(); };
  CHECK(read("all/a.txt") == "a");
  CHECK(read("all/sub/b.txt") == "b");
  CHECK(read("all/sub/deep/c.txt") == "c");
  CHECK(read("all/link.txt") == "o");
  CHECK(client.list_artifacts({.run_id = run, .path = "all"}).value().files.size() == 3);
  REQUIRE(client.log_artifacts(run, directory / "d/", ""));  // a slash at the end means nothing
  CHECK(read("sub/b.txt") == "b");

  cluster.transport->set_faults(Cluster::name(0), {when().method(Method::put).nth(2).status(400)});
  const auto failed = client.log_artifacts(run, directory / "d");
  REQUIRE_FALSE(failed);
  CHECK_THAT(failed.error().message, contains("1 of 4 files stored; link.txt"));
}

TEST_CASE("an upload that breaks off goes on elsewhere from the beginning", "[client][artifacts]") {
  FaultRule fault;
  SECTION("closed") { fault.method(Method::put).drop_before(); }
  SECTION("closed when all was there") { fault.method(Method::put).apply_then_drop(); }
  SECTION("silent") { fault.method(Method::put).black_hole(); }
  SECTION("a proxy without a server") { fault.method(Method::put).status(503); }
  Cluster cluster(2, {FaultScript{fault}, {}});
  const Client client = cluster.client();
  TemporaryDirectory directory;
  const std::string run = run_of(client);
  const std::string path = file_of(directory, "f", "0123456789");
  REQUIRE(client.log_artifact(run, path));
  CHECK(client.get_artifact({.run_id = run, .path = "f"}).value() == "0123456789");
  CHECK(cluster.transport->fault_counts(Cluster::name(0)).at(0).fired == 1);
}

TEST_CASE("a file that vanishes between two attempts is the file's fault, not the server's", "[client][artifacts]") {
  Cluster cluster(1, {FaultScript{when().method(Method::put).drop_before()}});
  const Client client = cluster.client();
  TemporaryDirectory directory;
  const std::string run = run_of(client);
  const std::string path = file_of(directory, "f", "0123456789");
  cluster.clock->schedule(cluster.clock->now() + 20ms, [&] { std::filesystem::remove(path); });
  const auto failed = client.log_artifact(run, path);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Errc::storage_failed);
  CHECK(failed.error().effect == Effect::unknown);  // the first attempt may have arrived
}

TEST_CASE("a file that is replaced while it waits for a server arrives as the new one", "[client][artifacts]") {
  Cluster cluster(1, {FaultScript{when().method(Method::put).drop_before()}});
  const Client client = cluster.client();
  TemporaryDirectory directory;
  const std::string run = run_of(client);
  const std::string path = file_of(directory, "latest.pt", "0123456789");
  const auto replace = [&](const std::string& bytes) {
    std::filesystem::rename(file_of(directory, "new", bytes), path);
  };
  std::string expected;
  SECTION("longer") { expected = "a longer checkpoint"; }
  SECTION("shorter") { expected = "short"; }
  SECTION("as long") { expected = "9876543210"; }
  if (!expected.empty()) {
    cluster.clock->schedule(cluster.clock->now() + 500ms, [&] {
      replace(expected);
      cluster.transport->set_faults(Cluster::name(0), {});
    });
    REQUIRE(client.log_artifact(run, path));
    CHECK(client.get_artifact({.run_id = run, .path = "latest.pt"}).value() == expected);
  }
  SECTION("unless the caller expects a size") {
    const std::string root = client.get_run({.run_id = run}).value().info.artifact_uri;
    CHECK(client.put_artifact(root, "latest.pt", path, {}, 9).error().code == Errc::storage_failed);
    cluster.clock->schedule(cluster.clock->now() + 500ms, [&] {
      replace("a longer checkpoint");
      cluster.transport->set_faults(Cluster::name(0), {});
    });
    CHECK(client.put_artifact(root, "latest.pt", path, {}, 10).error().code == Errc::storage_failed);
    CHECK_FALSE(client.get_artifact({.run_id = run, .path = "latest.pt"}));
    REQUIRE(client.put_artifact(root, "latest.pt", path, {}, 19));
  }
  SECTION("over and over, within the call's time") {
    for (int i = 1; i < 400; ++i) {
      cluster.clock->schedule(cluster.clock->now() + i * 100ms, [&, i] { replace(i % 2 == 0 ? "even" : "odd"); });
    }
    Result<void> failed;
    CHECK(cluster.time([&] { failed = client.log_artifact(run, path, "", {.timeout = 20s}); }) <= 20s);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code != Errc::storage_failed);  // the servers' fault, not the file's
    CHECK(failed.error().effect == Effect::unknown);
  }
}

TEST_CASE("a file that shrinks while it is copied is not taken for the whole", "[client][artifacts]") {
  struct Shrinker final : mlflowha::detail::CopyWatcher {
    std::string path;
    void on_bytes(const char*, std::size_t) noexcept override {
      std::error_code ignored;
      std::filesystem::resize_file(path, 10, ignored);
    }
  };
  TemporaryDirectory directory;
  TemporaryDirectory target;
  Shrinker shrinker;
  shrinker.path = file_of(directory, "f", std::string(std::size_t{1} << 20U, 'x'));
  const auto copied = mlflowha::detail::copy_file(shrinker.path, target / "f", 0600, &shrinker);
  REQUIRE_FALSE(copied);
  CHECK(copied.error().code == Errc::storage_failed);
  CHECK_THAT(copied.error().message, contains("has shrunk"));
  CHECK(files_in(target.path()) == 0);
}

TEST_CASE("a large file has time in proportion to its size", "[client][artifacts]") {
  Cluster cluster(1);
  cluster.options.timeouts.slowest_transfer = 100;
  const Client client = cluster.client();
  TemporaryDirectory directory;
  const std::string run = run_of(client);
  const std::string path = file_of(directory, "f", std::string(2000, 'x'));
  CHECK(client.config().options().timeouts.for_transfer(2000) == 20s);
  CHECK(client.config().options().timeouts.call_with(2000) == 90s);
  CHECK(client.config().options().timeouts.for_transfer(~std::uint64_t{0}) == 24h);
  cluster.transport->set_faults(Cluster::name(0), {when().method(Method::put).nth(1).delay(25s)});
  REQUIRE(client.log_artifact(run, path));  // 10 s are too little, 10 s and 20 s are enough
  cluster.transport->set_faults(Cluster::name(0), {when().method(Method::put).black_hole()});
  Result<void> failed;
  CHECK(cluster.time([&] { failed = client.log_artifact(run, path); }) <= 91s);
  CHECK(failed.error().code == Errc::deadline_exceeded);
  CHECK(cluster.time([&] { failed = client.log_artifact(run, path, "", {.timeout = 5s}); }) <= 5s);
  CHECK(failed.error().code == Errc::deadline_exceeded);
  cluster.options.timeouts.slowest_transfer = 0;
  CHECK_THAT(Client::create(cluster.options).error().message, contains("timeouts.slowest_transfer"));
}

TEST_CASE("a run kept on this machine gets a copy that appears as a whole", "[client][artifacts]") {
  Cluster cluster(1);
  const Client client = cluster.client();
  TemporaryDirectory directory;
  const std::string path = file_of(directory, "f", "new");
  const std::string run = run_kept_at(cluster, client, "file://" + directory / "store");
  const std::string root = client.get_run(run).value().info.artifact_uri.substr(7);
  REQUIRE(client.log_artifact(run, path, "a/b"));
  CHECK(content(root + "/a/b/f") == "new");
  file_of(directory, "f", "newer");
  REQUIRE(client.log_artifact(run, path, "a/b"));
  CHECK(content(root + "/a/b/f") == "newer");
  CHECK(files_in(root + "/a/b") == 1);  // nothing half written is left
  REQUIRE(client.download_artifact(run, "a/b/f", directory / "back"));
  CHECK(content(directory / "back") == "newer");
  // What isn't there is told as by the servers' proxy, wherever a run is kept.
  CHECK(is_not_found(client.download_artifact(run, "a/b/g", directory / "back").error()));
  CHECK(is_not_found(client.download_artifact(run, "a/b/f/g", directory / "back").error()));
  CHECK(is_not_found(client.download_artifact(run, "none/g", directory / "back").error()));
  CHECK(client.download_artifact(run, "a/b", directory / "back").error().code == Errc::invalid_argument);
  CHECK(content(directory / "back") == "newer");
}

TEST_CASE("an artifact is downloaded into a file, or not at all", "[client][artifacts]") {
  Cluster cluster(2);
  const Client client = cluster.client();
  TemporaryDirectory directory;
  TemporaryDirectory target;
  const std::string run = run_of(client);
  REQUIRE(client.log_artifact(run, file_of(directory, "f", "0123456789"), "d"));
  REQUIRE(client.log_artifact(run, file_of(directory, "empty", "")));
  REQUIRE(client.download_artifact(run, "d/f", target / "f"));
  CHECK(content(target / "f") == "0123456789");
  REQUIRE(client.download_artifact(run, "empty", target / "empty"));
  CHECK(content(target / "empty").empty());
  CHECK(client.download_artifact(run, "d/g", target / "g").error().code == Errc::not_found);
  CHECK_THAT(client.download_artifact(run, "d", target / "g").error().message, contains("is a directory"));
  CHECK(client.download_artifact(run, "../d", target / "g").error().code == Errc::invalid_argument);
  CHECK(files_in(target.path()) == 2);

  SECTION("an answer that is cut without a word is noticed and asked for again") {
    Response cut;
    cut.status = 200;
    cut.headers = {{"content-type", "application/octet-stream"}};
    cut.body = "01234";
    const std::string route = "/api/2.0/mlflow-artifacts/artifacts/0/" + run + "/artifacts/d/f";
    cluster.transport->reply(Cluster::name(0), Method::get, route, cut, 2);
    REQUIRE(client.download_artifact(run, "d/f", target / "again"));
    CHECK(content(target / "again") == "0123456789");
    cluster.transport->reply(Cluster::name(0), Method::get, route, cut, 3);
    const auto failed = client.download_artifact(run, "d/f", target / "f");
    REQUIRE_FALSE(failed);
    CHECK_THAT(failed.error().message, contains("5 bytes; expected the 10"));
    CHECK(content(target / "f") == "0123456789");
    CHECK(files_in(target.path()) == 3);
  }
}

TEST_CASE("a download takes the place of a file and of nothing else", "[client][artifacts]") {
  // Run by root it would otherwise put a file into the place of /dev/null.
  Cluster cluster(1);
  const Client client = cluster.client();
  TemporaryDirectory directory;
  const std::string proxied = run_of(client);
  const std::string local = run_kept_at(cluster, client, "file://" + directory / "store");
  const std::string path = file_of(directory, "f", "bytes");
  std::filesystem::create_directory(directory / "down");
  const std::string pipe = directory / "down/pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::filesystem::create_symlink(pipe, directory / "down/link");
  std::filesystem::create_directory(directory / "down/directory");
  for (const std::string& run : {proxied, local}) {
    REQUIRE(client.log_artifact(run, path));
    for (const char* name : {"pipe", "link", "directory"}) {
      INFO(run << " " << name);
      const std::size_t before = cluster.transport->exchanges().size();
      const auto failed = client.download_artifact(run, "f", directory / ("down/" + std::string(name)));
      REQUIRE_FALSE(failed);
      CHECK(failed.error().code == Errc::storage_failed);
      CHECK_THAT(failed.error().message, contains(name));
      CHECK(cluster.transport->exchanges().size() == before + 1);  // the run's root is asked for, and no byte more
    }
  }
  CHECK(std::filesystem::is_fifo(pipe));
  CHECK(std::filesystem::is_symlink(directory / "down/link"));
  CHECK(files_in(directory / "down") == 3);
}
