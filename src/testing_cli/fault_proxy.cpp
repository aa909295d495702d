// mlflowha-fault-proxy: FaultProxy as a program, for tests in other languages and for demos.

#include <mlflowha/testing/fault_proxy.hpp>

#include <cstdio>
#include <string>

#include "cli.hpp"

namespace {

using namespace mlflowha_cli;

constexpr const char* help =
    "mlflowha-fault-proxy --upstream HOST:PORT [--listen 127.0.0.1:PORT] [--script FILE] [--seed N]\n"
    "\n"
    "Stands in front of an HTTP server and lets go wrong what FILE says (the language is in docs/testing.md).\n"
    "Prints {\"port\": N, ...} when it is ready. SIGHUP reads FILE again, SIGUSR1 prints the counts,\n"
    "SIGTERM prints them and ends.\n";

mlflowha::Uri upstream_of(const Flags& flags) {
  const auto text = flags.text("upstream");
  if (!text) throw Usage{"--upstream HOST:PORT is missing"};
  auto uri = mlflowha::parse_uri(text->find("://") == std::string::npos ? "http://" + *text : *text);
  if (!uri) throw Usage{"--upstream: " + uri.error().message};
  return *uri;
}

std::uint16_t listen_port(const Flags& flags) {
  const std::string text = flags.text("listen").value_or("127.0.0.1:0");
  const std::string host = "127.0.0.1:";
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  if (text.compare(0, host.size(), host) != 0) throw Usage{"--listen is \"" + text + "\", expected 127.0.0.1:PORT"};
  const auto [stop, status] = std::from_chars(text.data() + host.size(), end, port);
  if (status != std::errc{} || stop != end) throw Usage{"--listen is \"" + text + "\", expected 127.0.0.1:PORT"};
  return port;
}

int run(int argc, char** argv) {
  const Flags flags(argc, argv, {"upstream", "listen", "script", "seed"});
  if (flags.help()) {
    std::fputs(help, stdout);
    return 0;
  }
  const auto script = flags.text("script");
  mlflowha::testing::FaultProxyOptions options;
  options.port = listen_port(flags);
  options.faults = load_script(script);
  options.seed = flags.number("seed", 1, UINT64_MAX);
  const mlflowha::Uri upstream = upstream_of(flags);
  const sigset_t signals = block_signals();
  mlflowha::testing::FaultProxy proxy(upstream, std::move(options));
  nlohmann::ordered_json ready;
  ready["port"] = proxy.port();
  ready["url"] = proxy.url();
  ready["upstream"] = upstream.base();
  print_line(ready);
  const auto report = [&] {
    nlohmann::ordered_json counts;
    counts["requests"] = proxy.requests();
    counts["connections"] = proxy.connections();
    counts["forwarded"] = proxy.forwarded();
    counts["rules"] = to_json(proxy.fault_counts());
    print_line(counts);
  };
  serve_until_told(signals, [&] { proxy.set_faults(load_script(script)); }, report);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Usage& usage) {
    std::fprintf(stderr, "mlflowha-fault-proxy: %s\n\n%s", usage.message.c_str(), help);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mlflowha-fault-proxy: %s\n", error.what());
  }
  return 2;
}
