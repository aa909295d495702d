// How long a call in flight takes to return after another thread has cancelled it. Usage: cancel <url that never
// answers>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "measure.hpp"
#include "subject.hpp"

int main(int count, char** arguments) {
  return bench::report([&]() -> bench::Json {
    if (count < 2) throw std::runtime_error("usage: cancel URL");
    const mlflowha::Client client = bench::make_client({arguments[1]});
    std::vector<double> took_ms;
    for (int run = 0; run < 41; ++run) {
      mlflowha::CancellationSource source;
      bench::SteadyClock::time_point returned;
      mlflowha::Errc code{};
      std::thread caller([&] {
        const auto result =
            client.log_metric(bench::run_id(), "loss", 0.5, {.step = run, .call = {.cancel = source.get_token()}});
        returned = bench::SteadyClock::now();
        if (!result) code = result.error().code;
      });
      // Long enough for the request to be on its way and the caller to be asleep in its wait for the answer.
      std::this_thread::sleep_for(std::chrono::milliseconds(30 + run));
      const auto cancelled = bench::SteadyClock::now();
      source.request_stop();
      caller.join();
      if (code != mlflowha::Errc::cancelled) throw std::runtime_error("the call ended, but not as cancelled");
      if (returned < cancelled) throw std::runtime_error("the call ended before it was cancelled");
      took_ms.push_back(bench::Seconds(returned - cancelled).count() * 1e3);
    }
    return {{"cancel_ms", bench::spread(took_ms)}};
  });
}
