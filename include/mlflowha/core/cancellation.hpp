#ifndef MLFLOWHA_CORE_CANCELLATION_HPP
#define MLFLOWHA_CORE_CANCELLATION_HPP

// CancellationToken: how a caller ends a call that is under way in another thread. CancellationSource triggers it. Both
// are std::stop_token and std::stop_source behind a pointer, because <stop_token> would be a fifteenth of what
// including the client costs, for a feature that few calls use (docs/adr/0015). A std::stop_token, for instance a
// std::jthread's, is taken wherever a CancellationToken is, by whoever includes <mlflowha/core/stop_token.hpp>.

#include <mlflowha/config.hpp>

#include <memory>
#include <type_traits>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

struct Cancellation;

/// Completed for std::stop_token in core/stop_token.hpp.
template <class StopToken>
struct FromStopToken {
  static_assert(!std::is_same_v<StopToken, StopToken>,
                "include <mlflowha/core/stop_token.hpp> to pass a std::stop_token");
};

}  // namespace detail

/// Says whether the call that it was given to is to end. A default-made one never says so. Copies speak of the same
/// thing. Safe to use from any thread.
class CancellationToken {
 public:
  CancellationToken() noexcept = default;
  /// The signal of a std::stop_token. \throws std::bad_alloc.
  template <class StopToken>
    requires(!std::is_same_v<StopToken, CancellationToken> &&
             requires(const StopToken& token) { token.stop_possible(); })
  CancellationToken(const StopToken& token)  // NOLINT(google-explicit-constructor): as good as one of ours
      : state_(detail::FromStopToken<StopToken>::share(token)) {}

  /// True once it was triggered, and for ever.
  [[nodiscard]] bool stop_requested() const noexcept { return state_ != nullptr && is_requested(); }
  /// Whether it belongs to a source at all: false for a default-made one.
  [[nodiscard]] bool stop_possible() const noexcept { return state_ != nullptr; }

  /// Whether both speak of the same signal.
  friend bool operator==(const CancellationToken&, const CancellationToken&) noexcept = default;

 private:
  friend class CancellationSource;
  friend struct detail::Cancellation;

  explicit CancellationToken(std::shared_ptr<const detail::Cancellation> state) noexcept : state_(std::move(state)) {}
  [[nodiscard]] MLFLOWHA_EXPORT bool is_requested() const noexcept;

  std::shared_ptr<const detail::Cancellation> state_;
};

/// Triggers its tokens, all at once and for good. Copies trigger the same tokens, and a move is a copy. Safe to use
/// from any thread.
class MLFLOWHA_EXPORT CancellationSource {
 public:
  /// \throws std::bad_alloc.
  CancellationSource();
  CancellationSource(const CancellationSource&) noexcept = default;
  CancellationSource& operator=(const CancellationSource&) noexcept = default;
  ~CancellationSource() = default;

  /// Returns whether this call was the one that triggered. Calls in flight return within 5 ms.
  bool request_stop() const noexcept;
  [[nodiscard]] bool stop_requested() const noexcept;
  [[nodiscard]] CancellationToken get_token() const noexcept;

 private:
  std::shared_ptr<detail::Cancellation> state_;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/core/impl/cancellation.ipp>
#endif

#endif
