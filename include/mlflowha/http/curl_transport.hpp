#ifndef MLFLOWHA_HTTP_CURL_TRANSPORT_HPP
#define MLFLOWHA_HTTP_CURL_TRANSPORT_HPP

// CurlTransport: the Transport that real programs use. HTTP/1.1 over libcurl, driven by the calling thread: no thread
// of its own, no global state to initialise, no signal handler. The client makes one from its configuration; a program
// that needs plain HTTP with our failure reports can make one itself:
//
//   auto transport = mlflowha::make_curl_transport({}).value();
//   auto result = transport->perform(endpoint, request, {1s, 5s}, {});
//
// It keeps connections alive, one set per concurrently calling thread (never shared between threads), and never sends a
// `Resend::forbidden` request a second time by itself. It follows no redirect, keeps no cookie and reads no .netrc.
//
// fork: after a fork the child gets fresh connections and leaves the inherited ones alone: it neither uses nor closes
// them, because a TLS close alert from the child would end the parent's session. The inherited descriptors stay open in
// the child until it exits. An exec closes the connections; sockets by which libcurl wakes its own waiting (they lead
// nowhere; seen with 7.88.1) stay open beyond it.

#include <mlflowha/core/result.hpp>
#include <mlflowha/http/options.hpp>
#include <mlflowha/http/transport.hpp>

#include <memory>
#include <string>

MLFLOWHA_BEGIN_NAMESPACE

/// Makes a transport, or Errc::invalid_config listing every fault.
///
/// Certificates of authorities, when `tls` names none: SSL_CERT_FILE, else CURL_CA_BUNDLE, else what libcurl was built
/// with, else (that one doesn't exist: a wheel on another distribution) the first known system bundle. Read once, here.
///
/// The transport is thread-safe. Destroy it after its last call has returned. It allocates nothing before first use.
[[nodiscard]] MLFLOWHA_EXPORT Result<std::shared_ptr<Transport>> make_curl_transport(CurlTransportOptions options);

/// "libcurl 7.88.1, OpenSSL/3.0.17, asynchronous DNS": for bug reports. Says so when name resolution is synchronous:
/// such a libcurl can't bound or cancel it.
[[nodiscard]] MLFLOWHA_EXPORT std::string curl_library_info();

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/http/impl/curl_transport.ipp>
#endif

#endif
