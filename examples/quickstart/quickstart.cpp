// The smallest program: one run, logged through a list of servers.
//   MLFLOW_TRACKING_URI=http://127.0.0.1:5000,http://127.0.0.1:5001 ./quickstart
#include <mlflowha/mlflowha.hpp>

#include <cmath>
#include <cstdio>

int main() {
  try {
    auto client = mlflowha::Client::from_env().value();
    auto run = client.create_run({.experiment_id = "0", .run_name = "first"}).value();
    client.log_param(run.info.run_id, "lr", "3e-4").value();
    for (int step = 0; step < 100; ++step) {
      client.log_metric(run.info.run_id, "loss", std::exp(-0.05 * step), {.step = step}).value();
    }
    client.set_terminated(run.info.run_id).value();
    std::printf("run %s is complete\n%s\n", run.info.run_id.c_str(), to_json(client.health()).c_str());
  } catch (const mlflowha::Exception& exception) {
    std::fprintf(stderr, "%s\n", exception.what());
    return 1;
  }
  return 0;
}
