#ifndef MLFLOWHA_TESTS_SUPPORT_HTTP_HPP
#define MLFLOWHA_TESTS_SUPPORT_HTTP_HPP

// Short words for the suites that talk through a Transport: making requests and reading results.

#include <chrono>
#include <memory>
#include <mlflowha/http/curl_transport.hpp>
#include <string>
#include <utility>
#include <variant>

#include "support/catch.hpp"

namespace mlflowha_tests {

using namespace std::chrono_literals;

inline std::shared_ptr<mlflowha::Transport> make_transport(mlflowha::CurlTransportOptions options = {}) {
  options.use_environment_proxy = false;
  // A slow machine must not turn a kept-alive connection into a new one; the tests of the age set their own.
  if (options.max_idle_age == mlflowha::CurlTransportOptions{}.max_idle_age) options.max_idle_age = 60s;
  auto made = mlflowha::make_curl_transport(std::move(options));
  REQUIRE(made.has_value());
  return *made;
}

inline mlflowha::Request get(std::string target) {
  mlflowha::Request request;
  request.target = std::move(target);
  request.resend = mlflowha::Resend::allowed;
  return request;
}
inline mlflowha::Request post(std::string target, std::string body,
                              mlflowha::Resend resend = mlflowha::Resend::forbidden) {
  mlflowha::Request request;
  request.method = mlflowha::Method::post;
  request.target = std::move(target);
  request.body = std::move(body);
  request.resend = resend;
  return request;
}

/// Whose probes the tests' are.
inline const mlflowha::ProbeOwner probe_owner = std::make_shared<const int>(0);

/// Long enough for any machine: no test waits for it.
inline constexpr mlflowha::AttemptTimeouts patient{20s, 20s};

inline mlflowha::TransportResult call(mlflowha::Transport& transport, const mlflowha::Uri& endpoint,
                                      const mlflowha::Request& request,
                                      const mlflowha::AttemptTimeouts& timeouts = patient) {
  return transport.perform(endpoint, request, timeouts, {});
}

/// The answer; a failure fails the test with its detail.
inline mlflowha::Response answer_of(mlflowha::TransportResult result) {
  if (const auto* failure = std::get_if<mlflowha::TransportFailure>(&result)) {
    FAIL("no answer: " << to_string(failure->fault) << ", " << to_string(failure->progress) << ", curl "
                       << failure->transport_code << ": " << failure->detail);
  }
  return std::get<mlflowha::Response>(std::move(result));
}
/// The failure; an answer fails the test.
inline mlflowha::TransportFailure failure_of(mlflowha::TransportResult result) {
  if (const auto* response = std::get_if<mlflowha::Response>(&result)) {
    FAIL("an answer, expected a failure: " << response->status << " " << response->body.substr(0, 200));
  }
  auto failure = std::get<mlflowha::TransportFailure>(std::move(result));
  UNSCOPED_INFO(to_string(failure.fault) << ", " << to_string(failure.progress) << ", curl " << failure.transport_code
                                         << ": " << failure.detail);
  return failure;
}

}  // namespace mlflowha_tests

#endif
