#ifndef MLFLOWHA_CORE_IMPL_UTF8_IPP
#define MLFLOWHA_CORE_IMPL_UTF8_IPP

// What is valid UTF-8. Inline in both modes: every unit with codecs asks.

#include <mlflowha/config.hpp>

#include <cstddef>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// Length of the valid UTF-8 sequence at `p`, 0 when it is broken (RFC 3629: no overlongs, no surrogates, <= U+10FFFF).
[[nodiscard]] inline std::size_t utf8_sequence(const unsigned char* p, std::size_t left) noexcept {
  const auto continues = [&](std::size_t i) { return i < left && (p[i] & 0xC0U) == 0x80U; };
  if (left == 0) return 0;
  if (p[0] < 0x80) return 1;
  if (p[0] >= 0xC2 && p[0] <= 0xDF) return continues(1) ? 2 : 0;
  if (p[0] >= 0xE0 && p[0] <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    if (p[0] == 0xE0 && p[1] < 0xA0) return 0;
    if (p[0] == 0xED && p[1] > 0x9F) return 0;
    return 3;
  }
  if (p[0] >= 0xF0 && p[0] <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (p[0] == 0xF0 && p[1] < 0x90) return 0;
    if (p[0] == 0xF4 && p[1] > 0x8F) return 0;
    return 4;
  }
  return 0;
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
