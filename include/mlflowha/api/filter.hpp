#ifndef MLFLOWHA_API_FILTER_HPP
#define MLFLOWHA_API_FILTER_HPP

// Filter: what a search looks for, in MLflow's filter language. Text is taken as it is; the functions of namespace
// filter write it with keys and values quoted, for which that language has its own ideas (no escapes, two kinds of
// quotes):
//
//   using namespace mlflowha;
//   SearchRuns search{.experiment_ids = {"0"}, .filter = "metrics.loss < 0.1"};
//   search.filter = filter::metric("val loss") < 0.1 && filter::tag("mlflow.user") == user;
//
// What the language can't say (a value with both kinds of quotes, NaN) becomes the filter's fault, and the call that
// sends it fails with Errc::invalid_argument before anything is sent. There is AND and nothing else: no OR, no NOT, no
// brackets. All of it was tried against the parsers of MLflow 3.17.2 and 2.22.5.

#include <mlflowha/config.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// A filter, empty at first: everything is found. A plain value; may hold a fault instead of a meaning.
class MLFLOWHA_EXPORT Filter {
 public:
  Filter() = default;
  /// Text in MLflow's filter language, sent as it is. The server judges it.
  Filter(std::string text) : text_(std::move(text)) {}  // NOLINT(google-explicit-constructor): assigned as text
  Filter(std::string_view text) : text_(text) {}        // NOLINT(google-explicit-constructor)
  Filter(const char* text) : text_(text) {}             // NOLINT(google-explicit-constructor)

  /// As it is sent.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool empty() const noexcept { return text_.empty() && last_.empty() && fault_.empty(); }
  /// Why this filter can't be written; "" when it can.
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

  /// Both must hold. An empty filter adds nothing. Both sides are always evaluated.
  friend MLFLOWHA_EXPORT Filter operator&&(Filter left, const Filter& right);
  friend bool operator==(const Filter&, const Filter&) = default;

 private:
  friend class FilterColumn;

  std::string text_;
  std::string last_;  // a comparison that must come last: its value ends in a backslash, which MLflow's parser takes
                      // for an escape wherever another quote follows
  std::string fault_;
};

/// What is compared: the left side of a comparison. Made by the functions of namespace filter.
class MLFLOWHA_EXPORT FilterColumn {
 public:
  /// `name` as it is written, already quoted where needed; `fault` where it can't be written.
  FilterColumn(std::string name, std::string fault) : name_(std::move(name)), fault_(std::move(fault)) {}

 protected:
  [[nodiscard]] Filter compare(const char* comparison, std::string_view text) const;
  [[nodiscard]] Filter compare(const char* comparison, double number) const;
  [[nodiscard]] Filter compare(const char* comparison, std::int64_t number) const;
  [[nodiscard]] Filter compare(const char* comparison, const std::vector<std::string>& texts) const;
  [[nodiscard]] Filter is(const char* what) const;

 private:
  [[nodiscard]] Filter clause(const char* comparison, const std::string& value) const;
  [[nodiscard]] Filter refused(const std::string& why) const;

  std::string name_;
  std::string fault_;
};

/// A column of texts. Text is UTF-8; a value may hold one kind of quotes, ' or ", not both.
class MLFLOWHA_EXPORT TextColumn : public FilterColumn {
 public:
  using FilterColumn::FilterColumn;

  [[nodiscard]] Filter operator==(std::string_view value) const { return compare("=", value); }
  [[nodiscard]] Filter operator!=(std::string_view value) const { return compare("!=", value); }
  /// SQL's patterns: % stands for anything, _ for one character; neither can be escaped.
  [[nodiscard]] Filter like(std::string_view pattern) const { return compare("LIKE", pattern); }
  /// like() whatever the case of letters (which letters, the server's database knows).
  [[nodiscard]] Filter ilike(std::string_view pattern) const { return compare("ILIKE", pattern); }
  /// A regular expression; in searches of traces by MLflow 3.
  [[nodiscard]] Filter rlike(std::string_view pattern) const { return compare("RLIKE", pattern); }
  /// One of these, at least one. Servers know it for few columns: run_id of runs and model versions, name of logged
  /// models, datasets, some of traces. The values may hold neither ', \ nor control characters, because releases differ
  /// in what those mean in a list.
  [[nodiscard]] Filter in(const std::vector<std::string>& values) const { return compare("IN", values); }
  [[nodiscard]] Filter not_in(const std::vector<std::string>& values) const { return compare("NOT IN", values); }
  /// No such tag or param. Needs MLflow 3.
  [[nodiscard]] Filter is_null() const { return is("IS NULL"); }
  [[nodiscard]] Filter is_not_null() const { return is("IS NOT NULL"); }
};

namespace detail {

/// Adds comparisons with numbers, which may be neither NaN nor infinite, to a column.
template <class Column>
class WithNumbers : public Column {
 public:
  using Column::Column;

  // clang-format off
  template <class N> requires std::is_arithmetic_v<N>
  [[nodiscard]] Filter operator==(N value) const { return number("=", value); }
  template <class N> requires std::is_arithmetic_v<N>
  [[nodiscard]] Filter operator!=(N value) const { return number("!=", value); }
  template <class N> requires std::is_arithmetic_v<N>
  [[nodiscard]] Filter operator<(N value) const { return number("<", value); }
  template <class N> requires std::is_arithmetic_v<N>
  [[nodiscard]] Filter operator<=(N value) const { return number("<=", value); }
  template <class N> requires std::is_arithmetic_v<N>
  [[nodiscard]] Filter operator>(N value) const { return number(">", value); }
  template <class N> requires std::is_arithmetic_v<N>
  [[nodiscard]] Filter operator>=(N value) const { return number(">=", value); }
  // clang-format on

 private:
  template <class N>
  [[nodiscard]] Filter number(const char* comparison, N value) const {
    static_assert(!std::is_same_v<N, bool>, "MLflow's filters know texts and numbers");
    if constexpr (std::is_integral_v<N>) {
      if (std::in_range<std::int64_t>(value)) return this->compare(comparison, static_cast<std::int64_t>(value));
    }
    return this->compare(comparison, static_cast<double>(value));
  }
};

}  // namespace detail

/// A column of numbers.
class MLFLOWHA_EXPORT NumberColumn : public detail::WithNumbers<FilterColumn> {
 public:
  using WithNumbers::WithNumbers;
};

/// A column of which the server knows whether it holds texts or numbers.
class MLFLOWHA_EXPORT AnyColumn : public detail::WithNumbers<TextColumn> {
 public:
  using WithNumbers::WithNumbers;

  using TextColumn::operator==;
  using TextColumn::operator!=;
  using WithNumbers::operator==;
  using WithNumbers::operator!=;
};

/// Columns of searches. Keys may hold anything but a backtick.
namespace filter {

/// The latest value of a metric: runs, logged models.
[[nodiscard]] MLFLOWHA_EXPORT NumberColumn metric(std::string_view key);
/// Runs, logged models.
[[nodiscard]] MLFLOWHA_EXPORT TextColumn param(std::string_view key);
/// Everything that has tags. (Of logged models a value with a ' can't be found: their parser keeps double quotes.)
[[nodiscard]] MLFLOWHA_EXPORT TextColumn tag(std::string_view key);
/// What the entity itself has: "run_name", "start_time", "status", "name", "creation_time", "trace.text" and so on.
/// Letters, digits, '_' and '.'.
[[nodiscard]] MLFLOWHA_EXPORT AnyColumn attribute(std::string_view name);
/// "name", "digest" or "context" of a dataset that a run used.
[[nodiscard]] MLFLOWHA_EXPORT TextColumn dataset(std::string_view what);
/// Of traces.
[[nodiscard]] MLFLOWHA_EXPORT TextColumn metadata(std::string_view key);
/// Of traces, MLflow 3: an assessment's value, by its name.
[[nodiscard]] MLFLOWHA_EXPORT AnyColumn feedback(std::string_view name);
[[nodiscard]] MLFLOWHA_EXPORT AnyColumn expectation(std::string_view name);
/// Of traces, MLflow 3: "name", "type", "status", "content" or "attributes.KEY" of any of its spans.
[[nodiscard]] MLFLOWHA_EXPORT TextColumn span(std::string_view what);

}  // namespace filter

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/api/impl/filter.ipp>
#endif

#endif
