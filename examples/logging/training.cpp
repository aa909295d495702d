// A training loop that logs through a RunLogger. Run it with servers, without servers, kill it: nothing is lost.
// Servers come from MLFLOW_TRACKING_URI; what could not be delivered is in ./mlflowha-spool for `mlflowha replay`.
#include <mlflowha/logging.hpp>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>

using namespace std::chrono_literals;

static int train(const mlflowha::Client& client) {
  auto logger = mlflowha::RunLogger::start(client, {.experiment = "lm", .run_name = "try-7"}).value();
  logger.log_params({{.key = "lr", .value = "3e-4"}, {.key = "layers", .value = "12"}}).value();
  for (int step = 0; step < 10'000; ++step) {
    const double loss = std::exp(-step / 2'000.0);
    logger.log_metric("loss", loss, step).value();  // a fraction of a microsecond; asks no server
  }
  if (std::ofstream("weights.bin") << "the model") {
    logger.log_artifact("weights.bin", "checkpoints").value();  // a copy: the file may be overwritten at once
  }
  const mlflowha::CloseReport report = logger.close(30s).value();
  if (report.drained) {
    std::printf("run %s is on the server\n", report.run_id.c_str());
    return 0;
  }
  std::printf("%llu entries wait in %s; deliver them with: %s\n", static_cast<unsigned long long>(report.waiting),
              report.spool.c_str(), report.replay.c_str());
  return 3;
}

static mlflowha::ReplayReport deliver_later(const mlflowha::Client& client) {
  return mlflowha::replay(client, {.directory = "mlflowha-spool", .patience = 10min}).value();
}

int main(int argc, char** argv) {
  try {
    const mlflowha::Client client = mlflowha::Client::from_env().value();
    if (argc > 1 && std::string(argv[1]) == "replay") {
      std::puts(to_json(deliver_later(client)).c_str());
      return 0;
    }
    return train(client);
  } catch (const mlflowha::Exception& exception) {
    std::puts(exception.what());
    return 1;
  }
}
