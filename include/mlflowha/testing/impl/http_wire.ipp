#ifndef MLFLOWHA_TESTING_IMPL_HTTP_WIRE_IPP
#define MLFLOWHA_TESTING_IMPL_HTTP_WIRE_IPP

// HTTP/1.1 on the wire, as far as a server and a proxy for MLflow need it: where a message begins and ends. Without
// I/O.

#include <mlflowha/http/message.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE bool same_name(std::string_view a, std::string_view b) noexcept {
  const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return small(x) == small(y); });
}

MLFLOWHA_INLINE std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

/// A request or an answer, with the body decoded from chunks.
struct WireMessage {
  std::string method;  ///< request
  std::string target;  ///< request
  int status = 0;      ///< answer
  std::string reason;  ///< answer
  bool http_1_0 = false;
  std::vector<Header> headers;
  std::string body;

  [[nodiscard]] std::string_view header(std::string_view name) const noexcept {
    for (const Header& header : headers) {
      if (same_name(header.name, name)) return header.value;
    }
    return {};
  }
  [[nodiscard]] bool wants_close() const noexcept {
    const std::string_view connection = header("connection");
    return http_1_0 ? !same_name(connection, "keep-alive") : same_name(connection, "close");
  }
};

/// Takes bytes as they come and cuts messages out of them.
class WireReader {
 public:
  enum class Kind : std::uint8_t { request, answer };
  enum class State : std::uint8_t { incomplete, complete, broken };

  explicit WireReader(Kind kind) : kind_(kind) {}

  /// For answers: the next one has no body whatever its headers say (it answers a HEAD).
  void expect_no_body() { no_body_ = true; }
  void add(std::string_view bytes) { buffer_ += bytes; }
  [[nodiscard]] bool empty() const noexcept { return buffer_.empty() && phase_ == Phase::head; }
  [[nodiscard]] std::size_t buffered() const noexcept { return buffer_.size(); }

  /// True once, when a head has arrived that asks for "100 Continue" before its body.
  [[nodiscard]] bool take_continue() { return std::exchange(continue_, false); }

  /// Goes on with what has been added. `at_end`: no more will come.
  State advance(bool at_end = false) {
    for (;;) {
      switch (phase_) {
        case Phase::head:
          if (!read_head()) return phase_ == Phase::broken ? State::broken : State::incomplete;
          break;
        case Phase::fixed:
          if (buffer_.size() < left_) return State::incomplete;
          message_.body = buffer_.substr(0, left_);
          buffer_.erase(0, left_);
          phase_ = Phase::done;
          break;
        case Phase::chunk_size:
        case Phase::chunk_data:
        case Phase::trailer:
          if (!read_chunked()) return phase_ == Phase::broken ? State::broken : State::incomplete;
          break;
        case Phase::until_end:
          message_.body += std::exchange(buffer_, {});
          if (!at_end) return State::incomplete;
          phase_ = Phase::done;
          break;
        case Phase::done:
          return State::complete;
        case Phase::broken:
          return State::broken;
      }
    }
  }

  /// The complete message; what follows it stays for the next one.
  WireMessage take() {
    phase_ = Phase::head;
    no_body_ = false;
    return std::exchange(message_, {});
  }

 private:
  enum class Phase : std::uint8_t { head, fixed, chunk_size, chunk_data, trailer, until_end, done, broken };
  static constexpr std::size_t max_head = std::size_t{256} * 1024;
  static constexpr std::uint64_t max_body = std::uint64_t{4} << 30U;

  bool broken() {
    phase_ = Phase::broken;
    return false;
  }

  bool read_head() {
    const std::size_t end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) return buffer_.size() > max_head ? broken() : false;
    const std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    std::string_view rest = head;
    if (!start_line(next_line(rest))) return broken();
    while (!rest.empty()) {
      const std::string_view line = next_line(rest);
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos || colon == 0) return broken();
      message_.headers.push_back({std::string(line.substr(0, colon)), std::string(trimmed(line.substr(colon + 1)))});
    }
    if (kind_ == Kind::answer && message_.status < 200) {  // 100 Continue and the like: the real answer follows
      message_ = {};
      return true;
    }
    return framing();
  }

  static std::string_view next_line(std::string_view& rest) {
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 2, rest.size()));
    return line;
  }

  bool start_line(std::string_view line) {
    const std::size_t first = line.find(' ');
    if (first == std::string_view::npos) return false;
    std::size_t second = line.find(' ', first + 1);
    if (kind_ == Kind::request) {
      if (second == std::string_view::npos) return false;
      message_.method = line.substr(0, first);
      message_.target = line.substr(first + 1, second - first - 1);
      return protocol(line.substr(second + 1));
    }
    second = std::min(second, line.size());
    const std::string_view code = line.substr(first + 1, second - first - 1);
    const auto [end, status] = std::from_chars(code.data(), code.data() + code.size(), message_.status);
    if (status != std::errc{} || end != code.data() + code.size() || message_.status < 100) return false;
    message_.reason = second < line.size() ? line.substr(second + 1) : "";
    return protocol(line.substr(0, first));
  }

  bool protocol(std::string_view text) {
    message_.http_1_0 = text == "HTTP/1.0";
    return text == "HTTP/1.1" || text == "HTTP/1.0";
  }

  bool framing() {
    const bool bodiless = no_body_ || (kind_ == Kind::answer && (message_.status == 204 || message_.status == 304));
    const std::string_view encoding = message_.header("transfer-encoding");
    const std::string_view length = message_.header("content-length");
    if (bodiless) {
      phase_ = Phase::done;
    } else if (!encoding.empty()) {
      if (!same_name(encoding, "chunked")) return broken();
      phase_ = Phase::chunk_size;
    } else if (!length.empty()) {
      const auto [end, status] = std::from_chars(length.data(), length.data() + length.size(), left_);
      if (status != std::errc{} || end != length.data() + length.size() || left_ > max_body) return broken();
      phase_ = Phase::fixed;
    } else {
      phase_ = kind_ == Kind::request ? Phase::done : Phase::until_end;
    }
    continue_ = kind_ == Kind::request && phase_ != Phase::done && same_name(message_.header("expect"), "100-continue");
    return true;
  }

  bool read_chunked() {
    if (phase_ == Phase::chunk_data) {
      if (buffer_.size() < left_ + 2) return false;
      message_.body.append(buffer_, 0, left_);
      if (message_.body.size() > max_body || buffer_.compare(left_, 2, "\r\n") != 0) return broken();
      buffer_.erase(0, left_ + 2);
      phase_ = Phase::chunk_size;
      return true;
    }
    const std::size_t end = buffer_.find("\r\n");
    if (end == std::string::npos) return buffer_.size() > max_head ? broken() : false;
    const std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    if (phase_ == Phase::trailer) {
      if (line.empty()) phase_ = Phase::done;
      return true;
    }
    const std::string_view digits = trimmed(std::string_view(line).substr(0, line.find(';')));
    const auto [stop, status] = std::from_chars(digits.data(), digits.data() + digits.size(), left_, 16);
    if (status != std::errc{} || stop != digits.data() + digits.size() || left_ > max_body) return broken();
    phase_ = left_ == 0 ? Phase::trailer : Phase::chunk_data;
    return true;
  }

  const Kind kind_;
  Phase phase_ = Phase::head;
  bool no_body_ = false;
  bool continue_ = false;
  std::uint64_t left_ = 0;
  std::string buffer_;
  WireMessage message_;
};

MLFLOWHA_INLINE std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

/// Headers that belong to one connection and are not passed on.
MLFLOWHA_INLINE bool is_hop_by_hop(std::string_view name) noexcept {
  static constexpr std::string_view names[] = {"connection", "keep-alive",     "proxy-connection",
                                               "te",         "trailer",        "transfer-encoding",
                                               "upgrade",    "content-length", "expect"};
  return std::any_of(std::begin(names), std::end(names), [&](std::string_view hop) { return same_name(hop, name); });
}

/// `length` is what Content-Length announces; none for an answer that has no body by its status.
MLFLOWHA_INLINE std::string wire_headers(const std::vector<Header>& headers, std::optional<std::uint64_t> length,
                                         bool close) {
  std::string text;
  for (const Header& header : headers) {
    if (!is_hop_by_hop(header.name)) text += header.name + ": " + header.value + "\r\n";
  }
  if (length) text += fmt::format("Content-Length: {}\r\n", *length);
  if (close) text += "Connection: close\r\n";
  return text + "\r\n";
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
