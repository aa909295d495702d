#ifndef MLFLOWHA_IMPL_SRC_TRACKING_HPP
#define MLFLOWHA_IMPL_SRC_TRACKING_HPP

// The library's unit of typed calls and codecs: experiments, runs and what belongs to them. Groups that share codecs
// share a unit.

#include <mlflowha/api/impl/artifacts_calls.ipp>
#include <mlflowha/api/impl/experiments_calls.ipp>
#include <mlflowha/api/impl/logged_models_calls.ipp>
#include <mlflowha/api/impl/runs_calls.ipp>
#include <mlflowha/api/impl/server_calls.ipp>
#include <mlflowha/client/impl/batch_fault.ipp>

#endif
