// Fuzz: the in-memory MLflow answers any request. First byte: operation and version; then the query or body.

#include <mlflowha/testing/fake_backend.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mlflowha::testing;
  static constexpr const char* targets[] = {
      "experiments/create", "experiments/search", "experiments/update",  "runs/create",  "runs/update",
      "runs/search",        "runs/log-metric",    "runs/log-parameter",  "runs/set-tag", "runs/delete-tag",
      "runs/log-batch",     "experiments/get",    "metrics/get-history", "runs/get",     "experiments/search",
  };
  constexpr std::size_t first_get = 11;
  if (size == 0) return 0;
  BackendOptions options;
  options.version = (data[0] & 0x80U) != 0 ? ServerVersion::v2 : ServerVersion::v3;
  FakeBackend backend(options);
  const mlflowha::WallTime now{std::chrono::milliseconds(1)};
  mlflowha::Request request;
  request.method = mlflowha::Method::post;
  request.target = "/api/2.0/mlflow/runs/create";
  request.body = R"({"experiment_id": "0", "tags": [{"key": "t", "value": "v"}]})";
  static_cast<void>(backend.handle(request, now));
  const std::string run = backend.runs().at(0).run_id;
  request.target = "/api/2.0/mlflow/runs/log-metric";
  request.body = R"({"run_id": ")" + run + R"(", "key": "m", "value": 1, "timestamp": 1})";
  static_cast<void>(backend.handle(request, now));

  const std::size_t which = (data[0] & 0x7FU) % std::size(targets);
  std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  // "RUN" stands for the run's id, which no corpus can know.
  for (std::size_t at = input.find("RUN"); at != std::string::npos; at = input.find("RUN", at + run.size())) {
    input.replace(at, 3, run);
  }
  request.target = std::string("/api/2.0/mlflow/") + targets[which];
  if (which >= first_get) {
    request.method = mlflowha::Method::get;
    request.target += "?" + input;
    request.body.clear();
  } else {
    request.body = input;
  }
  const mlflowha::Response response = backend.handle(request, now);
  if (response.status < 200 || response.status > 503 || response.body.empty()) std::abort();
  return 0;
}
