#ifndef MLFLOWHA_API_SECRETS_HPP
#define MLFLOWHA_API_SECRETS_HPP

// Keeps the secrets of a request out of what is said about it. A server may repeat in an error what it was sent, and
// the error ends in a log: the client passes the words of every answer through here.

#include <mlflowha/api/operation.hpp>

#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

namespace api {

/// `text` with "[secret]" for what it repeats of the secrets in the request's JSON body: the whole of each, and pieces
/// of 6 bytes and more, since servers cut what they repeat and put escapes into it. Takes any bytes.
[[nodiscard]] MLFLOWHA_EXPORT std::string without_secrets(const Operation& operation, std::string_view request_body,
                                                          std::string text);

}  // namespace api

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/api/impl/secrets.ipp>
#endif

#endif
