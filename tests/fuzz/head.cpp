// Fuzz: the head of an answer, line by line as libcurl hands it over, and what is read out of its headers: the length
// of the body, the wait that a server asks for, where it redirects to, its release.

#include <mlflowha/client/impl/releases.hpp>
#include <mlflowha/core/uri.hpp>
#include <mlflowha/http/impl/curl_rules.hpp>
#include <mlflowha/resilience/backoff.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mlflowha::Uri endpoint = mlflowha::parse_uri("http://a:5000").value();
  constexpr std::size_t cap = 4096;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  mlflowha::detail::HeadReader head;
  head.reset(cap);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end == std::string_view::npos ? rest.size() : end + 1);
    rest.remove_prefix(line.size());
    if (head.line(line) != mlflowha::detail::HeadReader::Verdict::more) break;
  }
  std::size_t kept = 0;
  std::string_view date;
  for (const mlflowha::Header& header : head.headers()) {
    kept += header.name.size() + header.value.size();
    for (const char c : header.name) {
      if (c >= 'A' && c <= 'Z') std::abort();
    }
    if (header.name == "date") date = header.value;
  }
  if (kept > cap) std::abort();
  static_cast<void>(head.content_length());
  for (const mlflowha::Header& header : head.headers()) {
    const auto wait = mlflowha::parse_retry_after(header.value, date, mlflowha::WallTime{});
    if (wait && wait->count() < 0) std::abort();
    const auto finer = mlflowha::parse_retry_after_ms(header.value);
    if (finer && finer->count() < 0) std::abort();
    // Whatever the server wishes: no wait is longer than our own and the slack.
    const mlflowha::BackoffOptions options;
    const mlflowha::Duration waited = mlflowha::backoff_delay(options, 3, false, 0.5, wait);
    if (waited.count() < 0 || waited > options.cap + options.retry_after_slack) std::abort();
    const auto refused = mlflowha::detail::redirect_failure(endpoint, head.status(), header.value);
    if (refused && refused->detail.size() > 2048) std::abort();
    mlflowha::Response response;
    response.status = 200;
    response.body = header.value;
    static_cast<void>(mlflowha::detail::to_text(mlflowha::detail::read_release(response)));
  }
  return 0;
}
