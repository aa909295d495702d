#ifndef MLFLOWHA_HTTP_TRANSPORT_HPP
#define MLFLOWHA_HTTP_TRANSPORT_HPP

// Transport: one attempt against one endpoint, no retries of its own. The library's one virtual seam: CurlTransport in
// production, testing::FakeTransport in unit tests and simulation. An HTTP error status is a success here; what it
// means is decided above. Besides attempts on the caller's thread a transport carries side probes: small requests that
// make progress while other calls are being carried, so that no user call has to wait for a dead endpoint.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/uri.hpp>
#include <mlflowha/http/message.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// How far an attempt got. Decides whether it may be repeated.
enum class Progress : std::uint8_t {
  not_sent,  ///< no byte of the request left: safe to repeat whatever it was
  sent,      ///< some or all of it left; no complete answer
  answered,  ///< a complete answer arrived (it may still be unusable)
};

enum class TransportFault : std::uint8_t {
  resolve,          ///< name resolution
  connect_refused,  ///< refused, unreachable, no route
  connect_timeout,
  tls,               ///< handshake or certificate
  timeout,           ///< the attempt's time was up after the connection stood
  connection_lost,   ///< reset or closed before a complete answer
  too_large,         ///< body or headers beyond the cap
  bad_encoding,      ///< content encoding that can't be decoded
  bad_http,          ///< not HTTP
  redirect_refused,  ///< a redirect; never followed
  cancelled,
  bad_request,  ///< the request can't be sent as it is (a control character in a header, no memory)
  bad_file,     ///< the file of the request's body can't be read or has shrunk; or the answer's can't be written
};
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(TransportFault fault) noexcept;
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(Progress progress) noexcept;

struct TransportFailure {
  TransportFault fault = TransportFault::connection_lost;
  Progress progress = Progress::sent;
  std::string detail;      ///< for people; no secrets
  int transport_code = 0;  ///< CURLcode, 0 when not applicable
};

/// What one attempt brought.
using TransportResult = std::variant<Response, TransportFailure>;

/// Limits of one attempt. `total` includes connecting.
struct AttemptTimeouts {
  Duration connect;
  Duration total;
  /// For a body from or into a file: how long no byte of it may move, from the connection on to its last byte. What
  /// the server does before or after it is `total`'s business.
  Duration stall = Duration::max();
};

/// Who starts side probes and gets their results: a client that several share a transport with. Any object that nobody
/// else uses for it; once it is gone its probes are nobody's and dropped. Not null.
using ProbeOwner = std::shared_ptr<const void>;

/// Completed side probe.
struct ProbeResult {
  std::uint64_t id;  ///< as given to start_probe; each owner has ids of its own
  TransportResult result;
  /// Time during which nobody moved the probe although something waited for it: not the endpoint's, neither for its
  /// latency nor for any limit.
  Duration unattended{};
};

/// Thread-safe. Never throws. Calls of one transport may run at the same time on many threads.
class MLFLOWHA_EXPORT Transport {
 public:
  virtual ~Transport();

  /// Carries one request to `endpoint` and waits for the answer, the timeout or cancellation.
  [[nodiscard]] virtual TransportResult perform(const Uri& endpoint, const Request& request,
                                                const AttemptTimeouts& timeouts,
                                                const CancellationToken& cancel) noexcept = 0;

  /// Starts a request that is carried along with later calls. Returns false when it can't be started. However far apart
  /// those calls are, an answer that came within `timeouts` counts; a connection that was lost in a pause between them
  /// is TransportFault::cancelled, since it says nothing about the endpoint.
  [[nodiscard]] virtual bool start_probe(const ProbeOwner& owner, std::uint64_t id, const Uri& endpoint,
                                         const Request& request, const AttemptTimeouts& timeouts) noexcept = 0;
  /// Moves everybody's probes forward without waiting and hands over those of `owner` that have ended. Cheap when there
  /// are none.
  [[nodiscard]] virtual std::vector<ProbeResult> poll_probes(const ProbeOwner& owner) noexcept = 0;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/http/impl/transport.ipp>
#endif

#endif
