// The program that `make demo` hurts: a sweep of short training runs, logged through a list of servers.
//
//   MLFLOW_TRACKING_URI=http://a:5000,http://b:5000 failover_demo --experiment=sweep --trials=100 --workers=4
//       --seconds=60 --deadline=30
//
// All it does for the servers' faults is to use mlflowha::Client; the rest is the workload (the plan is in workload.py)
// and a report, one JSON object a line, of what it was told (README.md has the keys). Ends with 0 when the work is
// done, whether or not calls failed: demo.py judges that from the report and the database.

#include <mlflowha/mlflowha.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
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
using Seconds = std::chrono::duration<double>;

// The plan; the same numbers as in workload.py.
constexpr const char* metric_key = "loss";
constexpr int params = 5;
constexpr int tags = 5;
constexpr int points = 100;
constexpr int batch_size = 10;
constexpr int calls_of_a_trial = 40;
constexpr int parent_trial = -1;

bool is_batch(int turn) { return turn % 7 == 2 || turn % 7 == 5; }
double point_value(int trial, int step) { return trial * 1000.0 + step; }
std::string text_value(int trial, int number) { return std::to_string(trial) + "-" + std::to_string(number); }

/// Seconds on the monotonic clock, which demo.py reads as well.
double monotonic() { return Seconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Writes the report. The client tells it about attempts, endpoints and twins; the workers tell it about calls.
class Report final : public mlflowha::Observer {
 public:
  void write(const char* event, json fields) {
    fields["event"] = event;
    fields["t"] = monotonic();
    const std::string line = fields.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    const std::lock_guard lock(mutex_);
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  }

  void on_attempt(const mlflowha::AttemptEvent& event) noexcept override {
    const auto& record = event.record;
    const bool answered = record.http_status >= 200 && record.http_status < 300;
    write("attempt", {{"call", event.call_id},
                      {"op", event.operation},
                      {"number", event.number},
                      {"purpose", record.purpose},
                      {"endpoint", record.endpoint},
                      {"outcome", answered ? "ok" : record.outcome},
                      {"ms", std::chrono::duration<double, std::milli>(record.duration).count()}});
  }

  void on_endpoint(const mlflowha::EndpointEvent& event) noexcept override {
    write("endpoint", {{"endpoint", event.endpoint},
                       {"health_before", to_string(event.health_before)},
                       {"health", to_string(event.health_after)},
                       {"breaker_before", to_string(event.breaker_before)},
                       {"breaker", to_string(event.breaker_after)},
                       {"reason", event.reason}});
  }

  void on_twin(const mlflowha::TwinEvent& event) noexcept override {
    write("twin", {{"kept", event.kept_id}, {"twin", event.twin_id}, {"removed", event.removed}});
  }

 private:
  std::mutex mutex_;
};

/// One call of the workload, from its start to its line in the report.
class ReportedCall {
 public:
  ReportedCall(Report& report, const char* op, json fields)
      : report_(report), fields_(std::move(fields)), start_(monotonic()) {
    fields_["op"] = op;
  }

  void set(const char* key, json value) { fields_[key] = std::move(value); }

  template <class T>
  void finish(const mlflowha::Result<T>& result) {
    fields_["start"] = start_;
    fields_["ok"] = result.has_value();
    if (!result) fields_["error"] = describe(result.error());
    report_.write("call", std::move(fields_));
  }

 private:
  Report& report_;
  json fields_;
  double start_;
};

struct Arguments {
  std::string experiment;
  int trials = 0;
  int workers = 0;
  Seconds length{0};
  Seconds deadline{0};
};

Arguments parse_arguments(int argc, char** argv) {
  std::map<std::string, std::string, std::less<>> given;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto equals = argument.find('=');
    if (!argument.starts_with("--") || equals == std::string_view::npos) {
      throw std::invalid_argument("expected --name=value, got " + std::string(argument));
    }
    given.emplace(argument.substr(2, equals - 2), argument.substr(equals + 1));
  }
  auto take = [&](const char* name, const char* otherwise) {
    const auto found = given.find(name);
    std::string value = found == given.end() ? otherwise : found->second;
    given.erase(name);
    return value;
  };
  Arguments arguments;
  arguments.experiment = take("experiment", "failover-demo");
  arguments.trials = std::stoi(take("trials", "100"));
  arguments.workers = std::stoi(take("workers", "4"));
  arguments.length = Seconds(std::stod(take("seconds", "60")));
  arguments.deadline = Seconds(std::stod(take("deadline", "30")));
  if (!given.empty()) throw std::invalid_argument("unknown argument --" + given.begin()->first);
  if (arguments.trials < 1 || arguments.workers < 1) throw std::invalid_argument("--trials and --workers: at least 1");
  return arguments;
}

class Sweep {
 public:
  Sweep(const mlflowha::Client& client, Report& report, Arguments arguments)
      : client_(client), report_(report), arguments_(std::move(arguments)) {}

  void run() {
    ReportedCall call(report_, "create_experiment", json::object());
    const auto experiment = client_.create_experiment({.name = arguments_.experiment});
    call.finish(experiment);
    experiment_id_ = experiment.value();
    parent_ = create_run(parent_trial);
    if (parent_.empty()) throw std::runtime_error("there is no parent run");

    began_ = std::chrono::steady_clock::now();
    const auto attempt = client_.config().options().timeouts.attempt;
    report_.write("start", {{"attempt_timeout_ms", std::chrono::duration<double, std::milli>(attempt).count()}});
    std::vector<std::thread> workers;
    for (int worker = 0; worker < arguments_.workers; ++worker) {
      workers.emplace_back([this, worker] {
        for (int trial = worker; trial < arguments_.trials; trial += arguments_.workers) run_trial(trial);
      });
    }
    for (auto& worker : workers) worker.join();
    end_run(parent_, parent_trial);

    // A server that was stopped may have carried out a create after its client had gone elsewhere. The client looks for
    // such twins along with later calls; nobody does after the end, so once more now.
    if (const auto last_look = client_.reconcile(); !last_look) {
      std::fprintf(stderr, "no last look for twins: %s\n", describe(last_look.error()).c_str());
    }
    report_.write("done", json::object());
  }

 private:
  void run_trial(int trial) {
    const Seconds gap = arguments_.length / arguments_.trials;
    int done = 0;
    const auto wait_for_turn = [&] {
      const Seconds due = trial * gap + gap * (done++ * arguments_.workers / static_cast<double>(calls_of_a_trial));
      std::this_thread::sleep_until(began_ + std::chrono::duration_cast<std::chrono::nanoseconds>(due));
    };
    wait_for_turn();
    const std::string run = create_run(trial);
    if (run.empty()) return;
    for (int number = 0; number < params || number < tags; ++number) {
      if (number < params) {
        wait_for_turn();
        ReportedCall call(report_, "log_param", {{"trial", trial}, {"run", run}, {"first", number}, {"count", 1}});
        call.finish(client_.log_param(run, "param" + std::to_string(number), text_value(trial, number)));
      }
      if (number < tags) {
        wait_for_turn();
        ReportedCall call(report_, "set_tag", {{"trial", trial}, {"run", run}, {"first", number}, {"count", 1}});
        call.finish(client_.set_tag(run, "tag" + std::to_string(number), text_value(trial, number)));
      }
    }
    for (int step = 0, turn = 0; step < points; ++turn) {
      wait_for_turn();
      const int count = is_batch(turn) ? batch_size : 1;
      log_points(trial, run, step, count);
      step += count;
    }
    wait_for_turn();
    end_run(run, trial);
  }

  void log_points(int trial, const std::string& run, int first, int count) {
    const json fields{{"trial", trial}, {"run", run}, {"first", first}, {"count", count}};
    if (count == 1) {
      ReportedCall call(report_, "log_metric", fields);
      call.finish(client_.log_metric(run, metric_key, point_value(trial, first), {.step = first}));
      return;
    }
    std::vector<mlflowha::Metric> batch;
    for (int step = first; step < first + count; ++step) {
      batch.push_back({.key = metric_key, .value = point_value(trial, step), .step = step});
    }
    ReportedCall call(report_, "log_batch", fields);
    call.finish(client_.log_batch(run, std::move(batch)));
  }

  /// The run's id, empty when the call failed.
  std::string create_run(int trial) {
    mlflowha::CreateRun request{.experiment_id = experiment_id_};
    if (trial == parent_trial) {
      request.run_name = "sweep";
    } else {
      request.run_name = "trial-" + std::to_string(trial);
      request.tags.push_back({.key = "mlflow.parentRunId", .value = parent_});
    }
    ReportedCall call(report_, "create_run", {{"trial", trial}});
    const auto run = client_.create_run(std::move(request));
    if (run) call.set("run", run->info.run_id);
    call.finish(run);
    return run ? run->info.run_id : std::string();
  }

  void end_run(const std::string& run, int trial) {
    ReportedCall call(report_, "set_terminated", {{"trial", trial}, {"run", run}});
    call.finish(client_.set_terminated(run));
  }

  const mlflowha::Client& client_;
  Report& report_;
  Arguments arguments_;
  std::string experiment_id_;
  std::string parent_;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    auto arguments = parse_arguments(argc, argv);
    const auto report = std::make_shared<Report>();
    auto options = mlflowha::ClientOptions::from_env().value();
    options.observer = report;
    options.timeouts.call = std::chrono::duration_cast<mlflowha::Duration>(arguments.deadline);
    options.timeouts.attempt = std::chrono::seconds(2);  // a healthy server answers in 10 ms
    options.timeouts.connect = std::chrono::seconds(1);
    const auto client = mlflowha::Client::create(std::move(options)).value();
    Sweep(client, *report, std::move(arguments)).run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "failover_demo: %s\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
