#ifndef MLFLOWHA_CLIENT_IMPL_IDENTITY_IPP
#define MLFLOWHA_CLIENT_IMPL_IDENTITY_IPP

#include <mlflowha/api/experiments_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/impl/identity.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE const api::Operation& identity_operation() noexcept { return api::ops::search_experiments; }

MLFLOWHA_INLINE const Request& identity_request() {
  static const Request request = [] {
    SearchExperiments search;
    search.max_results = 10;
    search.view_type = ViewType::all;
    search.order_by = {"creation_time ASC", "experiment_id ASC"};
    return api::prepare_search_experiments(search).value().http;
  }();
  return request;
}

MLFLOWHA_INLINE Result<Fingerprint> read_fingerprint(const Response& response) {
  auto page = api::decode_search_experiments(response.body);
  if (!page) return std::move(page).error();
  Fingerprint fingerprint;
  for (const Experiment& experiment : page->items) {
    // The name and the location may be changed; id and birth stay.
    fingerprint.emplace_back(experiment.experiment_id, experiment.creation_time);
  }
  return fingerprint;
}

MLFLOWHA_INLINE IdentityBook::Verdict IdentityBook::compare(const Fingerprint& fingerprint,
                                                            const std::string& endpoint) {
  if (fingerprint.empty()) return Verdict::unknown;
  const std::lock_guard<ForkMutex> lock(mutex_);
  if (reference_.empty()) {
    reference_ = fingerprint;
    reference_endpoint_ = endpoint;
    return Verdict::same;
  }
  const bool shared = std::any_of(fingerprint.begin(), fingerprint.end(), [&](const auto& experiment) {
    return std::find(reference_.begin(), reference_.end(), experiment) != reference_.end();
  });
  if (!shared) return Verdict::other;
  reference_ = fingerprint;  // the newest view, so that slow change over months never leaves nothing in common
  return Verdict::same;
}

MLFLOWHA_INLINE std::string IdentityBook::explain(const Fingerprint& fingerprint, const std::string& endpoint) const {
  const auto oldest = [](const Fingerprint& f) {
    return f.empty() ? std::string("none")
                     : fmt::format("{} created at {} ms", sanitize(f.front().first, 64), f.front().second);
  };
  const std::lock_guard<ForkMutex> lock(mutex_);
  return fmt::format(
      "{} fronts another database than {}: its oldest experiment is {}, expected {}; the endpoint is not used",
      endpoint, reference_endpoint_, oldest(fingerprint), oldest(reference_));
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
