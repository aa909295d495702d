#ifndef MLFLOWHA_API_IMPL_FILTER_IPP
#define MLFLOWHA_API_IMPL_FILTER_IPP

#include <mlflowha/api/filter.hpp>
#include <mlflowha/core/error.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

[[nodiscard]] MLFLOWHA_INLINE bool all_of_name(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

[[nodiscard]] MLFLOWHA_INLINE std::string quoted_fault(std::string_view what, std::string_view value,
                                                       std::string_view expected) {
  return std::string(what) + " is \"" + sanitize(value, 64) + "\"; expected " + std::string(expected);
}

/// PREFIX.`key`: backticks keep every key together, keywords and dots included.
template <class Column>
[[nodiscard]] Column quoted_column(std::string_view prefix, std::string_view key) {
  std::string fault;
  if (key.empty() || key.find('`') != std::string_view::npos) {
    fault = quoted_fault(std::string(prefix.substr(0, prefix.size() - 1)) + " key", key, "a key without a backtick");
  }
  return Column(std::string(prefix) + '`' + std::string(key) + '`', std::move(fault));
}

/// PREFIXname: some parsers compare the name before they take quotes off.
template <class Column>
[[nodiscard]] Column plain_column(std::string_view prefix, std::string_view name) {
  std::string fault;
  if (!all_of_name(name)) fault = quoted_fault("attribute", name, "letters, digits, '_' and '.'");
  return Column(std::string(prefix) + std::string(name), std::move(fault));
}

}  // namespace detail

MLFLOWHA_INLINE std::string Filter::text() const {
  if (last_.empty()) return text_;
  return text_.empty() ? last_ : text_ + " AND " + last_;
}

MLFLOWHA_INLINE Filter operator&&(Filter left, const Filter& right) {
  if (!right.text_.empty()) {
    if (!left.text_.empty()) left.text_ += " AND ";
    left.text_ += right.text_;
  }
  if (left.fault_.empty()) left.fault_ = right.fault_;
  if (left.last_.empty()) {
    left.last_ = right.last_;
  } else if (!right.last_.empty() && left.fault_.empty()) {
    left.fault_ = "two values end in a backslash; expected at most one, because MLflow's parser takes it for an escape";
  }
  return left;
}

MLFLOWHA_INLINE Filter FilterColumn::refused(const std::string& why) const {
  Filter filter;
  filter.fault_ = fault_.empty() ? name_ + ": " + why : fault_;
  return filter;
}

MLFLOWHA_INLINE Filter FilterColumn::clause(const char* comparison, const std::string& value) const {
  if (!fault_.empty()) return refused({});
  std::string text = name_ + ' ' + comparison;
  if (!value.empty()) text += ' ' + value;
  Filter filter;
  const bool backslash = value.size() > 2 && value[value.size() - 2] == '\\';
  (backslash ? filter.last_ : filter.text_) = std::move(text);
  return filter;
}

MLFLOWHA_INLINE Filter FilterColumn::compare(const char* comparison, std::string_view text) const {
  const bool apostrophe = text.find('\'') != std::string_view::npos;
  if (apostrophe && text.find('"') != std::string_view::npos) {
    return refused(detail::quoted_fault("value", text, "at most one kind of quotes, ' or \", in a value"));
  }
  const char quote = apostrophe ? '"' : '\'';
  return clause(comparison, quote + std::string(text) + quote);
}

MLFLOWHA_INLINE Filter FilterColumn::compare(const char* comparison, double number) const {
  if (!std::isfinite(number)) {
    return refused(detail::quoted_fault("value", std::isnan(number) ? "NaN" : "Infinity", "a finite number"));
  }
  std::array<char, 32> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number);
  std::string text(buffer.data(), result.ptr);
  std::erase(text, '+');  // 1e+300 is three things to MLflow's parser, 1e300 one
  return clause(comparison, text);
}

MLFLOWHA_INLINE Filter FilterColumn::compare(const char* comparison, std::int64_t number) const {
  return clause(comparison, std::to_string(number));
}

MLFLOWHA_INLINE Filter FilterColumn::compare(const char* comparison, const std::vector<std::string>& texts) const {
  if (texts.empty()) return refused("the list is empty; expected at least one value");
  std::string list = "(";
  for (const std::string& text : texts) {
    const auto awkward = [](char c) { return c == '\'' || c == '\\' || static_cast<unsigned char>(c) < 0x20; };
    if (std::any_of(text.begin(), text.end(), awkward)) {
      return refused(detail::quoted_fault("value", text, "neither ', \\ nor control characters in a list"));
    }
    if (list.size() > 1) list += ", ";
    list += '\'' + text + '\'';
  }
  return clause(comparison, list + ')');
}

MLFLOWHA_INLINE Filter FilterColumn::is(const char* what) const { return clause(what, {}); }

namespace filter {

MLFLOWHA_INLINE NumberColumn metric(std::string_view key) {
  return detail::quoted_column<NumberColumn>("metrics.", key);
}
MLFLOWHA_INLINE TextColumn param(std::string_view key) { return detail::quoted_column<TextColumn>("params.", key); }
MLFLOWHA_INLINE TextColumn tag(std::string_view key) { return detail::quoted_column<TextColumn>("tags.", key); }
MLFLOWHA_INLINE AnyColumn attribute(std::string_view name) { return detail::plain_column<AnyColumn>("", name); }
MLFLOWHA_INLINE TextColumn dataset(std::string_view what) {
  return detail::plain_column<TextColumn>("datasets.", what);
}
MLFLOWHA_INLINE TextColumn metadata(std::string_view key) {
  return detail::quoted_column<TextColumn>("metadata.", key);
}
MLFLOWHA_INLINE AnyColumn feedback(std::string_view name) {
  return detail::quoted_column<AnyColumn>("feedback.", name);
}
MLFLOWHA_INLINE AnyColumn expectation(std::string_view name) {
  return detail::quoted_column<AnyColumn>("expectation.", name);
}
MLFLOWHA_INLINE TextColumn span(std::string_view what) { return detail::quoted_column<TextColumn>("span.", what); }

}  // namespace filter

MLFLOWHA_END_NAMESPACE

#endif
