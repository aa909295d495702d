#ifndef MLFLOWHA_CLIENT_IMPL_RELEASES_HPP
#define MLFLOWHA_CLIENT_IMPL_RELEASES_HPP

// Releases: which MLflow a server runs, asked and told. An endpoint is asked for GET /version when a call needs an
// operation that not every release has; see docs/adr/0010-releases-are-learnt-when-needed.md.

#include <mlflowha/api/operation.hpp>
#include <mlflowha/http/transport.hpp>
#include <mlflowha/resilience/endpoint_set.hpp>

#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// What an operation needs: the default where every release has it.
[[nodiscard]] MLFLOWHA_EXPORT Release release_needed(const api::Operation& operation) noexcept;
/// "3.17.2"; "" when it isn't known.
[[nodiscard]] MLFLOWHA_EXPORT std::string to_text(Release release);

[[nodiscard]] MLFLOWHA_EXPORT const api::Operation& release_operation() noexcept;
[[nodiscard]] MLFLOWHA_EXPORT const Request& release_request();
/// What a 2xx answer tells; Release::untold() when it is no release.
[[nodiscard]] MLFLOWHA_EXPORT Release read_release(const Response& response);

/// "get_trace needs MLflow >= 3.0, but http://a:5000 runs 2.22.5 (http://b:5000: 2.22.5)": for a call that nobody can
/// serve, and as a hint for one that failed for another reason while an endpoint was too old or has never been asked.
[[nodiscard]] MLFLOWHA_EXPORT std::string explain_releases(const api::Operation& operation,
                                                           const EndpointSet& endpoints);

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/releases.ipp>
#endif

#endif
