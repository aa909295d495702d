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

MLFLOWHA_INLINE Response json_answer(const Json& json) {
  Response response;
  response.status = 200;
  response.headers.push_back({"content-type", "application/json"});
  response.body = json.dump(2, ' ', true, Json::error_handler_t::replace);
  return response;
}

MLFLOWHA_INLINE std::optional<Response> BackendState::artifact_route(const Request& request, std::string_view path,
                                                                     std::string_view query) {
  const auto asked = [&] { return ParsedRequest(query_json(query, artifact_request()), artifact_request()); };
  const auto file = [&](const std::string& place) {
    const auto found = store.files.find(place);
    if (found == store.files.end()) {
      if (!v3()) throw Crash{};
      refuse(fmt::format("No such artifact: '{}'", place), "RESOURCE_DOES_NOT_EXIST");
    }
    Response response;
    response.status = 200;
    response.headers.push_back({"content-type", "application/octet-stream"});
    response.headers.push_back({"content-disposition", "attachment"});
    response.body = found->second;
    return response;
  };
  const auto below = [&](std::string_view prefix) -> std::optional<std::string> {
    if (path.substr(0, prefix.size()) != prefix || path.size() == prefix.size()) return std::nullopt;
    return checked_path(percent_decode(path.substr(prefix.size()), false));
  };
  constexpr Method get = Method::get;
  if (request.method == get && path == "/get-artifact") {
    const ParsedRequest wanted = asked();
    use_database(false);
    return file(joined(proxied_path(run(wanted.run_id()).artifact_uri), checked_path(wanted.text_value("path"))));
  }
  if (request.method == get && path == "/model-versions/get-artifact") {
    const ParsedRequest wanted = asked();
    use_database(false);
    return file(joined(proxied_path(model_version(wanted).source), checked_path(wanted.text_value("path"))));
  }
  if (request.method == Method::post && path == "/ajax-api/2.0/mlflow/upload-artifact") {
    const ParsedRequest wanted = asked();
    if (!wanted.has("path")) refuse("Request must specify path.");
    if (request.body.empty()) refuse("Request must specify data.");
    if (request.body.size() > std::size_t{10} * 1024 * 1024) refuse("Artifact size is too large. Max size is 10MB.");
    use_database(false);
    const std::string root = proxied_path(run(wanted.run_id()).artifact_uri);
    store.files[joined(root, checked_path(wanted.text_value("path")))] = request.body;
    Response response;
    response.status = 200;
    return response;
  }
  std::vector<std::string> places;
  if (request.method == get && v3() && matches("/ajax-api/2.0/mlflow/logged-models/{}/artifacts/files", path, places)) {
    const ParsedRequest wanted = asked();
    use_database(false);
    return file(
        joined(logged_model_root(logged_model(places[0])), checked_path(wanted.text_value("artifact_file_path"))));
  }
  if (request.method == get && path == "/api/2.0/mlflow-artifacts/artifacts") {
    Json answer = Json::object();
    Json files = files_below("", asked().text_value("path"), false);
    if (!files.empty()) answer["files"] = std::move(files);
    return json_answer(answer);
  }
  if (const auto place = below("/api/2.0/mlflow-artifacts/artifacts/")) {
    if (request.method == get) return file(*place);
    if (request.method == Method::put) {
      store.files[*place] = request.body;
    } else if (request.method == Method::del) {
      store.files.erase(*place);
      std::erase_if(store.files,
                    [&](const auto& entry) { return entry.first.compare(0, place->size() + 1, *place + "/") == 0; });
    } else {
      return html_page(405, "Method Not Allowed");
    }
    return json_answer(Json::object());
  }
  for (const std::string_view step : {"create", "complete", "abort"}) {
    if (request.method == Method::post && below(fmt::format("/api/2.0/mlflow-artifacts/mpu/{}/", step))) {
      refuse("Multipart upload is not supported for the current artifact repository", "NOT_IMPLEMENTED");
    }
  }
  if (request.method == get && v3() && below("/api/2.0/mlflow-artifacts/presigned/")) {
    refuse("Multipart download is not supported for the current artifact repository", "NOT_IMPLEMENTED");
  }
  return std::nullopt;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
