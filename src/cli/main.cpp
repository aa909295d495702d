// The command-line tool `mlflowha`. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 partly done, 5 no
// server could be reached.

#include <mlflowha/logging/replayer.hpp>

#include <unistd.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

namespace {

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;
constexpr int exit_partial = 3;
constexpr int exit_unreachable = 5;

volatile std::sig_atomic_t interrupted = 0;

/// One line on a terminal, rewritten; nothing where stderr isn't one.
class Screen final : public mlflowha::ReplayObserver {
 public:
  void on_progress(const mlflowha::ReplayProgress& progress) noexcept override {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || now - shown_ < std::chrono::milliseconds(200)) return;
    shown_ = now;
    const auto left = progress.eta ? std::chrono::duration_cast<std::chrono::seconds>(*progress.eta).count() : 0;
    std::fprintf(stderr, "\r%llu of %llu entries, %.0f/s, %lld s left   ",
                 static_cast<unsigned long long>(progress.delivered), static_cast<unsigned long long>(progress.total),
                 progress.per_second, static_cast<long long>(left));
    open_ = true;
  }
  void on_waiting(const mlflowha::Error& why, mlflowha::Duration pause) noexcept override {
    end_line();
    std::fprintf(stderr, "waiting %.1f s: %s\n", std::chrono::duration<double>(pause).count(),
                 std::string(to_string(why.code)).c_str());
  }
  void end_line() noexcept {
    if (open_) std::fputc('\n', stderr);
    open_ = false;
  }

 private:
  const bool terminal_ = ::isatty(2) != 0;
  bool open_ = false;
  std::chrono::steady_clock::time_point shown_{};
};

void print(const mlflowha::ReplayReport& report) {
  for (const mlflowha::ReplayedSpool& spool : report.spools) {
    std::printf("%s: %s, %llu runs, %llu delivered, %llu waiting, %llu quarantined\n", spool.path.c_str(),
                std::string(to_string(spool.state)).c_str(), static_cast<unsigned long long>(spool.runs),
                static_cast<unsigned long long>(spool.delivered), static_cast<unsigned long long>(spool.waiting),
                static_cast<unsigned long long>(spool.quarantined));
    if (spool.artifacts != 0) {
      std::printf("  artifacts waiting: %llu, %llu bytes\n", static_cast<unsigned long long>(spool.artifacts),
                  static_cast<unsigned long long>(spool.artifact_bytes));
    }
    for (const std::string& run : spool.refused_runs) std::printf("  refused: run %s\n", run.c_str());
    for (const mlflowha::RefusedRecord& record : spool.refused) {
      std::printf("  refused: %s of run %s: %s\n", record.record.c_str(), record.run.c_str(), record.reason.c_str());
    }
    if (spool.quarantined > spool.refused.size()) {
      std::printf("  refused: %llu more\n", static_cast<unsigned long long>(spool.quarantined - spool.refused.size()));
    }
    if (spool.error) std::printf("  %s\n", describe(*spool.error).c_str());
  }
  if (report.unreachable) std::printf("stopped: %s\n", describe(*report.unreachable).c_str());
  std::printf("%llu delivered, %llu waiting\n", static_cast<unsigned long long>(report.delivered),
              static_cast<unsigned long long>(report.waiting));
}

struct ReplayArguments {
  std::string directory;
  bool dry_run = false;
  bool json = false;
  double patience = 120;
};

int run_replay(const ReplayArguments& arguments) {
  auto options = mlflowha::ClientOptions::from_env();
  if (!options) {
    std::fprintf(stderr, "mlflowha: %s\n", describe(options.error()).c_str());
    return exit_usage;
  }
  // A dry run asks no server, so it needs none.
  if (arguments.dry_run && options->endpoints.empty()) options->endpoints = {"http://localhost:5000"};
  const auto client = mlflowha::Client::create(*options);
  if (!client) {
    std::fprintf(stderr, "mlflowha: %s\n", describe(client.error()).c_str());
    return exit_usage;
  }
  const auto screen = std::make_shared<Screen>();
  mlflowha::CancellationSource cancel;
  mlflowha::ReplayOptions replaying;
  replaying.directory = arguments.directory;
  replaying.dry_run = arguments.dry_run;
  replaying.patience =
      std::chrono::duration_cast<mlflowha::Duration>(std::chrono::duration<double>(arguments.patience));
  replaying.cancel = cancel.get_token();
  replaying.observer = screen;
  for (const int number : {SIGINT, SIGTERM}) {
    std::signal(number, [](int) { interrupted = 1; });
  }
  // Only a thread may cancel: a signal handler may do next to nothing.
  std::jthread watch([&](const std::stop_token& done) {
    while (!done.stop_requested() && interrupted == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (interrupted != 0) cancel.request_stop();
  });
  const auto report = replay(*client, replaying);
  screen->end_line();
  if (!report) {
    std::fprintf(stderr, "mlflowha: %s\n", describe(report.error()).c_str());
    return exit_failed;
  }
  if (arguments.json) {
    std::printf("%s\n", to_json(*report).c_str());
  } else {
    print(*report);
  }
  if (std::fflush(stdout) != 0 ||
      std::ferror(stdout) != 0) {  // whoever reads the report must not take its loss for a success
    std::fprintf(stderr, "mlflowha: the report can't be written to standard output\n");
    return exit_failed;
  }
  if (arguments.dry_run) {
    for (const mlflowha::ReplayedSpool& spool : report->spools) {
      if (spool.state == mlflowha::ReplayedSpool::State::damaged) return exit_partial;
    }
    return 0;
  }
  if (report->complete()) return 0;
  return report->unreachable && report->delivered == 0 ? exit_unreachable : exit_partial;
}

/// CLI::Range takes NaN, which is neither below nor above anything.
std::string is_number(const std::string& text) {
  return std::isnan(std::strtod(text.c_str(), nullptr)) ? "Value " + text + " is not a number" : std::string();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("mlflowha: an MLflow client that survives server failures");
  app.require_subcommand(1);
  ReplayArguments arguments;
  CLI::App* replay = app.add_subcommand("replay", "deliver what RunLoggers left in a directory of spools");
  replay->add_option("DIR", arguments.directory, "the directory")->required()->check(CLI::ExistingDirectory);
  replay->add_flag("--dry-run", arguments.dry_run, "only say what is there");
  replay->add_flag("--json", arguments.json, "the report as JSON");
  replay->add_option("--patience", arguments.patience, "seconds without any delivery before it gives up")
      ->check(CLI::Range(0.0, 1e6))
      ->check(is_number)
      ->capture_default_str();
  replay->footer(
      "Servers come from MLFLOWHA_ENDPOINTS or MLFLOW_TRACKING_URI. May be interrupted and repeated at will.\n"
      "Exit codes: 0 all delivered, 2 usage, 3 something is left, 5 no server could be reached.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }
  return run_replay(arguments);
}
