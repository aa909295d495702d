#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_ARTIFACTS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_ARTIFACTS_IPP

// The artifact store behind the server: the proxy, the files of runs, model versions and logged models. Its files are
// kept by path; it signs no URLs and knows no multipart uploads, as a store on disk.

#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/api/logged_models.hpp>
#include <mlflowha/testing/impl/backend_logged_models.ipp>
#include <mlflowha/testing/impl/backend_versions.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE const MessageType& artifact_request() {
  static const MessageType type{{{"run_id", "runId", FieldType::text},
                                 {"run_uuid", "runUuid", FieldType::text},
                                 {"model_id", "modelId", FieldType::text},
                                 {"name", "name", FieldType::text},
                                 {"version", "version", FieldType::text},
                                 {"path", "path", FieldType::text},
                                 {"artifact_file_path", "artifactFilePath", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE std::string checked_path(const std::string& path) {
  bool good = path.find('#') == std::string::npos && (path.empty() || path.front() != '/');
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    good = good && path.substr(start, end - start) != "..";
    start = end + 1;
  }
  if (!good) refuse("Invalid path");
  return path;
}

MLFLOWHA_INLINE std::string joined(const std::string& root, const std::string& path) {
  return root.empty() ? path : path.empty() ? root : root + "/" + path;
}

/// The path in the store of a URI that the proxy serves; "" for any other.
MLFLOWHA_INLINE std::string proxied_path(const std::string& uri) {
  constexpr std::string_view scheme = "mlflow-artifacts:/";
  return uri.substr(0, scheme.size()) == scheme ? uri.substr(scheme.size()) : std::string();
}

/// What is directly in `folder` below `root`. Paths are given below `root`, or as the last part alone.
MLFLOWHA_INLINE Json BackendState::files_below(const std::string& root, const std::string& folder,
                                               bool full_path) const {
  const std::string place = joined(root, checked_path(folder));
  const std::string prefix = place.empty() ? place : place + "/";
  Json files = Json::array();
  std::string last;
  for (auto file = store.files.lower_bound(prefix); file != store.files.end(); ++file) {
    if (file->first.compare(0, prefix.size(), prefix) != 0) break;
    const std::string rest = file->first.substr(prefix.size());
    const std::string name = rest.substr(0, rest.find('/'));
    if (name == last) continue;
    last = name;
    const bool folder_too = name.size() < rest.size();
    Json entry;
    entry["path"] = full_path ? joined(folder, name) : name;
    entry["is_dir"] = folder_too;
    if (!folder_too && !file->second.empty()) entry["file_size"] = file->second.size();
    files.push_back(std::move(entry));
  }
  return files;
}

MLFLOWHA_INLINE Json BackendState::list_artifacts(ParsedRequest& request) {
  request.required("run_id").text("run_id").text("path");
  use_database(false);
  const std::string uri = run(request.run_id()).artifact_uri;
  Json answer;
  answer["root_uri"] = uri;
  Json files = files_below(proxied_path(uri), request.text_value("path"), true);
  if (!files.empty()) answer["files"] = std::move(files);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::create_presigned_upload_url(ParsedRequest& request) {
  if (request.has("run_id") == request.has("model_id")) {
    refuse("Exactly one of run_id and model_id must be provided.");
  }
  use_database(false);
  if (request.has("run_id")) run(request.run_id());
  if (request.has("model_id")) logged_model(request.text_value("model_id"));
  refuse(
      "Presigned upload is not supported for proxied artifact storage (artifact URI scheme: mlflow-artifacts). This "
      "endpoint requires a direct cloud storage artifact URI.");
}

MLFLOWHA_INLINE Json BackendState::create_presigned_download_url(ParsedRequest& request) {
  request.required("run_id").required("path");
  use_database(false);
  run(request.run_id());
  refuse(
      "Presigned download is not supported for runs with proxied artifact storage (artifact URI scheme: "
      "mlflow-artifacts). This endpoint requires a run with a direct cloud storage artifact URI.");
}

MLFLOWHA_INLINE Response BackendState::file_answer(const std::string& place) const {
  const auto found = store.files.find(place);
  if (found == store.files.end()) {
    if (!v3()) throw Crash{};
    refuse(fmt::format("No such artifact: '{}'", place), "RESOURCE_DOES_NOT_EXIST");
  }
  Response response = plain_answer("application/octet-stream", found->second);
  response.headers.push_back({"content-disposition", "attachment"});
  return response;
}

MLFLOWHA_INLINE Response BackendState::list_proxied_artifacts(ParsedRequest& query) {
  Json answer = Json::object();
  Json files = files_below("", query.text_value("path"), false);
  if (!files.empty()) answer["files"] = std::move(files);
  return json_answer(answer);
}

MLFLOWHA_INLINE Response BackendState::download_artifact(ParsedRequest&) {
  const std::string place = checked_path(places_[0]);
  if (!v3() && !store.files.contains(place)) {
    refuse(
        fmt::format("The following failures occurred while downloading one or more artifacts from /server/artifacts:\n"
                    "##### File {0} #####\n[Errno 2] No such file or directory: '/server/artifacts/{0}'",
                    place),
        "INTERNAL_ERROR");
  }
  return file_answer(place);
}

MLFLOWHA_INLINE Response BackendState::upload_artifact(ParsedRequest&) {
  store.files[checked_path(places_[0])] = body_;
  if (!v3()) return json_answer(Json::object());
  Response response;
  response.status = 200;
  return response;
}

MLFLOWHA_INLINE Response BackendState::delete_artifact(ParsedRequest&) {
  const std::string place = checked_path(places_[0]);
  store.files.erase(place);
  std::erase_if(store.files,
                [&](const auto& entry) { return entry.first.compare(0, place.size() + 1, place + "/") == 0; });
  return json_answer(Json::object());
}

/// These answers have no fields beyond the two, in no release.
MLFLOWHA_INLINE Response BackendState::refuse_multipart(std::string_view what) {
  checked_path(places_[0]);
  Response response =
      plain_answer("application/json",
                   error_body("NOT_IMPLEMENTED",
                              fmt::format("Multipart {} is not supported for the current artifact repository", what)));
  response.status = http_status_of("NOT_IMPLEMENTED");
  return response;
}

MLFLOWHA_INLINE Response BackendState::refuse_multipart_upload(ParsedRequest&) { return refuse_multipart("upload"); }

MLFLOWHA_INLINE Response BackendState::refuse_multipart_download(ParsedRequest&) {
  return refuse_multipart("download");
}

MLFLOWHA_INLINE Response BackendState::get_artifact(ParsedRequest& query) {
  use_database(false);
  return file_answer(joined(proxied_path(run(query.run_id()).artifact_uri), checked_path(query.text_value("path"))));
}

MLFLOWHA_INLINE Response BackendState::get_model_version_artifact(ParsedRequest& query) {
  use_database(false);
  return file_answer(joined(proxied_path(model_version(query).source), checked_path(query.text_value("path"))));
}

MLFLOWHA_INLINE Response BackendState::get_logged_model_artifact(ParsedRequest& query) {
  use_database(false);
  return file_answer(
      joined(logged_model_root(logged_model(places_[0])), checked_path(query.text_value("artifact_file_path"))));
}

MLFLOWHA_INLINE Response BackendState::upload_run_artifact(ParsedRequest& query) {
  if (!query.has("path")) refuse("Request must specify path.");
  if (body_.empty()) refuse("Request must specify data.");
  if (body_.size() > std::size_t{10} * 1024 * 1024) refuse("Artifact size is too large. Max size is 10MB.");
  use_database(false);
  const std::string root = proxied_path(run(query.run_id()).artifact_uri);
  store.files[joined(root, checked_path(query.text_value("path")))] = body_;
  Response response;
  response.status = 200;
  return response;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
