// Files to and from the artifacts of a run, and what servers make of uploads that break off and of odd names.

#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/logging.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include "contract/server.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

std::string store_path(const std::string& uri) { return uri.substr(std::string("mlflow-artifacts:/").size()); }

std::string write(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}
std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
std::string megabytes(std::size_t count) {
  std::string bytes(count << 20U, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7919U >> 8U);
  return bytes;
}
std::int64_t size_of(const std::string& run_id, const std::string& path) {
  const auto list = contract_client().list_artifacts({.run_id = run_id}).value();
  for (const FileInfo& file : list.files) {
    if (file.path == path) return file.file_size;
  }
  return -1;
}

/// Begins to put `size` bytes, sends `sent` of them, and hangs up.
void put_a_part(const std::string& artifact_path, std::size_t size, std::size_t sent) {
  const Uri uri = parse_uri(contract_server().urls.at(0)).value();
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uri.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const std::string text = "PUT " + uri.prefix + "/api/2.0/mlflow-artifacts/artifacts/" + artifact_path +
                           " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" +
                           std::string(sent, 'p');
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t count = ::send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL);
    REQUIRE(count > 0);
    at += static_cast<std::size_t>(count);
  }
  std::this_thread::sleep_for(300ms);  // a server that has not begun drops it in any case
  ::close(fd);
}

}  // namespace

TEST_CASE("files and directories go to a run and come back", "[contract][files]") {
  const Client& client = contract_client();
  const TemporaryDirectory directory;
  const std::string run = fresh_run().info.run_id;
  const std::string large = megabytes(20);
  write(directory / "d/large.bin", large);
  write(directory / "d/empty", "");
  for (const std::string name : {"a b/\xC3\xA4+&=.html", "100%.txt", "q?z", "C:d", "s;x", "50%of"}) {
    write(directory / ("d/odd/" + name), name);
  }
  REQUIRE(client.log_artifact(run, directory / "d/large.bin"));
  REQUIRE(client.log_artifacts(run, directory / "d", "all"));
  REQUIRE(client.log_artifacts(run, directory / "d", "all"));  // repeating changes nothing
  CHECK(size_of(run, "large.bin") == static_cast<std::int64_t>(large.size()));
  CHECK(client.list_artifacts({.run_id = run, .path = "all"}).value().files.size() == 3);
  CHECK(client.list_artifacts({.run_id = run, .path = "all/odd"}).value().files.size() == 6);
  REQUIRE(client.download_artifact(run, "all/large.bin", directory / "back"));
  CHECK(content(directory / "back") == large);
  REQUIRE(client.download_artifact(run, "all/empty", directory / "back"));
  CHECK(content(directory / "back").empty());
  for (const std::string name : {"a b/\xC3\xA4+&=.html", "100%.txt", "q?z", "C:d", "s;x", "50%of"}) {
    INFO(name);
    REQUIRE(client.download_artifact(run, "all/odd/" + name, directory / "back"));
    CHECK(content(directory / "back") == name);
  }
  CHECK(client.download_artifact(run, "all/none", directory / "none").error().code == Errc::not_found);
  CHECK_FALSE(std::filesystem::exists(directory / "none"));
}

TEST_CASE("names that are refused here would be stored under others", "[contract][files]") {
  const Client& client = contract_client();
  const TemporaryDirectory directory;
  const Run run = fresh_run();
  for (const std::string name : {"a%20b", "q?", "s;"}) {
    CHECK(client.log_artifact(run.info.run_id, write(directory / name, "x")).error().code == Errc::invalid_argument);
  }
  if (contract_server().fake) return;
  for (const std::string name : {"a%20b", "q?", "s;"}) {
    REQUIRE(client.upload_artifact({.artifact_path = store_path(run.info.artifact_uri) + "/" + name, .content = "x"}));
  }
  CHECK(size_of(run.info.run_id, "a b") == 1);
  CHECK(size_of(run.info.run_id, "q") == 1);
  CHECK(size_of(run.info.run_id, "s") == 1);
}

TEST_CASE("an upload that breaks off is healed by its repetition", "[contract][files]") {
  const Client& client = contract_client();
  const TemporaryDirectory directory;
  const Run run = fresh_run();
  const std::string path = write(directory / "f", std::string(1000, 'f'));
  REQUIRE(client.log_artifact(run.info.run_id, path));
  put_a_part(store_path(run.info.artifact_uri) + "/f", 5'000'000, 2'000'000);
  std::int64_t seen = size_of(run.info.run_id, "f");
  for (int i = 0; i < 50 && seen == 1000; ++i) {
    std::this_thread::sleep_for(20ms);
    seen = size_of(run.info.run_id, "f");
  }
  // 2.22 takes the part for the whole; 3.17 sees that its client has gone and leaves what was there.
  if (!contract_server().fake) CHECK(seen == (contract_server().major >= 3 ? 1000 : 2'000'000));
  REQUIRE(client.log_artifact(run.info.run_id, path));
  CHECK(size_of(run.info.run_id, "f") == 1000);
}

TEST_CASE("a run kept in a directory gets its files there", "[contract][files]") {
  const Client& client = contract_client();
  const TemporaryDirectory directory;
  CreateExperiment create;
  create.name = fresh_name("local files");
  create.artifact_location = "file://" + directory / "store";
  const std::string experiment = client.create_experiment(create).value();
  const Run run = client.create_run({.experiment_id = experiment}).value();
  REQUIRE(client.log_artifact(run.info.run_id, write(directory / "f", "x"), "d"));
  CHECK(content(directory / ("store/" + run.info.run_id + "/artifacts/d/f")) == "x");
  create.name = fresh_name("bucket");
  create.artifact_location = "s3://bucket/x";
  const Run far = client.create_run({.experiment_id = client.create_experiment(create).value()}).value();
  const auto refused = client.log_artifact(far.info.run_id, directory / "f");
  CHECK(refused.error().code == Errc::invalid_argument);
  CHECK_THAT(refused.error().message, contains("\"s3\""));
}

TEST_CASE("a logger's files arrive with everything else, and close() finds all of it", "[contract][files]") {
  const TemporaryDirectory directory;
  RunLoggerOptions options;
  options.directory = directory / "spool";
  options.experiment = fresh_name("logger files");
  options.durability = Durability::each;
  auto logger = RunLogger::start(contract_client(), options).value();
  const std::string model = megabytes(3);
  REQUIRE(logger.log_artifact(write(directory / "d/model.pt", model)));
  write(directory / "d/sub/b.txt", "b");
  write(directory / "d/sub/empty", "");
  REQUIRE(logger.log_artifacts(directory / "d", "all"));
  std::filesystem::remove_all(directory / "d");
  for (int i = 0; i < 20; ++i) REQUIRE(logger.log_metric("m", i, i % 7));
  REQUIRE(logger.log_metric("nan", std::numeric_limits<double>::quiet_NaN()));
  REQUIRE(logger.log_metric("inf", std::numeric_limits<double>::infinity()));
  REQUIRE(logger.log_metric("third", 1.0 / 3));
  REQUIRE(logger.log_params({{.key = "p", .value = "1"}, {.key = "long", .value = std::string(400, 'v')}}));
  REQUIRE(logger.set_tag("t", "1"));
  REQUIRE(logger.set_tag("t", "2"));
  const CloseReport report = logger.close(60s).value();
  REQUIRE(report.drained);
  CHECK(report.quarantined == 0);
  REQUIRE(report.verified);
  for (const std::string& note : report.verified->notes) UNSCOPED_INFO(note);
  CHECK(report.verified->done);
  CHECK(report.verified->checked == 4 + 2 + 1 + 1 + 4);
  CHECK(report.verified->resent == 0);
  CHECK(report.verified->different == 0);
  CHECK(report.verified->foreign == 0);
  CHECK(std::filesystem::is_empty(directory / "spool"));
  REQUIRE(contract_client().download_artifact(report.run_id, "all/model.pt", directory / "back"));
  CHECK(content(directory / "back") == model);
}
