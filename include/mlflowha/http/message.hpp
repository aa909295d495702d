#ifndef MLFLOWHA_HTTP_MESSAGE_HPP
#define MLFLOWHA_HTTP_MESSAGE_HPP

// Request and Response: what goes to and comes from one endpoint in one attempt. Made by the API codecs, carried by a
// Transport. The request names no host: the call plan chooses the endpoint for each attempt.

#include <mlflowha/config.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

enum class Method : std::uint8_t { get, post, put, patch, del };
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(Method method) noexcept;

struct Header {
  std::string name;
  std::string value;
  friend bool operator==(const Header&, const Header&) = default;
};

/// May the transport's own connection handling send the body a second time (a reused connection that died silently)?
enum class Resend : std::uint8_t {
  allowed,    ///< reads and writes whose repetition changes nothing
  forbidden,  ///< creates: a second sending must be the call plan's decision
};

/// Bytes of a file as the body of a request. The file is opened anew for each attempt, so that one on another endpoint
/// starts at the beginning, and read in small parts: memory doesn't grow with it. Less than `size` bytes from `offset`
/// on, then or when they are read, is a TransportFault::bad_file; with `whole` more bytes are one, too.
struct FileBody {
  std::string path{};
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  bool whole = false;  ///< these bytes reach to the file's end: a longer one has been replaced or written to since
  friend bool operator==(const FileBody&, const FileBody&) = default;
};

struct Request {
  Method method = Method::get;
  std::string
      target;  ///< path and query below the endpoint's prefix, already encoded: "/api/2.0/mlflow/runs/get?run_id=x"
  std::vector<Header> headers;     ///< beyond those the transport adds (auth, user agent, content length)
  std::string body;                ///< sent for every method but GET; may be empty
  std::optional<FileBody> file{};  ///< sent instead of `body`, which is then empty; PUT, POST and PATCH only
  /// Where the body of a 2xx answer goes instead of into Response::body: a file, made (0600) or emptied by each attempt
  /// that gets such an answer. max_response_bytes doesn't count for it. "" = into memory.
  std::string save_to{};
  std::string content_type = "application/json";
  Resend resend = Resend::forbidden;
  std::size_t max_response_bytes = 0;  ///< cap on the decoded body; 0 = the transport's default
};

struct Response {
  int status = 0;
  std::vector<Header> headers;  ///< names in lower case
  std::string body;             ///< decoded (gzip, deflate)
  /// First header of that lower-case name, or "".
  [[nodiscard]] MLFLOWHA_EXPORT std::string_view header(std::string_view lower_case_name) const noexcept;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/http/impl/message.ipp>
#endif

#endif
