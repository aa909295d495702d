#ifndef MLFLOWHA_HTTP_OPTIONS_HPP
#define MLFLOWHA_HTTP_OPTIONS_HPP

// What may be set of the transport that real programs use, without the transport: certificates, credentials, limits of
// connections and answers. Used by client/options.hpp and http/curl_transport.hpp.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/secret.hpp>
#include <mlflowha/version.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// How https endpoints are checked and how we show who we are. At least TLS 1.2 in every case.
struct TlsOptions {
  std::string ca_file;      ///< PEM bundle that replaces the system's; "" = search, see make_curl_transport()
  std::string ca_path;      ///< directory of hashed certificates, beside or instead of ca_file
  std::string client_cert;  ///< PEM certificate for servers that ask for one
  std::string client_key;   ///< PEM key; "" = it is in client_cert, as MLFLOW_TRACKING_CLIENT_CERT_PATH has it
  Secret client_key_password;
  bool insecure = false;  ///< accept any certificate: anybody on the way can read and change everything
};

/// What goes into the Authorization header. Basic wins over bearer when both are set, as in MLflow's own client. A
/// request that brings its own Authorization header replaces it.
struct AuthOptions {
  std::string username;
  Secret password;
  Secret bearer_token;
};

/// Told by a thread that waits for an answer: each time it wakes, and at least every 40 ms. For hosts whose threads owe
/// somebody a look now and then, as an interpreter's main thread owes it to signals; to end the call it triggers the
/// call's CancellationToken. Override it; called from every thread that makes calls, under no lock.
class MLFLOWHA_EXPORT WaitHook {
 public:
  virtual ~WaitHook();
  virtual void waiting() noexcept = 0;
};

/// Everything that is fixed for the life of a transport.
struct CurlTransportOptions {
  TlsOptions tls;
  AuthOptions auth;
  std::string user_agent = "mlflowha/" MLFLOWHA_VERSION_STRING;

  /// Sets of connections kept for the next call, at most 65536. More threads than this may call at once; the surplus
  /// reconnects.
  std::size_t max_idle_slots = 16;
  /// A connection that was idle for longer is not used again. Small on purpose: gunicorn (MLflow 2) closes an idle
  /// connection after 2 s and uvicorn (MLflow 3) after 5 s, and a request that meets the closing is an ambiguous
  /// failure. Costs one reconnect per pause of that length. For a thread that alternates between endpoints libcurl
  /// counts in whole seconds (up to 8.x), so there it may be up to one second more.
  Duration max_idle_age = std::chrono::seconds(1);
  /// A connection older than this is not used again, so that load balancers can move clients. 0 = no limit.
  Duration max_lifetime = std::chrono::minutes(5);
  Duration tcp_keepalive_idle = std::chrono::seconds(30);  ///< first TCP keepalive probe, then every 10 s

  /// Cap on a decoded response body; a request may set its own. Memory stays below twice this figure per call.
  std::size_t max_response_bytes = std::size_t{256} << 20U;
  std::size_t max_header_bytes = std::size_t{256} << 10U;  ///< cap on all header lines of one answer together
  std::size_t max_probes = 64;                             ///< side probes in flight or not yet collected

  /// Honour http_proxy, https_proxy, all_proxy and no_proxy as the curl tool does (loopback is no exception: name it in
  /// no_proxy). Whether there is a proxy is looked for when the transport is made. false = never use one.
  bool use_environment_proxy = true;

  std::shared_ptr<WaitHook> wait_hook;  ///< null = nobody wants to know
};

/// Every fault of the options, each naming the option, its value and what was expected. Empty = usable. Looks whether
/// the named files can be read.
[[nodiscard]] MLFLOWHA_EXPORT std::vector<std::string> faults(const CurlTransportOptions& options);

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/http/curl_transport.hpp>
#endif

#endif
