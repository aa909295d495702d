#ifndef MLFLOWHA_CLIENT_IMPL_BATCH_FAULT_HPP
#define MLFLOWHA_CLIENT_IMPL_BATCH_FAULT_HPP

// What is wrong with a batch that Client::log_batch() sends as several requests, found before the first of them is
// sent: a request checks itself alone, when the ones before it are stored.

#include <mlflowha/api/runs.hpp>

#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Empty, or the first fault with the entry's place in the whole batch: a rule of MLflow's that it breaks, text that
/// can't be sent, or a param's key that is there twice, which a server refuses only within one request.
[[nodiscard]] std::string batch_fault(const std::vector<Metric>& metrics, const std::vector<Param>& params,
                                      const std::vector<RunTag>& tags);

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/batch_fault.ipp>
#endif

#endif
