// Fuzz: the in-memory MLflow's registry, logged models, webhooks and artifacts answer any request. First byte: route
// and version; then the query or body.

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
      {Method::post, "/api/2.0/mlflow/registered-models/create"},
      {Method::post, "/api/2.0/mlflow/registered-models/rename"},
      {Method::patch, "/api/2.0/mlflow/registered-models/update"},
      {Method::get, "/api/2.0/mlflow/registered-models/search"},
      {Method::post, "/api/2.0/mlflow/registered-models/get-latest-versions"},
      {Method::post, "/api/2.0/mlflow/registered-models/set-tag"},
      {Method::post, "/api/2.0/mlflow/registered-models/alias"},
      {Method::get, "/api/2.0/mlflow/registered-models/alias"},
      {Method::post, "/api/2.0/mlflow/model-versions/create"},
      {Method::post, "/api/2.0/mlflow/model-versions/transition-stage"},
      {Method::del, "/api/2.0/mlflow/model-versions/delete"},
      {Method::get, "/api/2.0/mlflow/model-versions/search"},
      {Method::post, "/api/2.0/mlflow/logged-models"},
      {Method::post, "/api/2.0/mlflow/logged-models/search"},
      {Method::patch, "/api/2.0/mlflow/logged-models/m-1/tags"},
      {Method::post, "/api/2.0/mlflow/runs/log-model"},
      {Method::post, "/api/2.0/mlflow/runs/log-inputs"},
      {Method::post, "/api/2.0/mlflow/runs/outputs"},
      {Method::post, "/api/2.0/mlflow/webhooks"},
      {Method::get, "/api/2.0/mlflow/webhooks"},
      {Method::get, "/api/2.0/mlflow/artifacts/list"},
      {Method::get, "/api/2.0/mlflow-artifacts/artifacts"},
      {Method::get, "/get-artifact"},
      {Method::get, "/model-versions/get-artifact"},
      {Method::post, "/ajax-api/2.0/mlflow/upload-artifact"},
      {Method::get, "/ajax-api/2.0/mlflow/metrics/get-history-bulk"},
      {Method::put, "/api/2.0/mlflow-artifacts/artifacts/"},  // the input is the path
      {Method::get, "/api/2.0/mlflow/logged-models/"},
  };
  constexpr std::size_t first_path = std::size(routes) - 2;
  if (size == 0) return 0;
  BackendOptions options;
  options.version = (data[0] & 0x80U) != 0 ? ServerVersion::v2 : ServerVersion::v3;
  FakeBackend backend(options);
  const mlflowha::WallTime now{std::chrono::milliseconds(1)};
  const auto ask = [&](Method method, const std::string& target, const std::string& body) {
    mlflowha::Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    return backend.handle(request, now);
  };
  static_cast<void>(ask(Method::post, "/api/2.0/mlflow/runs/create", R"({"experiment_id": "0"})"));
  static_cast<void>(ask(Method::post, routes[0].path, R"({"name": "m"})"));
  static_cast<void>(ask(Method::post, routes[8].path, R"({"name": "m", "source": "mlflow-artifacts:/0"})"));
  const std::string run = backend.runs().at(0).run_id;

  const std::size_t which = (data[0] & 0x7FU) % std::size(routes);
  std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  // "RUN" stands for the run's id, which no corpus can know.
  for (std::size_t at = input.find("RUN"); at != std::string::npos; at = input.find("RUN", at + run.size())) {
    input.replace(at, 3, run);
  }
  const Route& route = routes[which];
  const bool in_target = route.method == Method::get || which >= first_path;
  std::string target = route.path;
  if (in_target) target += (which >= first_path ? "" : "?") + input;
  // Twice: the second one meets what the first one has stored.
  for (int i = 0; i < 2; ++i) {
    const mlflowha::Response response = ask(route.method, target, in_target ? "x" : input);
    if (response.status < 200 || response.status > 503) std::abort();
  }
  return 0;
}
