// The pieces of code that the manual shows, compiled. They talk to the servers of MLFLOW_TRACKING_URI.
#include <mlflowha/api/json_call.hpp>
#include <mlflowha/api/trace_location.hpp>
#include <mlflowha/core/stop_token.hpp>
#include <mlflowha/mlflowha.hpp>

#include <atomic>
#include <cstdio>
#include <stop_token>
#include <string>
#include <thread>

using namespace std::chrono_literals;

static void first_run() {
  // MLFLOW_TRACKING_URI=http://a:5000,http://b:5000,http://c:5000
  auto client = mlflowha::Client::from_env().value();
  auto run = client.create_run({.experiment_id = "0", .run_name = "first"}).value();
  client.log_metric(run.info.run_id, "loss", 0.5, {.step = 1}).value();
  client.set_terminated(run.info.run_id).value();
}

static std::string explain(const mlflowha::Client& client, const std::string& run_id) {
  auto run = client.get_run(run_id);
  if (!run) {
    const mlflowha::Error& error = run.error();
    if (mlflowha::is_not_found(error)) return "no such run";
    if (mlflowha::is_transient(error)) return "later, perhaps";
    return mlflowha::describe(error);  // every attempt, its cause, and why there was no further one
  }
  return run->info.run_name;
}

static mlflowha::Client configured() {
  auto options = mlflowha::ClientOptions::from_env().value();  // the environment first
  options.timeouts.call = 20s;                                 // then the code, which wins
  options.timeouts.attempt = 3s;
  options.retry.when_all_open = mlflowha::AllOpen::fail_fast;
  return mlflowha::Client::create(options).value();
}

static std::size_t count_runs(const mlflowha::Client& client) {
  namespace filter = mlflowha::filter;
  std::size_t count = 0;
  for (mlflowha::Result<mlflowha::Run>& run : client.search_runs_all({
           .experiment_ids = {"0"},
           .filter = filter::metric("loss") < 0.1 && filter::tag("mlflow.user") == "me",
       })) {
    if (!run) {
      std::puts(mlflowha::describe(run.error()).c_str());  // a page that could not be had; the last turn
      break;
    }
    ++count;
  }
  return count;
}

static void move_files(const mlflowha::Client& client, const std::string& run_id) {
  client.log_artifact(run_id, "model/weights.bin", "checkpoints").value();
  client.log_artifacts(run_id, "plots").value();
  client.download_artifact(run_id, "checkpoints/weights.bin", "/tmp/weights.bin").value();
}

static void search_until_the_thread_ends(const mlflowha::Client& client) {
  std::jthread poll(
      [client](const std::stop_token& stop) { (void)client.search_runs({.experiment_ids = {"0"}}, {.cancel = stop}); });
}

static bool past_the_table(const mlflowha::Client& client) {
  auto run = client.call("create_run", R"({"experiment_id": "0", "a_new_field": true})");
  const mlflowha::CustomOperation things{
      .method = mlflowha::Method::get, .path = "/api/3.0/mlflow/things/{thing_id}", .since = {3, 18}};
  auto thing = client.call(things, R"({"thing_id": "t-1", "max_results": 5})");
  return run && thing;
}

static void trace_and_judge(const mlflowha::Client& client, const std::string& trace_id, mlflowha::WallTime begun) {
  mlflowha::StartTrace start;
  start.trace.trace_info.trace_id = trace_id;  // yours, so that storing it again stores it once
  start.trace.trace_info.trace_location = mlflowha::experiment_location("0");
  start.trace.trace_info.request_time = mlflowha::format_timestamp(begun);
  start.trace.trace_info.execution_duration = mlflowha::format_duration(1500ms);
  start.trace.trace_info.state = mlflowha::TraceState::ok;
  client.start_trace(start).value();

  mlflowha::CreateAssessment create;
  create.assessment.trace_id = trace_id;
  create.assessment.assessment_name = "helpful";
  create.assessment.source = {.source_type = mlflowha::AssessmentSourceType::human, .source_id = "bob"};
  create.assessment.feedback = mlflowha::Feedback{.value = {"0.9"}};
  client.create_assessment(create).value();
}

static void at_the_end(const mlflowha::Client& client) {
  const auto report = client.reconcile({.timeout = 10s});
  if (report) {
    for (const mlflowha::Twin& twin : report->twins) std::printf("twin %s removed\n", twin.twin_id.c_str());
  }
}

struct Failures : mlflowha::Observer {
  void on_attempt(const mlflowha::AttemptEvent& event) noexcept override {
    if (event.record.outcome != "ok") ++failed_attempts;
  }
  std::atomic<int> failed_attempts{0};
};

int main() {
  try {
    first_run();
    const mlflowha::Client client = configured();
    std::puts(explain(client, "0123456789abcdef0123456789abcdef").c_str());
    std::printf("%zu runs\n", count_runs(client));
    if (!past_the_table(client)) std::puts("no such thing");
    move_files(client, "0123456789abcdef0123456789abcdef");
    search_until_the_thread_ends(client);
    trace_and_judge(client, "tr-0123456789abcdef0123456789abcdef", mlflowha::WallTime(1767323045678ms));
    at_the_end(client);
    std::puts(to_json(client.health()).c_str());
  } catch (const mlflowha::Exception& exception) {
    std::puts(exception.what());
    return 1;
  }
  return 0;
}
