#ifndef MLFLOWHA_CORE_IMPL_USER_INFO_IPP
#define MLFLOWHA_CORE_IMPL_USER_INFO_IPP

#include <mlflowha/core/impl/user_info.hpp>

#include <algorithm>
#include <cstddef>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE std::string hide_user_info(std::string_view address) {
  const std::size_t at = address.rfind('@');
  if (at == std::string_view::npos) return std::string(address);
  const std::size_t scheme = std::min(address.find(':'), at);
  const bool named = scheme > 0 && address.substr(scheme, 3) == "://" &&
                     std::all_of(address.begin(), address.begin() + static_cast<std::ptrdiff_t>(scheme), [](char c) {
                       const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
                       return letter || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
                     });
  std::string shown(address.substr(0, named ? scheme + 3 : 0));
  shown += "...";
  shown += address.substr(at);
  return shown;
}

MLFLOWHA_INLINE std::string hide_password(std::string_view username) {
  const std::size_t colon = username.find(':');
  return colon == std::string_view::npos ? std::string(username) : std::string(username.substr(0, colon + 1)) + "...";
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
