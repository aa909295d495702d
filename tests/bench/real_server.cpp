// One side of the comparison on a real MLflow server: reads "RUN_ID FIRST_STEP CALLS" lines, logs that many points and
// answers each line with the CPU and the time that it took. official_client.py is the other side; run.py lets them take
// turns. With the address of the fast server as second argument it is a bare libcurl handle instead, which sends what
// the SDK sends: the floor of what any client over libcurl can reach. Usage: real_server <url> [<url of fast server>]

#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "measure.hpp"
#include "subject.hpp"

namespace {

using LogPoint = std::function<void(const std::string& run, std::int64_t step)>;

LogPoint sdk(const std::string& url) {
  return [client = bench::make_client({url})](const std::string& run, std::int64_t step) {
    bench::log_point(client, step, run);
  };
}

LogPoint bare(const std::string& url, const std::string& fast_server) {
  const bench::CapturedRequest request = bench::capture_request(bench::make_client({fast_server}), fast_server);
  return [handle = std::make_shared<bench::BareCurl>(url, request)](const std::string& run, std::int64_t step) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    handle->set_body(R"({"run_id":")" + run + R"(","key":"loss","value":0.125,"timestamp":)" + std::to_string(ms) +
                     R"(,"step":)" + std::to_string(step) + "}");
    handle->call();
  };
}

void take_turns(const LogPoint& log_point) {
  std::string run;
  std::int64_t first = 0;
  std::int64_t calls = 0;
  while (std::cin >> run >> first >> calls) {
    std::vector<double> took;
    const double cpu = bench::process_cpu();
    for (std::int64_t i = 0; i < calls; ++i) {
      const auto start = bench::SteadyClock::now();
      log_point(run, first + i);
      took.push_back(bench::Seconds(bench::SteadyClock::now() - start).count() * 1e3);
    }
    const double used = (bench::process_cpu() - cpu) * 1e3 / static_cast<double>(calls);
    const bench::Json answer = {{"cpu_ms", used}, {"p50_ms", bench::median(took)}};
    std::printf("%s\n", answer.dump().c_str());
    (void)std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 2) throw std::runtime_error("usage: real_server URL [URL]");
    take_turns(count > 2 ? bare(arguments[1], arguments[2]) : sdk(arguments[1]));
    return 0;
  } catch (const std::exception& e) {
    (void)std::fprintf(stderr, "real_server: %s\n", e.what());
    return 1;
  }
}
