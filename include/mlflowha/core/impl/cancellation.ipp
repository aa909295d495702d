#ifndef MLFLOWHA_CORE_IMPL_CANCELLATION_IPP
#define MLFLOWHA_CORE_IMPL_CANCELLATION_IPP

#include <mlflowha/core/cancellation.hpp>
#include <mlflowha/core/impl/cancellation_state.hpp>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE bool CancellationToken::is_requested() const noexcept { return state_->token.stop_requested(); }

MLFLOWHA_INLINE CancellationSource::CancellationSource() : state_(std::make_shared<detail::Cancellation>()) {
  state_->token = state_->source.get_token();
}

MLFLOWHA_INLINE bool CancellationSource::request_stop() const noexcept { return state_->source.request_stop(); }

MLFLOWHA_INLINE bool CancellationSource::stop_requested() const noexcept { return state_->source.stop_requested(); }

MLFLOWHA_INLINE CancellationToken CancellationSource::get_token() const noexcept { return CancellationToken(state_); }

MLFLOWHA_END_NAMESPACE

#endif
