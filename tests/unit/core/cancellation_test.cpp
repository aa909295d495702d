// CancellationToken and its source, and that a std::stop_token is as good as one of ours.

#include <mlflowha/core/cancellation.hpp>
#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/stop_token.hpp>

#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "support/catch.hpp"

using namespace mlflowha;

TEST_CASE("a token that belongs to no source never says stop", "[core][cancellation]") {
  const CancellationToken never;
  CHECK_FALSE(never.stop_possible());
  CHECK_FALSE(never.stop_requested());
  CHECK(never == CancellationToken());
  CHECK_FALSE(to_stop_token(never).stop_possible());
}

TEST_CASE("a source triggers all its tokens, once", "[core][cancellation]") {
  CancellationSource source;
  const CancellationToken token = source.get_token();
  const CancellationSource copy = source;
  CHECK(token.stop_possible());
  CHECK_FALSE(token.stop_requested());
  CHECK_FALSE(source.stop_requested());
  CHECK(token == copy.get_token());
  CHECK_FALSE(token == CancellationSource().get_token());

  CHECK(copy.request_stop());
  CHECK_FALSE(source.request_stop());
  CHECK(source.stop_requested());
  CHECK(token.stop_requested());
  CHECK(source.get_token().stop_requested());
}

TEST_CASE("a source that was moved from still triggers", "[core][cancellation]") {
  CancellationSource source;
  const CancellationSource moved = std::move(source);
  CHECK(source.request_stop());  // NOLINT(bugprone-use-after-move): a move is a copy, and says so
  CHECK(moved.get_token().stop_requested());
}

TEST_CASE("a token outlives its source", "[core][cancellation]") {
  std::optional<CancellationSource> source(std::in_place);
  const CancellationToken token = source->get_token();
  source.reset();
  CHECK_FALSE(token.stop_requested());
}

TEST_CASE("a std::stop_token is taken for a CancellationToken", "[core][cancellation]") {
  const std::stop_source source;
  const CancellationToken token = source.get_token();
  CHECK(token.stop_possible());
  CHECK_FALSE(token.stop_requested());
  CHECK(to_stop_token(token) == source.get_token());
  CHECK_FALSE(CancellationToken(std::stop_token()).stop_possible());
  static_assert(!std::is_convertible_v<int, CancellationToken>);

  source.request_stop();
  CHECK(token.stop_requested());
}

TEST_CASE("a std::stop_callback hears a CancellationSource", "[core][cancellation]") {
  const CancellationSource source;
  int heard = 0;
  const std::stop_callback callback(to_stop_token(source.get_token()), [&] { ++heard; });
  CHECK(heard == 0);
  source.request_stop();
  CHECK(heard == 1);
}
