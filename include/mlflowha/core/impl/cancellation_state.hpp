#ifndef MLFLOWHA_CORE_IMPL_CANCELLATION_STATE_HPP
#define MLFLOWHA_CORE_IMPL_CANCELLATION_STATE_HPP

// What a CancellationToken points to. In a header of its own because core/cancellation.hpp must not include
// <stop_token>, and core/stop_token.hpp includes core/cancellation.hpp.

#include <mlflowha/config.hpp>

#include <stop_token>

MLFLOWHA_BEGIN_NAMESPACE

class CancellationToken;

namespace detail {

/// A source of ours, or a token of somebody else's source.
struct Cancellation {
  std::stop_source source;
  std::stop_token token;

  static std::stop_token of(const CancellationToken& token) noexcept;  // core/stop_token.hpp
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
