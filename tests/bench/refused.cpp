// What a refused endpoint costs: the call that meets it, and the calls after that. Two ways of meeting one: it is down
// when the client starts, and it goes down between two calls. Each is compared with a client of which all endpoints are
// up, in turns.

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fast_server.hpp"
#include "measure.hpp"
#include "subject.hpp"

namespace {

/// A fast server on a thread of this process, which can be ended.
class LocalServer {
 public:
  LocalServer()
      : server_(std::make_unique<bench::FastServer>()), url_(bench::url_of(server_->listen(bench::Behaviour::answer))) {
    thread_ = std::thread([this] { server_->run(); });
  }
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;
  ~LocalServer() { end(); }
  /// Afterwards its port refuses and its connections are closed.
  void end() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
    server_.reset();
  }
  [[nodiscard]] const std::string& url() const noexcept { return url_; }

 private:
  std::unique_ptr<bench::FastServer> server_;
  std::string url_;
  std::thread thread_;
};

/// Counts the attempts of calls (not the probes that ride along) on one endpoint.
class Count final : public mlflowha::Observer {
 public:
  explicit Count(std::string endpoint) : endpoint_(std::move(endpoint)) {}
  void on_attempt(const mlflowha::AttemptEvent& event) noexcept override {
    if (event.record.endpoint == endpoint_) attempts.fetch_add(1);
  }
  std::atomic<int> attempts{0};

 private:
  std::string endpoint_;
};

double time_call(const mlflowha::Client& client, std::int64_t step) {
  const auto start = bench::SteadyClock::now();
  bench::log_point(client, step);
  return bench::Seconds(bench::SteadyClock::now() - start).count();
}

double p50(const mlflowha::Client& client, int calls) {
  std::vector<double> took;
  for (int i = 0; i < calls; ++i) took.push_back(time_call(client, i));
  return bench::median(took);
}

bench::Json measure() {
  constexpr int runs = 31;
  LocalServer up;
  LocalServer also_up;
  std::string refusing;
  {
    LocalServer gone;
    refusing = gone.url();
  }

  // Down from the start: the first call of a new client, against the first call of one whose list is all up.
  std::vector<double> cold_ms;
  for (int run = 0; run < runs; ++run) {
    const mlflowha::Client meets = bench::make_client({refusing, up.url()});
    const mlflowha::Client control = bench::make_client({also_up.url(), up.url()});
    const bool first = run % 2 == 0;
    const double a = first ? time_call(meets, run) : 0;
    const double b = time_call(control, run);
    cold_ms.push_back(((first ? a : time_call(meets, run)) - b) * 1e3);
  }

  // Goes down between two calls.
  std::vector<double> warm_ms;
  for (int run = 0; run < runs; ++run) {
    LocalServer dies;
    const mlflowha::Client meets = bench::make_client({dies.url(), up.url()});
    for (int i = 0; i < 20; ++i) bench::log_point(meets, i);
    const double calm = p50(meets, 50);
    dies.end();
    warm_ms.push_back((time_call(meets, 1000) - calm) * 1e3);
  }

  // Later calls, long enough that side probes of the dead endpoint ride along, as in life.
  const mlflowha::Client after = bench::make_client({refusing, up.url()});
  const mlflowha::Client single = bench::make_client({up.url()});
  (void)p50(after, 2000);
  (void)p50(single, 2000);
  std::vector<double> later_us;
  std::vector<double> noise_us;
  std::vector<double> single_us;
  for (int run = 0; run < runs; ++run) {
    const double a = p50(after, 1000) * 1e6;
    const double b = p50(single, 1000) * 1e6;
    const double c = p50(after, 1000) * 1e6;
    const double d = p50(single, 1000) * 1e6;
    later_us.push_back((a + c - b - d) / 2);
    noise_us.push_back(std::abs(b - d));
    single_us.push_back((b + d) / 2);
  }

  // And do they really leave the dead endpoint alone? An observer counts.
  auto count = std::make_shared<Count>(refusing);
  mlflowha::ClientOptions options;
  options.endpoints = {refusing, up.url()};
  options.observer = count;
  const mlflowha::Client watched = mlflowha::Client::create(std::move(options)).value();
  bench::log_point(watched, 0);
  const int met = count->attempts.load();
  if (met == 0) throw std::runtime_error("the first call did not meet the refused endpoint");
  for (int i = 0; i < 20'000; ++i) bench::log_point(watched, i);
  return {{"down_from_the_start_ms", bench::spread(cold_ms)},
          {"goes_down_ms", bench::spread(warm_ms)},
          {"later_us", bench::spread(later_us)},
          {"later_noise_us", bench::median(noise_us)},
          {"single_p50_us", bench::median(single_us)},
          {"later_attempts_on_it", count->attempts.load() - met}};
}

}  // namespace

int main() { return bench::report(measure); }
