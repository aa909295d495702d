// A user's program that logs durably, without any server.

#include <mlflowha/logging.hpp>

#include <cstdio>

int main() {
  mlflowha::ClientOptions options;
  options.endpoints = {"http://127.0.0.1:9"};
  const auto client = mlflowha::Client::create(options).value();
  mlflowha::RunLoggerOptions logging;
  logging.durability = mlflowha::Durability::none;
  auto logger = mlflowha::RunLogger::start(client, logging).value();
  logger.log_metric("loss", 0.5).value();
  const auto report = logger.close(std::chrono::milliseconds(50)).value();
  if (report.drained || report.waiting != 2) return 1;
  std::printf("mlflowha %s, logged\n", MLFLOWHA_VERSION_STRING);
  return 0;
}
