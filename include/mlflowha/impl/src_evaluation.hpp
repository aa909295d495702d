#ifndef MLFLOWHA_IMPL_SRC_EVALUATION_HPP
#define MLFLOWHA_IMPL_SRC_EVALUATION_HPP

// The library's unit of typed calls and codecs: traces, what judges them, and the gateway. Groups that share codecs
// share a unit.

#include <mlflowha/api/impl/assessments_calls.ipp>
#include <mlflowha/api/impl/evaluation_datasets_calls.ipp>
#include <mlflowha/api/impl/gateway_calls.ipp>
#include <mlflowha/api/impl/issues_calls.ipp>
#include <mlflowha/api/impl/label_schemas_calls.ipp>
#include <mlflowha/api/impl/prompt_optimization_calls.ipp>
#include <mlflowha/api/impl/review_queues_calls.ipp>
#include <mlflowha/api/impl/scorers_calls.ipp>
#include <mlflowha/api/impl/traces_calls.ipp>

#endif
