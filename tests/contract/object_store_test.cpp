// What only an object store can do: uploads in parts, and URLs that are signed for one file. Against servers whose
// artifacts are in a real one (contract.mlflow-3-s3, contract.mlflow-2-s3); artifacts_test.cpp has what others say.

#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/http/curl_transport.hpp>

#include <map>

#include "contract/lossy.hpp"
#include "contract/server.hpp"
#include "support/catch.hpp"
#include "support/http.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

std::string store_path(const std::string& uri) { return uri.substr(std::string("mlflow-artifacts:/").size()); }

/// Carries a request to a signed URL, as any HTTP client would.
Response carry(Method method, const std::string& url, const std::map<std::string, std::string>& headers,
               std::string body = {}) {
  const std::size_t path = url.find('/', url.find("://") + 3);
  REQUIRE(path != std::string::npos);
  Request request;
  request.method = method;
  request.target = url.substr(path);
  request.body = std::move(body);
  for (const auto& [name, value] : headers) {
    if (name == "Content-Type") {
      request.content_type = value;
    } else {
      request.headers.push_back({name, value});
    }
  }
  return answer_of(call(*make_transport(), parse_uri(url.substr(0, path)).value(), request));
}

/// Begins an upload of `parts` and stores them.
CompleteMultipartUpload store_parts(const std::string& root, const std::string& name,
                                    const std::vector<std::string>& parts) {
  const MultipartUpload upload =
      contract_client()
          .create_multipart_upload(
              {.artifact_path = root, .path = name, .num_parts = static_cast<std::int64_t>(parts.size())})
          .value();
  REQUIRE(upload.credentials.size() == parts.size());
  CompleteMultipartUpload complete{.artifact_path = root, .path = name, .upload_id = upload.upload_id};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const MultipartUploadCredential& credential = upload.credentials[i];
    CHECK(credential.part_number == static_cast<std::int64_t>(i + 1));
    const Response stored = carry(Method::put, credential.url, credential.headers, parts[i]);
    REQUIRE(stored.status == 200);
    complete.parts.push_back(
        {.part_number = credential.part_number, .etag = std::string(stored.header("etag")), .url = credential.url});
  }
  return complete;
}

const std::vector<std::string> two_parts{std::string(5 * 1024 * 1024, 'a'), "the end\0\xFF"};  // 5 MiB is S3's least

}  // namespace

TEST_CASE("a file is uploaded in parts", "[contract][artifacts][s3]") {
  if (contract_server().bucket.empty()) return;
  const Client& client = contract_client();
  const std::string root = store_path(fresh_run().info.artifact_uri);
  const CompleteMultipartUpload complete = store_parts(root, "big.bin", two_parts);
  CHECK(client.list_proxied_artifacts({.path = root}).value().empty());  // not there before it is complete
  REQUIRE(client.complete_multipart_upload(complete));
  CHECK(client.download_artifact({.artifact_path = root + "/big.bin"}).value() == two_parts[0] + two_parts[1]);

  const CompleteMultipartUpload given_up = store_parts(root, "never.bin", {"x"});
  const AbortMultipartUpload abort{.artifact_path = root, .path = "never.bin", .upload_id = given_up.upload_id};
  REQUIRE(client.abort_multipart_upload(abort));
  CHECK_FALSE(client.complete_multipart_upload(given_up));
  CHECK(client.list_proxied_artifacts({.path = root}).value().size() == 1);
}

TEST_CASE("URLs are signed for files behind the proxy", "[contract][artifacts][s3]") {
  if (contract_server().bucket.empty() || contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string file = store_path(fresh_run().info.artifact_uri) + "/a b.txt";
  REQUIRE(client.upload_artifact({.artifact_path = file, .content = "text"}));
  const auto url = client.get_presigned_download_url({.artifact_path = file}).value();
  CHECK(url.file_size == 4);
  const Response read = carry(Method::get, url.url, url.headers);
  CHECK(read.status == 200);
  CHECK(read.body == "text");
  CHECK(carry(Method::get, url.url + "0", url.headers).status == 403);  // the signature is looked at
  CHECK(is_not_found(client.get_presigned_download_url({.artifact_path = file + "x"}).error()));
}

TEST_CASE("URLs are signed for the files of a run that is in the store itself", "[contract][artifacts][s3]") {
  if (contract_server().bucket.empty() || contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string experiment =
      client
          .create_experiment({.name = fresh_name("direct"), .artifact_location = contract_server().bucket + "/direct"})
          .value();
  const std::string run = client.create_run({.experiment_id = experiment}).value().info.run_id;
  const auto up = client.create_presigned_upload_url({.run_id = run, .path = "sub/a.json", .expiration = 60}).value();
  CHECK(up.headers.at("Content-Type") == "application/json");
  REQUIRE(carry(Method::put, up.presigned_url, up.headers, "{}").status == 200);
  CHECK(client.get_artifact({.run_id = run, .path = "sub/a.json"}).value() == "{}");
  const auto down =
      client.create_presigned_download_url({.run_id = run, .path = "sub/a.json", .expiration = 60}).value();
  CHECK(down.file_size == 2);
  CHECK(carry(Method::get, down.presigned_url, down.headers).body == "{}");
  CHECK(is_not_found(client.create_presigned_download_url({.run_id = run, .path = "none"}).error()));
}

TEST_CASE("lost answers: uploads in parts", "[contract][once][artifacts][s3]") {
  if (contract_server().bucket.empty()) return;
  const Client& client = contract_client();
  const std::string root = store_path(fresh_run().info.artifact_uri);
  const auto begun =
      Lossy("/mpu/create")->create_multipart_upload({.artifact_path = root, .path = "a", .num_parts = 1});
  CHECK(begun.value().credentials.size() == 1);
  // A store may know no longer of an upload that is complete: then the repetition is refused, and the file is there.
  const CompleteMultipartUpload complete = store_parts(root, "b", {"x"});
  const auto done = Lossy("/mpu/complete")->complete_multipart_upload(complete);
  if (!done) CHECK(done.error().effect == Effect::unknown);
  CHECK(client.download_artifact({.artifact_path = root + "/b"}).value() == "x");
}
