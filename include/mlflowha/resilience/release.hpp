#ifndef MLFLOWHA_RESILIENCE_RELEASE_HPP
#define MLFLOWHA_RESILIENCE_RELEASE_HPP

// Release: which release a server runs, as one number that orders like the releases do and fits into an atomic. The
// machines of this room compare it and know nothing else of it; the client room makes it from what a server says.

#include <mlflowha/config.hpp>

#include <compare>
#include <cstdint>

MLFLOWHA_BEGIN_NAMESPACE

/// "Not asked yet" < "asked, but it can't be told" < every known release. As a call's need, the default means any.
class Release {
 public:
  /// Not asked yet.
  constexpr Release() noexcept = default;
  /// Numbers beyond 65,535 count as that, negative ones as 0.
  static constexpr Release of(std::int64_t major, std::int64_t minor, std::int64_t patch) noexcept {
    return Release(known_flag | part(major) << 32U | part(minor) << 16U | part(patch));
  }
  /// Asked, but the server didn't tell.
  static constexpr Release untold() noexcept { return Release(1); }

  [[nodiscard]] constexpr bool is_asked() const noexcept { return bits_ != 0; }
  [[nodiscard]] constexpr bool is_known() const noexcept { return (bits_ & known_flag) != 0; }
  // Of a known one.
  [[nodiscard]] constexpr int major_number() const noexcept { return static_cast<int>(bits_ >> 32U & part_mask); }
  [[nodiscard]] constexpr int minor_number() const noexcept { return static_cast<int>(bits_ >> 16U & part_mask); }
  [[nodiscard]] constexpr int patch_number() const noexcept { return static_cast<int>(bits_ & part_mask); }

  friend constexpr auto operator<=>(const Release&, const Release&) noexcept = default;

 private:
  static constexpr std::uint64_t part_mask = 0xFFFF;
  static constexpr std::uint64_t known_flag = std::uint64_t{1} << 48U;
  static constexpr std::uint64_t part(std::int64_t number) noexcept {
    return number < 0 ? 0 : number > 0xFFFF ? part_mask : static_cast<std::uint64_t>(number);
  }
  explicit constexpr Release(std::uint64_t bits) noexcept : bits_(bits) {}

  std::uint64_t bits_ = 0;
};

/// Whether an endpoint may serve a call that needs some release.
enum class Fit : std::uint8_t {
  fits,     ///< new enough; or its release can't be told, and trying is the only way to find out
  ask,      ///< not asked yet, or found too old so long ago that it may have been upgraded
  too_old,  ///< not for this call
};

MLFLOWHA_END_NAMESPACE

#endif
