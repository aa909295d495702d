// mlflowha-fake-server: FakeServer as a program, one or several on one in-memory backend.

#include <mlflowha/testing/fake_server.hpp>

#include <cstdio>
#include <memory>
#include <string>

#include "cli.hpp"

namespace {

using namespace mlflowha_cli;
using mlflowha::testing::FakeBackend;
using mlflowha::testing::FakeServer;

constexpr const char* help =
    "mlflowha-fake-server [--port N] [--servers N] [--mlflow 3|2] [--script FILE] [--seed N] [--latency-ms N]\n"
    "                     [--username U --password P | --bearer TOKEN]\n"
    "\n"
    "An MLflow tracking server in memory on 127.0.0.1 (port 0: a free one); --servers opens several ports on one\n"
    "database (each plays the script). Prints {\"port\": N, \"ports\": [...]} when it is ready. SIGHUP reads FILE\n"
    "again, SIGUSR1 prints the counts, SIGTERM prints them and ends.\n";

int run(int argc, char** argv) {
  const Flags flags(argc, argv,
                    {"port", "servers", "mlflow", "script", "seed", "latency-ms", "username", "password", "bearer"});
  if (flags.help()) {
    std::fputs(help, stdout);
    return 0;
  }
  const auto script = flags.text("script");
  const std::uint64_t count = flags.number("servers", 1, 1000);
  mlflowha::testing::BackendOptions backend_options;
  backend_options.seed = flags.number("seed", 1, UINT64_MAX);
  const std::uint64_t version = flags.number("mlflow", 3, UINT64_MAX);
  if (version != 2 && version != 3) throw Usage{"--mlflow is " + std::to_string(version) + ", expected 2 or 3"};
  backend_options.version = version == 2 ? mlflowha::testing::ServerVersion::v2 : mlflowha::testing::ServerVersion::v3;
  mlflowha::testing::FakeServerOptions options;
  options.port = static_cast<std::uint16_t>(flags.number("port", 0, UINT16_MAX));
  options.faults = load_script(script);
  options.seed = backend_options.seed;
  options.latency = std::chrono::milliseconds(flags.number("latency-ms", 0, 3'600'000));
  options.username = flags.text("username").value_or("");
  options.password = flags.text("password").value_or("");
  options.bearer = flags.text("bearer").value_or("");
  if (count < 1) throw Usage{"--servers is 0, expected 1..1000"};
  if (count > 1 && options.port != 0) throw Usage{"--port with --servers: several servers can't share a port"};

  const sigset_t signals = block_signals();
  const auto backend = std::make_shared<FakeBackend>(backend_options);
  std::vector<std::unique_ptr<FakeServer>> servers;
  nlohmann::ordered_json ready;
  ready["port"] = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    servers.push_back(std::make_unique<FakeServer>(backend, options));
    ready["ports"].push_back(servers.back()->port());
  }
  ready["port"] = servers.front()->port();
  print_line(ready);

  const auto report = [&] {
    const auto stored = backend->counts();
    nlohmann::ordered_json counts;
    counts["requests"] = stored.requests;
    counts["experiments"] = stored.experiments;
    counts["runs"] = stored.runs;
    counts["metric_points"] = stored.points;
    counts["repeated_points"] = stored.repeated_points;
    for (const auto& server : servers) {
      nlohmann::ordered_json one;
      one["port"] = server->port();
      one["requests"] = server->requests();
      one["connections"] = server->connections();
      one["rules"] = to_json(server->fault_counts());
      counts["servers"].push_back(std::move(one));
    }
    print_line(counts);
  };
  const auto reload = [&] {
    const auto rules = load_script(script);
    for (const auto& server : servers) server->set_faults(rules);
  };
  serve_until_told(signals, reload, report);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Usage& usage) {
    std::fprintf(stderr, "mlflowha-fake-server: %s\n\n%s", usage.message.c_str(), help);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mlflowha-fake-server: %s\n", error.what());
  }
  return 2;
}
