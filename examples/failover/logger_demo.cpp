// The second act of `make demo`: training runs that log through RunLoggers while every server is dead. One such process
// is killed with SIGKILL in the middle of it; `mlflowha replay` delivers what it leaves behind.
//
//   MLFLOW_TRACKING_URI=http://a:5000,http://b:5000 logger_demo --experiment=durable --job=1 --runs=3 --rate=250
//       --stagger=4 --directory=spool --durability=interval
//
// Each run logs at a steady rate until SIGTERM, then ends. What was acknowledged is reported as one JSON object a line
// (README.md has the keys), and only after it was: demo.py holds that against the database.

#include <mlflowha/logging.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using nlohmann::json;
using namespace std::chrono_literals;

// The plan; the same numbers as in second_act.py.
constexpr const char* metric_key = "loss";
constexpr const char* note_key = "seq";
constexpr int params = 5;
constexpr auto beat = 50ms;  // between two bursts of a run

double point_value(int number, long step) { return number * 1e7 + static_cast<double>(step); }

double monotonic() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

volatile std::sig_atomic_t asked_to_end = 0;

/// Writes the report; thread-safe.
class Report final : public mlflowha::LoggerObserver {
 public:
  void write(const char* event, json fields) {
    fields["event"] = event;
    fields["t"] = monotonic();
    const std::string line = fields.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    const std::lock_guard lock(mutex_);
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  }
  void on_degraded(const mlflowha::Error& why) noexcept override { write("degraded", {{"why", to_string(why.code)}}); }
  void on_recovered(mlflowha::Duration after) noexcept override {
    write("recovered", {{"after_s", std::chrono::duration<double>(after).count()}});
  }
  void on_refused(std::uint64_t entries, const mlflowha::Error& why) noexcept override {
    write("refused", {{"entries", entries}, {"why", describe(why)}});
  }

 private:
  std::mutex mutex_;
};

struct Arguments {
  std::string experiment;
  std::string directory;
  mlflowha::Durability durability = mlflowha::Durability::interval;
  int job = 0;
  int runs = 0;
  int rate = 0;
  std::chrono::duration<double> stagger{0};
};

Arguments parse_arguments(int argc, char** argv) {
  std::map<std::string, std::string, std::less<>> given = {{"experiment", "durable-demo"},
                                                           {"directory", "mlflowha-spool"},
                                                           {"durability", "interval"},
                                                           {"job", "1"},
                                                           {"runs", "3"},
                                                           {"rate", "250"},
                                                           {"stagger", "4"}};
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto equals = argument.find('=');
    const auto known = argument.starts_with("--") && equals != argument.npos
                           ? given.find(argument.substr(2, equals - 2))
                           : given.end();
    if (known == given.end()) throw std::invalid_argument("not understood: " + std::string(argument));
    known->second = argument.substr(equals + 1);
  }
  Arguments arguments;
  arguments.experiment = given["experiment"];
  arguments.directory = given["directory"];
  if (given["durability"] == "each") arguments.durability = mlflowha::Durability::each;
  arguments.job = std::stoi(given["job"]);
  arguments.runs = std::stoi(given["runs"]);
  arguments.rate = std::stoi(given["rate"]);
  arguments.stagger = std::chrono::duration<double>(std::stod(given["stagger"]));
  if (arguments.runs < 1 || arguments.rate < 1) throw std::invalid_argument("--runs and --rate: at least 1");
  return arguments;
}

/// One training run, on a thread of its own.
class Training {
 public:
  Training(const mlflowha::Client& client, std::shared_ptr<Report> report, const Arguments& arguments, int index)
      : client_(client),
        report_(std::move(report)),
        arguments_(arguments),
        number_(arguments.job * 100 + index),
        name_("job-" + std::to_string(arguments.job) + "-run-" + std::to_string(index)) {}

  void run() {
    mlflowha::RunLoggerOptions options;
    options.experiment = arguments_.experiment;
    options.run_name = name_;
    options.directory = arguments_.directory;
    options.durability = arguments_.durability;
    options.observer = report_;
    report_->write("starting", {{"run", name_}, {"number", number_}});
    auto logger = timed([&] { return mlflowha::RunLogger::start(client_, options).value(); });  // asks no server
    report_->write("started", {{"run", name_}, {"longest_ms", longest_ms()}});
    for (int i = 0; i < params; ++i) {
      timed([&] { logger.log_param("param" + std::to_string(i), name_ + "-" + std::to_string(i)).value(); });
    }
    timed([&] { logger.commit().value(); });
    report_->write("params", {{"run", name_}, {"count", params}});
    log(logger);
    timed([&] { logger.end().value(); });
    timed([&] { logger.commit().value(); });
    report_->write("ended", {{"run", name_}, {"longest_ms", longest_ms()}});
    const mlflowha::CloseReport closed = logger.close(60s).value();
    report_->write("closed", {{"run", name_}, {"drained", closed.drained}, {"waiting", closed.waiting}});
  }

 private:
  void log(mlflowha::RunLogger& logger) {
    const auto began = std::chrono::steady_clock::now();
    long step = 0;
    for (long turn = 1; asked_to_end == 0; ++turn) {
      std::this_thread::sleep_until(began + turn * beat);
      const long upto = turn * arguments_.rate / (1s / beat);
      // A killed process may have logged more than it could say: up to here.
      report_->write("trying", {{"run", name_}, {"points", upto}, {"note", turn}});
      for (; step < upto; ++step) {
        timed([&] { logger.log_metric(metric_key, point_value(number_, step), step).value(); });
      }
      timed([&] { logger.set_tag(note_key, std::to_string(turn)).value(); });
      timed([&] { logger.commit().value(); });  // with `each` every call has done so already
      const mlflowha::LoggerStatus status = logger.status();
      report_->write("logged", {{"run", name_},
                                {"points", upto},
                                {"note", turn},
                                {"waiting", status.waiting},
                                {"state", to_string(status.state)},
                                {"longest_ms", longest_ms()}});
    }
  }

  /// Does something that must not wait for any server.
  template <class Call>
  auto timed(Call&& call) -> decltype(call()) {
    struct Watch {
      std::chrono::nanoseconds& longest;
      std::chrono::steady_clock::time_point before = std::chrono::steady_clock::now();
      ~Watch() { longest = std::max<std::chrono::nanoseconds>(longest, std::chrono::steady_clock::now() - before); }
    } watch{longest_};
    return call();
  }
  double longest_ms() const { return std::chrono::duration<double, std::milli>(longest_).count(); }

  const mlflowha::Client& client_;
  std::shared_ptr<Report> report_;
  const Arguments& arguments_;
  int number_;
  std::string name_;
  std::chrono::nanoseconds longest_{0};
};

void work(const Arguments& arguments) {
  const auto client = mlflowha::Client::from_env().value();
  const auto report = std::make_shared<Report>();
  report->write("start", json::object());
  std::vector<std::thread> threads;
  for (int index = 0; index < arguments.runs; ++index) {
    threads.emplace_back([&, index] {
      try {
        // The later ones begin when all servers are dead.
        std::this_thread::sleep_for(index * arguments.stagger);
        Training(client, report, arguments, index).run();
      } catch (const std::exception& error) {
        report->write("failed", {{"why", error.what()}});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  report->write("done", json::object());
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGTERM, [](int) { asked_to_end = 1; });
  try {
    work(parse_arguments(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "logger_demo: %s\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
