#ifndef MLFLOWHA_TESTS_BENCH_SUBJECT_HPP
#define MLFLOWHA_TESTS_BENCH_SUBJECT_HPP

// The SDK as the benchmarks use it: with its defaults, over its own transport, from a list of endpoints.

#include <mlflowha/mlflowha.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bare_curl.hpp"

namespace bench {

inline const std::string& run_id() {
  static const std::string id = "0123456789abcdef0123456789abcdef";
  return id;
}

inline mlflowha::Client make_client(std::vector<std::string> endpoints) {
  mlflowha::ClientOptions options;
  options.endpoints = std::move(endpoints);
  return mlflowha::Client::create(std::move(options)).value();
}

inline std::string url_of(unsigned port) { return "http://127.0.0.1:" + std::to_string(port); }

/// One point. Throws mlflowha::Exception unless it was stored.
inline void log_point(const mlflowha::Client& client, std::int64_t step, const std::string& run = run_id()) {
  client.log_metric(run, "loss", 0.125 + 1.0 / static_cast<double>(step + 1), {.step = step}).value();
}

/// What the SDK sends for log_point, as the server at `url` received it, and the proof that the baseline's is the same.
inline CapturedRequest capture_request(const mlflowha::Client& client, const std::string& url) {
  log_point(client, 12345);
  const CapturedRequest theirs = CapturedRequest::parse(BareCurl::get(url + "/bench/last-log-metric"));
  BareCurl(url, theirs).call();
  CapturedRequest ours = CapturedRequest::parse(BareCurl::get(url + "/bench/last-log-metric"));
  std::vector<std::string> a = theirs.headers;
  std::vector<std::string> b = ours.headers;
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  if (a != b || theirs.body != ours.body || theirs.target != ours.target) {
    throw std::runtime_error("the baseline doesn't send what the SDK sends");
  }
  return theirs;
}

}  // namespace bench

#endif
