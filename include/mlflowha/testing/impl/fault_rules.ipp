#ifndef MLFLOWHA_TESTING_IMPL_FAULT_RULES_IPP
#define MLFLOWHA_TESTING_IMPL_FAULT_RULES_IPP

// What a rule of a fault script is about: shared by the script, which checks it, and the injector, which applies it.

#include <mlflowha/testing/fault_script.hpp>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {

/// Comes into effect before there is a request.
MLFLOWHA_INLINE bool is_connection_fault(FaultKind kind) noexcept {
  return kind == FaultKind::refuse || kind == FaultKind::connect_hang;
}

MLFLOWHA_INLINE bool is_modifier(FaultKind kind) noexcept {
  return kind == FaultKind::delay || kind == FaultKind::drip;
}

MLFLOWHA_INLINE bool is_connection_rule(const FaultRule& rule) noexcept {
  return !rule.actions.empty() && is_connection_fault(rule.actions.front().kind);
}

MLFLOWHA_INLINE bool contains(const std::vector<FaultRange>& ranges, std::uint64_t number) noexcept {
  return ranges.empty() || std::any_of(ranges.begin(), ranges.end(), [number](const FaultRange& range) {
           return range.first <= number && number <= range.last;
         });
}

MLFLOWHA_INLINE bool depends_on_time_only(const FaultMatch& match) {
  FaultMatch same_time;
  same_time.from = match.from;
  same_time.until = match.until;
  return match == same_time;
}

MLFLOWHA_INLINE bool fits_request(const FaultMatch& match, std::string_view method, std::string_view target) {
  if (!match.methods.empty() && std::find(match.methods.begin(), match.methods.end(), method) == match.methods.end()) {
    return false;
  }
  return target.substr(0, match.prefix.size()) == match.prefix && target.find(match.path) != std::string_view::npos;
}

}  // namespace detail

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
