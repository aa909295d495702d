#ifndef MLFLOWHA_CORE_STOP_TOKEN_HPP
#define MLFLOWHA_CORE_STOP_TOKEN_HPP

// CancellationToken and std::stop_token, one as the other. For programs that cancel calls by a std::jthread's token,
// and for transports and clocks of one's own, which wait on a CancellationToken by std::stop_callback.

#include <mlflowha/core/cancellation.hpp>
#include <mlflowha/core/impl/cancellation_state.hpp>

#include <memory>
#include <stop_token>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

inline std::stop_token Cancellation::of(const CancellationToken& token) noexcept {
  return token.state_ != nullptr ? token.state_->token : std::stop_token();
}

template <>
struct FromStopToken<std::stop_token> {
  static std::shared_ptr<const Cancellation> share(const std::stop_token& token) {
    if (!token.stop_possible()) return nullptr;
    return std::make_shared<Cancellation>(Cancellation{std::stop_source(std::nostopstate), token});
  }
};

}  // namespace detail

/// The std::stop_token of the same signal, for std::stop_callback and std::condition_variable_any.
[[nodiscard]] inline std::stop_token to_stop_token(const CancellationToken& token) noexcept {
  return detail::Cancellation::of(token);
}

MLFLOWHA_END_NAMESPACE

#endif
