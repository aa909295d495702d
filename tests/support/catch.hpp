#ifndef MLFLOWHA_TESTS_SUPPORT_CATCH_HPP
#define MLFLOWHA_TESTS_SUPPORT_CATCH_HPP

// The one way into Catch2. Debian 12 ships Catch2 2.13, newer systems ship 3: every test includes this header and
// never one of Catch2's own, and keeps to what both have. Where the two differ, `mlflowha_tests` has one spelling:
//
//   mlflowha_tests::approx(1.0)               a floating-point value within rounding
//   mlflowha_tests::contains("text")          string matchers, for REQUIRE_THAT / CHECK_THAT
//   mlflowha_tests::starts_with / ends_with / equals_string
//
// The runner's main() is tests/support/main.cpp; a test file never defines CATCH_CONFIG_MAIN.

#if defined(__has_include) && __has_include(<catch2/catch_all.hpp>)
#define MLFLOWHA_CATCH2_VERSION 3
#include <catch2/catch_all.hpp>
#else
#define MLFLOWHA_CATCH2_VERSION 2
#ifndef CATCH_CONFIG_ENABLE_BENCHMARKING
#define CATCH_CONFIG_ENABLE_BENCHMARKING  // part of 3; an opt-in in 2
#endif
#include <catch2/catch.hpp>
#endif

#include <string>
#include <utility>

namespace mlflowha_tests {

#if MLFLOWHA_CATCH2_VERSION == 3
using Approx = Catch::Approx;
[[nodiscard]] inline auto contains(std::string text) { return Catch::Matchers::ContainsSubstring(std::move(text)); }
#else
using Approx = Catch::Detail::Approx;
[[nodiscard]] inline auto contains(const std::string& text) { return Catch::Matchers::Contains(text); }
#endif

[[nodiscard]] inline Approx approx(double value) { return Approx(value); }
[[nodiscard]] inline auto starts_with(const std::string& text) { return Catch::Matchers::StartsWith(text); }
[[nodiscard]] inline auto ends_with(const std::string& text) { return Catch::Matchers::EndsWith(text); }
[[nodiscard]] inline auto equals_string(const std::string& text) { return Catch::Matchers::Equals(text); }

}  // namespace mlflowha_tests

#endif
