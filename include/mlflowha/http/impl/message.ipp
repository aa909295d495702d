#ifndef MLFLOWHA_HTTP_IMPL_MESSAGE_IPP
#define MLFLOWHA_HTTP_IMPL_MESSAGE_IPP

#include <mlflowha/http/message.hpp>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE std::string_view to_string(Method method) noexcept {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::post:
      return "POST";
    case Method::put:
      return "PUT";
    case Method::patch:
      return "PATCH";
    case Method::del:
      return "DELETE";
  }
  return "?";
}

MLFLOWHA_INLINE std::string_view Response::header(std::string_view lower_case_name) const noexcept {
  for (const Header& header : headers) {
    if (header.name == lower_case_name) return header.value;
  }
  return {};
}

MLFLOWHA_END_NAMESPACE

#endif
