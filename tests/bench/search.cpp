// One side of the comparison on a large search: for each line "EXPERIMENT RUNS" of its input it searches that
// experiment in one page and answers with the CPU and the time that it took; official_search.py is the other side,
// run.py lets them take turns. With a second argument it is a bare libcurl handle that sends the same bytes and looks
// at nothing. Usage: search URL [bare]

#include <mlflowha/api/runs_codec.hpp>

#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "measure.hpp"
#include "subject.hpp"

namespace {

using Search = std::function<void(const std::string& experiment, int runs)>;

mlflowha::SearchRuns request_for(const std::string& experiment, int runs) {
  return {.experiment_ids = {experiment}, .max_results = runs};
}

Search sdk(const std::string& url) {
  mlflowha::ClientOptions options;
  options.endpoints = {url};
  options.timeouts.attempt = std::chrono::seconds(120);  // a busy machine's server takes its time
  options.timeouts.call = std::chrono::seconds(120);
  return [client = mlflowha::Client::create(std::move(options)).value()](const std::string& experiment, int runs) {
    const auto page = client.search_runs(request_for(experiment, runs)).value();
    if (page.items.size() != static_cast<std::size_t>(runs)) throw std::runtime_error("runs are missing");
    for (const mlflowha::Run& run : page.items) {
      if (run.data.metrics.empty()) throw std::runtime_error("metrics are missing");
    }
  };  // giving the memory back is part of the figure
}

Search bare(const std::string& url) {
  bench::CapturedRequest request;
  request.target = "/api/2.0/mlflow/runs/search";
  request.headers = {"Content-Type: application/json"};
  return [handle = std::make_shared<bench::BareCurl>(url, request)](const std::string& experiment, int runs) {
    handle->set_body(mlflowha::api::prepare_search_runs(request_for(experiment, runs)).value().http.body);
    handle->call();
  };
}

void take_turns(const Search& search) {
  std::string experiment;
  int runs = 0;
  while (std::cin >> experiment >> runs) {
    const double cpu = bench::process_cpu();
    const auto start = bench::SteadyClock::now();
    search(experiment, runs);
    const double wall = bench::Seconds(bench::SteadyClock::now() - start).count();
    const bench::Json answer = {{"cpu_s", bench::process_cpu() - cpu}, {"wall_s", wall}};
    std::printf("%s\n", answer.dump().c_str());
    (void)std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 2) throw std::runtime_error("usage: search URL [bare]");
    take_turns(count > 2 ? bare(arguments[1]) : sdk(arguments[1]));
    return 0;
  } catch (const std::exception& e) {
    (void)std::fprintf(stderr, "search: %s\n", e.what());
    return 1;
  }
}
