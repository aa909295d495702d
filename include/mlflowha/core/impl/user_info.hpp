#ifndef MLFLOWHA_CORE_IMPL_USER_INFO_HPP
#define MLFLOWHA_CORE_IMPL_USER_INFO_HPP

// What an error shows of an address that it refuses, or that somebody else's words quote: no user, no password. Not
// part of the public API.

#include <mlflowha/config.hpp>

#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// `address`, or what was meant to be one, with "..." for all from after "scheme://", or from the beginning where there
/// is no scheme, up to the last '@'. People write passwords unencoded: nothing before that '@' is known to be none.
[[nodiscard]] MLFLOWHA_EXPORT std::string hide_user_info(std::string_view address);
/// A user's name, with "..." for all that follows a colon: NAME:PASSWORD is what some put there.
[[nodiscard]] MLFLOWHA_EXPORT std::string hide_password(std::string_view username);

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/core/impl/user_info.ipp>
#endif

#endif
