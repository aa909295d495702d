#ifndef MLFLOWHA_HTTP_IMPL_CURL_RULES_IPP
#define MLFLOWHA_HTTP_IMPL_CURL_RULES_IPP

#include <mlflowha/core/error.hpp>
#include <mlflowha/core/impl/user_info.hpp>
#include <mlflowha/http/impl/curl_rules.hpp>

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

// ---- what may be sent

/// RFC 9110 section 5.6.2: the characters of a field name.
MLFLOWHA_INLINE bool is_token(std::string_view text) noexcept {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           others.find(c) != std::string_view::npos;
  });
}

/// No control character but the tab: nothing that could end the line or the string.
MLFLOWHA_INLINE bool is_field_value(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
  });
}

MLFLOWHA_INLINE char ascii_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
MLFLOWHA_INLINE bool same_name(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return ascii_lower(x) == ascii_lower(y); });
}

/// Headers that decide where a message goes and where it ends. They are the transport's, or two parties could disagree
/// about what was sent.
MLFLOWHA_INLINE bool is_transport_header(std::string_view name) noexcept {
  constexpr std::string_view ours[] = {
      "host",   "content-length", "content-type", "transfer-encoding", "connection",       "te",
      "expect", "upgrade",        "trailer",      "keep-alive",        "proxy-connection", "proxy-authorization"};
  return std::any_of(std::begin(ours), std::end(ours), [&](std::string_view own) { return same_name(name, own); });
}

MLFLOWHA_INLINE std::string request_fault(const Request& request) {
  if (!request.target.empty() && request.target.front() != '/' && request.target.front() != '?') {
    return fmt::format("the target \"{}\" doesn't begin with '/' or '?'", sanitize(request.target, 100));
  }
  for (const char c : request.target) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '#') {
      return fmt::format("the target \"{}\" has a byte 0x{:02x}; expected a percent-encoded path and query",
                         sanitize(request.target, 100), byte);
    }
  }
  for (const Header& header : request.headers) {
    if (!is_token(header.name)) {
      return fmt::format("the header name \"{}\" is not a token (RFC 9110)", sanitize(header.name, 100));
    }
    // The value is not shown: it may be a credential.
    if (!is_field_value(header.value)) {
      return fmt::format("the value of header \"{}\" has a control character", header.name);
    }
    if (is_transport_header(header.name)) {
      return fmt::format("the header \"{}\" is set by the transport", header.name);
    }
  }
  if (!is_field_value(request.content_type)) {
    return fmt::format("the content type \"{}\" has a control character", sanitize(request.content_type, 100));
  }
  if (request.file && (request.method == Method::get || request.method == Method::del || !request.body.empty())) {
    return fmt::format(
        "a {} request with {} bytes of body has a file as its body, too; expected one body, and PUT, POST "
        "or PATCH",
        to_string(request.method), request.body.size());
  }
  return {};
}

MLFLOWHA_INLINE std::string base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) -> unsigned {
      return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U;
    };
    const unsigned group = byte(i) << 16U | byte(i + 1) << 8U | byte(i + 2);
    text += digits[group >> 18U & 63U];
    text += digits[group >> 12U & 63U];
    text += i + 1 < bytes.size() ? digits[group >> 6U & 63U] : '=';
    text += i + 2 < bytes.size() ? digits[group & 63U] : '=';
  }
  return text;
}

MLFLOWHA_INLINE std::string authorization(const AuthOptions& auth) {
  if (!auth.username.empty()) return "Basic " + base64(auth.username + ":" + auth.password.reveal());
  if (!auth.bearer_token.empty()) return "Bearer " + auth.bearer_token.reveal();
  return {};
}

MLFLOWHA_INLINE long to_curl_ms(Duration duration) noexcept {
  constexpr Duration most = std::chrono::hours(24 * 24);  // fits the 32-bit int that older libcurls keep it in
  const Duration bounded = std::clamp(duration, Duration(std::chrono::milliseconds(1)), most);
  return static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(bounded).count());
}

// ---- what an ending means

/// The words for a fault of TLS: all of them mean that we and the peer found no session.
MLFLOWHA_INLINE bool is_tls_code(int code) noexcept {
  switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
      return true;
    default:
      return false;
  }
}

/// Which fault a CURLcode is, given that the request was (`sent`) or wasn't begun.
MLFLOWHA_INLINE TransportFault curl_fault(int code, bool sent, bool resolved) noexcept {
  if (is_tls_code(code)) return TransportFault::tls;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return TransportFault::resolve;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_PROXY:
      return TransportFault::connect_refused;
    case CURLE_OPERATION_TIMEDOUT:
      if (sent) return TransportFault::timeout;
      return resolved ? TransportFault::connect_timeout : TransportFault::resolve;
    case CURLE_UNSUPPORTED_PROTOCOL:  // an answer without a status line counts as HTTP/0.9, which we don't speak
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return sent ? TransportFault::bad_http : TransportFault::bad_request;
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR:  // not ours (see to_failure), so libcurl's own decoders gave up
      return TransportFault::bad_encoding;
    case CURLE_OUT_OF_MEMORY:  // up to 8.5 also a single header line beyond libcurl's own 100 KiB
    case CURLE_FILESIZE_EXCEEDED:
    case 100 /* CURLE_TOO_LARGE, from 8.6 */:
      return sent ? TransportFault::too_large : TransportFault::bad_request;
    case CURLE_TOO_MANY_REDIRECTS:
      return TransportFault::redirect_refused;
    case CURLE_URL_MALFORMAT:
    case CURLE_FAILED_INIT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
      return TransportFault::bad_request;
    default:
      return TransportFault::connection_lost;
  }
}

/// What libcurl says of a proxy's address that it can't use quotes all of it, user and password included.
MLFLOWHA_INLINE std::string hide_proxy_user(std::string_view words) {
  if (words.find("proxy") == std::string_view::npos) return std::string(words);
  const std::size_t address = words.find('\'') + 1;  // npos + 1 is 0
  return std::string(words.substr(0, address)) + hide_user_info(words.substr(address));
}

MLFLOWHA_INLINE TransportFailure to_failure(const CurlEnding& ending) {
  TransportFailure failure;
  const bool sent = ending.sendings > 0;
  failure.progress = sent ? Progress::sent : Progress::not_sent;
  failure.transport_code = ending.code;

  // What we did ourselves comes first: libcurl reports it as a failed callback.
  std::string own;
  if (ending.cancelled) {
    failure.fault = TransportFault::cancelled;
    failure.transport_code = 0;
    own = "cancelled by the caller";
  } else if (ending.head_too_large) {
    failure.fault = TransportFault::too_large;
    own = fmt::format("the header lines of the answer are larger than {} bytes", ending.head_cap);
  } else if (ending.body_too_large) {
    failure.fault = TransportFault::too_large;
    own = fmt::format("the body of the answer is larger than {} bytes", ending.body_cap);
  } else if (!ending.file_fault.empty()) {
    failure.fault = TransportFault::bad_file;
    own = ending.file_fault;
  } else if (ending.stalled) {
    failure.fault = TransportFault::timeout;
    failure.transport_code = 0;
    own =
        fmt::format("no byte moved for {} ms, after {} bytes of the file",
                    std::chrono::duration_cast<std::chrono::milliseconds>(ending.timeouts.stall).count(), ending.moved);
  } else if (ending.no_memory) {
    failure.fault = TransportFault::bad_request;
    own = "out of memory";
  } else if (ending.resend_refused || ending.code == CURLE_SEND_FAIL_REWIND) {
    failure.fault = TransportFault::connection_lost;
    own = "the kept-alive connection closed without an answer; the request is not sent again at this level";
  } else {
    failure.fault = curl_fault(ending.code, sent, ending.resolved);
  }
  if (!own.empty()) {
    failure.detail = std::move(own);
    return failure;
  }

  const auto whole_ms = [](Duration time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  };
  if (ending.code == CURLE_OPERATION_TIMEDOUT) {
    if (sent) {
      own = fmt::format("no complete answer within {} ms: ", whole_ms(ending.timeouts.total));
    } else {
      own = fmt::format("no {} within {} ms: ", ending.resolved ? "connection" : "address",
                        whole_ms(std::min(ending.timeouts.connect, ending.timeouts.total)));
    }
  }
  if (ending.status != 0) own += fmt::format("after the status {}: ", ending.status);
  const std::string_view words =
      ending.message.empty() ? curl_easy_strerror(static_cast<CURLcode>(ending.code)) : ending.message;
  failure.detail = own + sanitize(hide_proxy_user(words), 512);
  return failure;
}

MLFLOWHA_INLINE std::optional<TransportFailure> redirect_failure(const Uri& endpoint, int status,
                                                                 std::string_view location) {
  if (status < 300 || status > 399 || status == 304 || location.empty()) return std::nullopt;
  // Only scheme, host and path are shown: a login page's query may hold tokens.
  const std::string_view address = location.substr(0, location.find_first_of("?#"));
  const std::size_t scheme_end = address.find("://");
  const bool relative = scheme_end == std::string_view::npos && address.substr(0, 2) != "//";
  bool same_origin = relative;
  std::string shown(address);
  if (!relative) {
    const std::size_t host = scheme_end != std::string_view::npos ? scheme_end + 3 : 2;
    const std::size_t host_end = std::min(address.find('/', host), address.size());
    const std::size_t user_end = address.substr(host, host_end - host).rfind('@');
    if (user_end != std::string_view::npos) shown.erase(host, user_end + 1);
    const auto target = parse_uri(std::string_view(shown).substr(0, shown.find('/', host)));
    same_origin = target.has_value() && target->origin() == endpoint.origin();
  }
  TransportFailure failure;
  failure.fault = TransportFault::redirect_refused;
  failure.progress = Progress::answered;
  failure.detail = fmt::format(
      "{} answered {} with a redirect to \"{}\"; redirects are never followed. {}", endpoint.base(), status,
      sanitize(shown, 200),
      same_origin
          ? "A proxy or a login page seems to stand before MLflow: configure the final address, its path prefix "
            "included"
          : "If MLflow is served there, configure that address as the endpoint");
  return failure;
}

// ---- the head of an answer

MLFLOWHA_INLINE std::string_view trim_blanks(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

MLFLOWHA_INLINE void HeadReader::reset(std::size_t max_bytes) {
  headers_.clear();
  bytes_ = 0;
  max_bytes_ = max_bytes;
  status_ = 0;
  expect_status_ = true;
  complete_ = false;
}

MLFLOWHA_INLINE HeadReader::Verdict HeadReader::line(std::string_view text) {
  if (text.size() > max_bytes_ - bytes_) return Verdict::too_large;
  bytes_ += text.size();
  if (complete_) return Verdict::more;  // a trailer: counted, never believed

  if (expect_status_) {
    // "HTTP/1.1 200 OK"; libcurl has checked the form.
    const std::size_t space = text.find(' ');
    status_ = 0;
    if (space != std::string_view::npos) {
      const std::string_view digits = text.substr(space + 1);
      std::from_chars(digits.data(), digits.data() + std::min<std::size_t>(digits.size(), 3), status_);
    }
    headers_.clear();
    expect_status_ = false;
    return Verdict::more;
  }
  const std::string_view content = trim_blanks(text);
  if (content.empty()) {
    if (status_ >= 100 && status_ < 200) {  // informational: the real answer follows
      expect_status_ = true;
      return Verdict::more;
    }
    complete_ = true;
    return Verdict::complete;
  }
  if (text.front() == ' ' || text.front() == '\t') {  // obsolete folding, RFC 9112 section 5.2
    if (!headers_.empty()) headers_.back().value.append(" ").append(content);
    return Verdict::more;
  }
  const std::size_t colon = content.find(':');
  if (colon == std::string_view::npos) return Verdict::more;
  if (headers_.capacity() == 0) headers_.reserve(8);
  Header& header = headers_.emplace_back();
  header.name.assign(trim_blanks(content.substr(0, colon)));
  std::transform(header.name.begin(), header.name.end(), header.name.begin(), ascii_lower);
  header.value.assign(trim_blanks(content.substr(colon + 1)));
  return Verdict::more;
}

MLFLOWHA_INLINE std::optional<std::uint64_t> HeadReader::content_length() const noexcept {
  for (const Header& header : headers_) {
    if (header.name != "content-length") continue;
    std::uint64_t length = 0;
    const char* end = header.value.data() + header.value.size();
    const auto [stop, error] = std::from_chars(header.value.data(), end, length);
    if (error == std::errc{} && stop == end) return length;
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
