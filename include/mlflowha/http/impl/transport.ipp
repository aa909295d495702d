#ifndef MLFLOWHA_HTTP_IMPL_TRANSPORT_IPP
#define MLFLOWHA_HTTP_IMPL_TRANSPORT_IPP

#include <mlflowha/http/transport.hpp>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE Transport::~Transport() = default;

MLFLOWHA_INLINE std::string_view to_string(TransportFault fault) noexcept {
  switch (fault) {
    case TransportFault::resolve:
      return "name resolution failed";
    case TransportFault::connect_refused:
      return "connect refused";
    case TransportFault::connect_timeout:
      return "connect timeout";
    case TransportFault::tls:
      return "TLS failure";
    case TransportFault::timeout:
      return "timeout";
    case TransportFault::connection_lost:
      return "connection lost";
    case TransportFault::too_large:
      return "answer too large";
    case TransportFault::bad_encoding:
      return "undecodable answer";
    case TransportFault::bad_http:
      return "answer is not HTTP";
    case TransportFault::redirect_refused:
      return "redirect refused";
    case TransportFault::cancelled:
      return "cancelled";
    case TransportFault::bad_request:
      return "request can't be sent";
    case TransportFault::bad_file:
      return "file can't be used";
  }
  return "?";
}

MLFLOWHA_INLINE std::string_view to_string(Progress progress) noexcept {
  switch (progress) {
    case Progress::not_sent:
      return "not sent";
    case Progress::sent:
      return "sent";
    case Progress::answered:
      return "answered";
  }
  return "?";
}

MLFLOWHA_END_NAMESPACE

#endif
