// Result: what is taken out of one that is about to end is a value of its own, never a reference into it.

#include <mlflowha/core/result.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;

namespace {

Result<std::vector<std::string>> three_words() {
  return std::vector<std::string>{"a word that is too long for the small string", "another one that is as long",
                                  "three"};
}

}  // namespace

TEST_CASE("the value of a temporary result outlives it", "[core][result]") {
  using Words = Result<std::vector<std::string>>;
  static_assert(std::is_same_v<decltype(std::declval<Words>().value()), std::vector<std::string>>);
  static_assert(std::is_same_v<decltype(*std::declval<Words>()), std::vector<std::string>>);
  static_assert(std::is_same_v<decltype(std::declval<Words>().error()), Error>);
  static_assert(std::is_same_v<decltype(std::declval<Result<void>>().error()), Error>);
  static_assert(std::is_same_v<decltype(std::declval<Words&>().value()), std::vector<std::string>&>);

  std::string all;
  for (const std::string& word : three_words().value()) all += word.substr(0, 2);
  for (const std::string& word : *three_words()) all += word.substr(0, 2);
  CHECK(all == "a anth" + std::string("a anth"));
  const Error& error = Words(invalid_argument("a text that is too long for the small string")).error();
  CHECK(error.message == "a text that is too long for the small string");
}

TEST_CASE("a result holds what can't be copied", "[core][result]") {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  REQUIRE(result.has_value());
  const std::unique_ptr<int> seven = std::move(result).value();
  CHECK(*seven == 7);
}

TEST_CASE("a result is a value or an error, and says which", "[core][result]") {
  const Result<int> good = 7;
  const Result<int> bad = invalid_argument("no such thing");
  CHECK((good.has_value() && good && good.value() == 7 && *good == 7 && good.value_or(1) == 7));
  CHECK_FALSE(bad.has_value());
  CHECK(bad.error().code == Errc::invalid_argument);
  CHECK(bad.value_or(1) == 1);
  CHECK_THROWS_AS(bad.value(), Exception);
  CHECK_THROWS_AS(Result<int>(bad).value(), Exception);
  CHECK_FALSE(good == bad);
  CHECK(good == Result<int>(7));
  CHECK(bad == Result<int>(bad.error()));

  Result<int> changed = good;
  changed = bad;
  CHECK(changed == bad);
  changed = 8;
  CHECK(changed == Result<int>(8));
}

TEST_CASE("a result is copied, moved and assigned as its value is", "[core][result]") {
  using Words = Result<std::vector<std::string>>;
  static_assert(std::is_nothrow_move_constructible_v<Words> && std::is_nothrow_move_assignable_v<Words>);
  static_assert(!std::is_copy_constructible_v<Result<std::unique_ptr<int>>>);
  static_assert(!std::is_copy_assignable_v<Result<std::unique_ptr<int>>>);

  const auto counted = std::make_shared<int>(0);
  {
    Result<std::shared_ptr<int>> result(counted);
    CHECK(counted.use_count() == 2);
    const Result<std::shared_ptr<int>> copy = result;
    CHECK(counted.use_count() == 3);
    const Result<std::shared_ptr<int>> moved = std::move(result);
    CHECK(counted.use_count() == 3);
    result = copy;  // NOLINT(bugprone-use-after-move): gets a new value
    CHECK(counted.use_count() == 4);
    result = *&result;
    CHECK((counted.use_count() == 4 && result == moved));
    result = invalid_argument("a text that is too long for the small string");
    CHECK(counted.use_count() == 3);
    result = Result<std::shared_ptr<int>>(result);
    CHECK(result.error().message == "a text that is too long for the small string");
    result = moved;
    CHECK(result.value() == counted);
  }
  CHECK(counted.use_count() == 1);
}

TEST_CASE("a chain stops at the first error", "[core][result]") {
  const auto half = [](int number) -> Result<int> {
    if (number % 2 != 0) return invalid_argument("odd");
    return number / 2;
  };
  CHECK(Result<int>(8).and_then(half).and_then(half) == Result<int>(2));
  CHECK(Result<int>(6).and_then(half).and_then(half).error().message == "odd");
  CHECK(Result<int>(8).transform([](int number) { return std::to_string(number); }) == Result<std::string>("8"));
  CHECK(Result<int>(invalid_argument("x")).or_else([](const Error&) { return Result<int>(3); }) == Result<int>(3));
}
