#ifndef MLFLOWHA_CORE_URI_HPP
#define MLFLOWHA_CORE_URI_HPP

// Uri: the little of RFC 3986 that an MLflow server's address needs, and the parser of endpoint lists
// ("http://a:5000,http://b:5000/prefix"). Strict: what it can't read it refuses, naming the text and the rule.

#include <mlflowha/core/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// The address of one server: scheme, host, port and an optional path prefix (`mlflow server --static-prefix`).
struct Uri {
  std::string scheme;      ///< "http" or "https", lower case
  std::string host;        ///< lower case; an IPv6 literal without its brackets
  std::uint16_t port = 0;  ///< explicit, or 80/443 by scheme
  std::string prefix;      ///< "" or "/some/path" without a slash at the end

  /// "http://host:port", IPv6 in brackets. What a breaker is keyed by and what logs show.
  [[nodiscard]] MLFLOWHA_EXPORT std::string origin() const;
  /// origin() + prefix.
  [[nodiscard]] MLFLOWHA_EXPORT std::string base() const;

  friend bool operator==(const Uri&, const Uri&) = default;
};

/// Parses one address. Refuses other schemes, user info (credentials belong into options or environment), a query,
/// a fragment, a port outside 1..65535, an empty or malformed host, white space and control characters.
[[nodiscard]] MLFLOWHA_EXPORT Result<Uri> parse_uri(std::string_view text);

/// Parses a comma-separated list, first = preferred; blanks around items are allowed. An item without a scheme takes
/// that of the first item. Refuses an empty list, empty items, duplicates and mixed http/https, listing every fault.
[[nodiscard]] MLFLOWHA_EXPORT Result<std::vector<Uri>> parse_endpoint_list(std::string_view text);

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3), for one path segment or query value.
[[nodiscard]] MLFLOWHA_EXPORT std::string percent_encode(std::string_view text);

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/core/impl/uri.ipp>
#endif

#endif
