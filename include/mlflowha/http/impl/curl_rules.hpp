#ifndef MLFLOWHA_HTTP_IMPL_CURL_RULES_HPP
#define MLFLOWHA_HTTP_IMPL_CURL_RULES_HPP

// The pure half of CurlTransport: which requests may be sent, what the way in which a transfer ended means, where the
// certificates of authorities are. No I/O and no libcurl type, so that the unit tests can ask every question. Not part
// of the public API; in header-only mode curl_transport.hpp is included before it.

#include <mlflowha/core/uri.hpp>
#include <mlflowha/http/curl_transport.hpp>
#include <mlflowha/http/message.hpp>
#include <mlflowha/http/transport.hpp>

#include <optional>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// Why the request can't be sent as it is, or "". Guards against header injection, against headers that would change
/// the framing, and against targets that libcurl would rewrite.
[[nodiscard]] MLFLOWHA_EXPORT std::string request_fault(const Request& request);

/// What is known about a transfer that brought no usable answer.
struct CurlEnding {
  int code = 0;                 ///< CURLcode
  std::string_view message;     ///< libcurl's own words; may quote the server
  int sendings = 0;             ///< how often libcurl stood before a ready connection, about to write the request
  bool resolved = false;        ///< the name was resolved (or there was none to resolve)
  int status = 0;               ///< of the answer that had begun; 0 = none
  bool cancelled = false;       ///< by the caller's token
  bool resend_refused = false;  ///< we stopped libcurl from sending the request again
  bool head_too_large = false;  ///< we stopped reading at the cap
  bool body_too_large = false;
  std::size_t body_cap = 0;
  std::size_t head_cap = 0;
  bool no_memory = false;
  bool stalled = false;      ///< we gave up waiting for the next byte of a file
  std::uint64_t moved = 0;   ///< bytes of that file that had been read or written
  std::string file_fault{};  ///< why a file of the request or the answer can't be used
  AttemptTimeouts timeouts{};
};
[[nodiscard]] MLFLOWHA_EXPORT TransportFailure to_failure(const CurlEnding& ending);

/// The failure that a 3xx answer with a Location is; nothing for any other answer. A redirect is refused even within
/// the origin: it would turn a POST into a GET, and to another host it would carry credentials there.
[[nodiscard]] MLFLOWHA_EXPORT std::optional<TransportFailure> redirect_failure(const Uri& endpoint, int status,
                                                                               std::string_view location);

/// Collects the header lines of one answer: lower-case names, folded lines joined, informational answers and trailers
/// left out.
class MLFLOWHA_EXPORT HeadReader {
 public:
  enum class Verdict : std::uint8_t { more, complete, too_large };

  void reset(std::size_t max_bytes);
  /// One line as it came, with its line end. `complete` is returned once, at the empty line that ends the final head.
  [[nodiscard]] Verdict line(std::string_view text);

  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] std::vector<Header>& headers() noexcept { return headers_; }
  /// Value of Content-Length; nothing when absent or no number.
  [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept;

 private:
  std::vector<Header> headers_;
  std::size_t bytes_ = 0;
  std::size_t max_bytes_ = 0;
  int status_ = 0;
  bool expect_status_ = true;
  bool complete_ = false;
};

/// Where libcurl should look for certificates of authorities; both empty = where it was built to look.
struct CaChoice {
  std::string file;
  std::string path;
};
/// See make_curl_transport(). `built_in_*` are libcurl's own places; "" = unknown, and then left to libcurl.
[[nodiscard]] MLFLOWHA_EXPORT CaChoice choose_ca(const TlsOptions& options, std::string_view built_in_file,
                                                 std::string_view built_in_path,
                                                 const char* (*environment)(const char*),
                                                 bool (*exists)(const std::string&));

/// Value of the Authorization header, or "".
[[nodiscard]] MLFLOWHA_EXPORT std::string authorization(const AuthOptions& auth);

/// libcurl's whole milliseconds: rounded up, at least 1, at most 24 days.
[[nodiscard]] MLFLOWHA_EXPORT long to_curl_ms(Duration duration) noexcept;

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/http/impl/curl_rules.ipp>
#endif

#endif
