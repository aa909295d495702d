#ifndef MLFLOWHA_CLIENT_IMPL_RELEASES_IPP
#define MLFLOWHA_CLIENT_IMPL_RELEASES_IPP

#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/server_codec.hpp>
#include <mlflowha/client/impl/releases.hpp>

#include <fmt/format.h>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE Release release_of(const ServerVersion& version) noexcept {
  return Release::of(version.major, version.minor, version.patch);
}

MLFLOWHA_INLINE Release release_needed(const api::Operation& operation) noexcept {
  return operation.since == ServerVersion{} ? Release() : release_of(operation.since);
}

MLFLOWHA_INLINE std::string to_text(Release release) {
  if (!release.is_known()) return {};
  return fmt::format("{}.{}.{}", release.major_number(), release.minor_number(), release.patch_number());
}

MLFLOWHA_INLINE const api::Operation& release_operation() noexcept { return api::ops::get_server_version; }

MLFLOWHA_INLINE const Request& release_request() {
  static const Request request = [] {
    Request made = api::prepare_get_server_version().value().http;
    made.max_response_bytes = 4096;  // whoever answers with more is no MLflow
    return made;
  }();
  return request;
}

MLFLOWHA_INLINE Release read_release(const Response& response) {
  const Result<std::string> text = api::decode_get_server_version(response.body);
  const Result<ServerVersion> version = text ? parse_server_version(*text) : Result<ServerVersion>(text.error());
  return version ? release_of(*version) : Release::untold();
}

MLFLOWHA_INLINE std::string explain_releases(const api::Operation& operation, const EndpointSet& endpoints) {
  const auto runs = [&](EndpointIndex index) {
    const Release release = endpoints.release(index);
    return release.is_known()   ? to_text(release)
           : release.is_asked() ? std::string("a release that it doesn't tell")
                                : std::string("a release that isn't known yet");
  };
  std::string text;
  if (operation.since != ServerVersion{}) {
    const ServerVersion& since = operation.since;
    text = fmt::format("{} needs MLflow >= {}.{}", operation.name, since.major, since.minor);
    if (since.patch != 0) text += fmt::format(".{}", since.patch);
    if (operation.until != ServerVersion{})
      text += fmt::format(" and < {}.{}", operation.until.major, operation.until.minor);
    text += ", but ";
  } else if (operation.until != ServerVersion{}) {
    text = fmt::format("{} needs MLflow < {}.{}, but ", operation.name, operation.until.major, operation.until.minor);
  }
  for (EndpointIndex index = 0; index < endpoints.size(); ++index) {
    if (index == 0) {
      text += fmt::format("{} runs {}", endpoints.uri(index).origin(), runs(index));
    } else {
      text += fmt::format("{}{}: {}", index == 1 ? " (" : ", ", endpoints.uri(index).origin(), runs(index));
    }
  }
  if (endpoints.size() > 1) text += ')';
  return text;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
