// Artifacts: through the proxy, of runs, of model versions; what only other stores can do (object_store_test.cpp) is
// refused.

#include <mlflowha/api/artifacts.hpp>

#include <cmath>
#include <limits>

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {
std::string store_path(const std::string& uri) { return uri.substr(std::string("mlflow-artifacts:/").size()); }
const std::string bytes("any\0bytes \xFF\r\n", 14);
}  // namespace

TEST_CASE("a file goes through the proxy and back, whatever is in it and in its name", "[contract][artifacts]") {
  const Client& client = contract_client();
  const Run run = fresh_run();
  const std::string root = store_path(run.info.artifact_uri);
  for (const std::string name : {"plain.txt", "a b/\xC3\xA4+&=.html", "sub/deep/100%.bin"}) {
    INFO(name);
    REQUIRE(client.upload_artifact({.artifact_path = root + "/" + name, .content = bytes}));
    REQUIRE(client.upload_artifact({.artifact_path = root + "/" + name, .content = bytes}));
    CHECK(client.download_artifact({.artifact_path = root + "/" + name}).value() == bytes);
    CHECK(client.get_artifact({.run_id = run.info.run_id, .path = name}).value() == bytes);
  }
  REQUIRE(client.upload_artifact({.artifact_path = root + "/empty"}));
  CHECK(client.download_artifact({.artifact_path = root + "/empty"}).value().empty());

  const auto listed = client.list_proxied_artifacts({.path = root}).value();
  REQUIRE(listed.size() == 4);
  CHECK(listed[0].path == "a b");
  CHECK(listed[0].is_dir);
  const ArtifactList of_run = client.list_artifacts({.run_id = run.info.run_id, .path = "sub/deep"}).value();
  REQUIRE(of_run.files.size() == 1);
  CHECK(of_run.files[0].path == "sub/deep/100%.bin");
  CHECK(of_run.files[0].file_size == static_cast<std::int64_t>(bytes.size()));

  REQUIRE(client.delete_artifact({.artifact_path = root + "/sub"}));
  REQUIRE(client.delete_artifact({.artifact_path = root + "/sub"}));
  CHECK(client.list_proxied_artifacts({.path = root + "/sub"}).value().empty());
}

TEST_CASE("a file that isn't there and a path that can't be are typed errors", "[contract][artifacts]") {
  const Client& client = contract_client();
  const Run run = fresh_run();
  const auto missing = client.download_artifact({.artifact_path = "0/no/such.txt"});
  const auto missing_of_run = client.get_artifact({.run_id = run.info.run_id, .path = "no/such.txt"});
  if (contract_server().major >= 3) {
    CHECK(is_not_found(missing.error()));
    CHECK(is_not_found(missing_of_run.error()));
  } else {  // 2.22 trips over it
    CHECK(missing.error().code == Errc::server_error);
    CHECK(missing_of_run.error().code == Errc::server_error);
  }
  CHECK(is_not_found(client.list_artifacts({.run_id = "0123456789abcdef0123456789abcdef"}).error()));
  CHECK(is_not_found(client.get_artifact({.run_id = "0123456789abcdef0123456789abcdef", .path = "x"}).error()));
  for (const std::string path : {"../x", "a/../b", "/etc/passwd", "a//b", "a/", ".", "a#b"}) {
    INFO(path);
    CHECK(client.download_artifact({.artifact_path = path}).error().code == Errc::invalid_argument);
    CHECK(client.upload_artifact({.artifact_path = path}).error().code == Errc::invalid_argument);
    CHECK(client.list_proxied_artifacts({.path = path}).error().code == Errc::invalid_argument);
  }
}

TEST_CASE("a small file is stored in a run by the server itself", "[contract][artifacts]") {
  const Client& client = contract_client();
  const Run run = fresh_run();
  REQUIRE(client.upload_run_artifact({.run_id = run.info.run_id, .path = "up/a b.txt", .content = bytes}));
  CHECK(client.get_artifact({.run_id = run.info.run_id, .path = "up/a b.txt"}).value() == bytes);
  CHECK(is_not_found(
      client.upload_run_artifact({.run_id = "0123456789abcdef0123456789abcdef", .path = "a", .content = "x"}).error()));
}

TEST_CASE("a file of a model version is read", "[contract][artifacts]") {
  const Client& client = contract_client();
  const Run run = fresh_run();
  REQUIRE(client.upload_artifact({.artifact_path = store_path(run.info.artifact_uri) + "/MLmodel", .content = bytes}));
  CreateRegisteredModel model;
  model.name = fresh_name("files");
  REQUIRE(client.create_registered_model(model));
  CreateModelVersion version;
  version.name = model.name;
  version.source = run.info.artifact_uri;
  version.run_id = run.info.run_id;
  REQUIRE(client.create_model_version(version));
  CHECK(client.get_model_version_artifact({.name = model.name, .version = "1", .path = "MLmodel"}).value() == bytes);
  CHECK(
      is_not_found(client.get_model_version_artifact({.name = model.name, .version = "9", .path = "MLmodel"}).error()));
}

TEST_CASE("what a store on disk can't do is said so", "[contract][artifacts]") {
  const Client& client = contract_client();
  const Run run = fresh_run();
  const std::string root = store_path(run.info.artifact_uri);
  CHECK(client.create_multipart_upload({.artifact_path = root, .path = "big", .num_parts = 2}).error().code ==
        Errc::not_implemented);
  CompleteMultipartUpload complete;
  complete.artifact_path = root;
  complete.path = "big";
  complete.upload_id = "u";
  complete.parts.push_back({.part_number = 1, .etag = "e", .url = "https://127.0.0.1:9/part"});
  CHECK(client.complete_multipart_upload(complete).error().code == Errc::not_implemented);
  CHECK(client.abort_multipart_upload({.artifact_path = root, .path = "big", .upload_id = "u"}).error().code ==
        Errc::not_implemented);
  if (contract_server().major < 3) return;
  CHECK(client.get_presigned_download_url({.artifact_path = root + "/x"}).error().code == Errc::not_implemented);
  CHECK(client.create_presigned_upload_url({.run_id = run.info.run_id, .path = "x"}).error().code == Errc::rejected);
  CHECK(client.create_presigned_download_url({.run_id = run.info.run_id, .path = "x"}).error().code == Errc::rejected);
}

TEST_CASE("points of a metric in several runs come at once, NaN among them", "[contract][metrics]") {
  const Client& client = contract_client();
  const std::string one = fresh_run().info.run_id;
  const std::string two = fresh_run().info.run_id;
  REQUIRE(client.log_metric(one, "m", std::numeric_limits<double>::quiet_NaN(), {.step = 1}));
  REQUIRE(client.log_metric(one, "m", 1.5, {.step = 2}));
  REQUIRE(client.log_metric(two, "m", 2.5, {.step = 1}));
  const auto points = client.get_metric_history_bulk({.run_ids = {one, two}, .metric_key = "m"}).value();
  REQUIRE(points.size() == 3);
  double sum = 0;
  int nans = 0;
  for (const MetricWithRunId& point : points) {
    if (std::isnan(point.value)) {
      ++nans;
    } else {
      sum += point.value;
    }
  }
  CHECK(nans == 1);
  CHECK(sum == 4.0);
  CHECK(client.get_metric_history_bulk({.run_ids = {"0123456789abcdef"}, .metric_key = "m"}).value().empty());
  CHECK(client.get_metric_history_bulk({.metric_key = "m"}).error().code == Errc::invalid_argument);
}
