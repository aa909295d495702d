// Fuzz: the in-memory MLflow's traces, assessments, evaluation datasets, scorers and issues answer any request. First
// byte: route and version; then the query or body. "DATASET" stands for a dataset's id.

#include <mlflowha/testing/fake_backend.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mlflowha::testing;
  using mlflowha::Method;
  struct Route {
    Method method;
    const char* path;
  };
  static constexpr Route routes[] = {
      {Method::post, "/api/3.0/mlflow/traces"},
      {Method::post, "/api/3.0/mlflow/traces/search"},
      {Method::post, "/api/3.0/mlflow/traces/delete-traces"},
      {Method::post, "/api/3.0/mlflow/traces/batchGetInfos"},
      {Method::patch, "/api/3.0/mlflow/traces/t/tags"},
      {Method::del, "/api/3.0/mlflow/traces/t/tags"},
      {Method::post, "/api/3.0/mlflow/traces/calculate-filter-correlation"},
      {Method::post, "/api/2.0/mlflow/traces/link-to-run"},
      {Method::post, "/api/2.0/mlflow/traces/link-prompts"},
      {Method::post, "/api/2.0/mlflow/traces"},
      {Method::patch, "/api/2.0/mlflow/traces/t"},
      {Method::get, "/api/2.0/mlflow/traces"},
      {Method::post, "/api/3.0/mlflow/traces/t/assessments"},
      {Method::patch, "/api/3.0/mlflow/traces/t/assessments/a"},
      {Method::post, "/api/3.0/mlflow/datasets/create"},
      {Method::post, "/api/3.0/mlflow/datasets/search"},
      {Method::patch, "/api/3.0/mlflow/datasets/DATASET/tags"},
      {Method::post, "/api/3.0/mlflow/datasets/DATASET/records"},
      {Method::get, "/api/3.0/mlflow/datasets/DATASET/records"},
      {Method::del, "/api/3.0/mlflow/datasets/DATASET/records"},
      {Method::post, "/api/3.0/mlflow/datasets/DATASET/add-experiments"},
      {Method::post, "/api/3.0/mlflow/scorers/register"},
      {Method::get, "/api/3.0/mlflow/scorers/list"},
      {Method::get, "/api/3.0/mlflow/scorers/get"},
      {Method::put, "/api/3.0/mlflow/scorers/online-config"},
      {Method::post, "/api/3.0/mlflow/issues"},
      {Method::post, "/api/3.0/mlflow/issues/search"},
  };
  if (size == 0) return 0;
  BackendOptions options;
  options.version = (data[0] & 0x80U) != 0 ? ServerVersion::v2 : ServerVersion::v3;
  FakeBackend backend(options);
  const mlflowha::WallTime now{std::chrono::milliseconds(1)};
  const auto ask = [&](Method method, const std::string& target, const std::string& body, ServerVersion version) {
    mlflowha::Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    return backend.handle(request, now, version);
  };
  // Something to ask for, whatever the release.
  const auto prepare = [&](const std::string& target, const std::string& body) {
    return ask(Method::post, "/api/3.0/mlflow/" + target, body, ServerVersion::v3).body;
  };
  prepare("traces",
          R"({"trace": {"trace_info": {"trace_id": "t", "trace_location": {"mlflow_experiment": {"experiment_id":
    "0"}}, "tags": {"k": "v"}, "assessments": [{"assessment_id": "a", "assessment_name": "n", "feedback": {"value": 1}}]}}})");
  prepare("scorers/register", R"({"experiment_id": "0", "name": "s", "serialized_scorer": "{}"})");
  const std::string made = prepare("datasets/create", R"({"name": "d", "tags": "{\"k\": \"v\"}"})");
  const std::string id = made.substr(made.find("d-"), 34);
  prepare("datasets/" + id + "/records", R"({"records": "[{\"inputs\": {\"q\": 1}}]"})");

  const Route& route = routes[(data[0] & 0x7FU) % std::size(routes)];
  const std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string target = route.path;
  if (const std::size_t at = target.find("DATASET"); at != std::string::npos) target.replace(at, 7, id);
  if (route.method == Method::get) target += "?" + input;
  // Twice: the second one meets what the first one has stored.
  for (int i = 0; i < 2; ++i) {
    const auto response = ask(route.method, target, route.method == Method::get ? "" : input, options.version);
    if (response.status < 200 || response.status > 503 || (response.body.empty() && response.status != 404))
      std::abort();
  }
  // And what it stored can be read.
  for (const char* path : {"traces/t", "datasets/search", "scorers/list?experiment_id=0"}) {
    static_cast<void>(ask(Method::get, std::string("/api/3.0/mlflow/") + path, "", ServerVersion::v3));
  }
  return 0;
}
