#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_SEARCH_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_SEARCH_IPP

// Filter, order and page a list of rows: what every search of the registry and of logged models does.

#include <mlflowha/testing/impl/backend_experiments.ipp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE Cell cell_of_tag(const KeyValues& tags, const std::string& key) {
  const std::string* value = tags.find(key);
  return value == nullptr ? Cell() : Cell(*value);
}

/// Keeps the rows that fit `comparisons`, sorted by `orderings`; what those leave equal stays in its order.
template <class Row, class CellOf>
void keep_and_sort(std::vector<const Row*>& rows, const std::vector<Comparison>& comparisons,
                   const std::vector<Ordering>& orderings, const CellOf& cell_of) {
  std::erase_if(rows, [&](const Row* row) {
    return !std::all_of(comparisons.begin(), comparisons.end(), [&](const Comparison& comparison) {
      return holds(comparison, cell_of(*row, comparison.entity, comparison.key));
    });
  });
  // Not std::stable_sort: libstdc++'s needs a function that clang calls deprecated.
  std::vector<std::size_t> places(rows.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
    for (const Ordering& ordering : orderings) {
      if (const int order = compare_cells(*rows[a], *rows[b], ordering, cell_of); order != 0) return order < 0;
    }
    return a < b;
  });
  std::vector<const Row*> sorted;
  sorted.reserve(rows.size());
  for (const std::size_t place : places) sorted.push_back(rows[place]);
  rows = std::move(sorted);
}

/// The request's `filter` and `order_by` (texts) applied to rows that are in the order of a search without order_by.
template <class Row, class CellOf>
void search(std::vector<const Row*>& rows, const ParsedRequest& request, const SearchSchema& schema,
            const SearchSchema& order_schema, const CellOf& cell_of) {
  const std::string filter = request.text_value("filter");
  std::vector<Ordering> orderings;
  for (const Json& clause : request.list_value("order_by")) {
    const auto text = clause.get<std::string>();
    orderings.push_back(SearchParser(text, order_schema).order());
  }
  keep_and_sort(rows, SearchParser(filter, schema).filter(), orderings, cell_of);
}

MLFLOWHA_INLINE bool has_prompt_tag(const KeyValues& tags) {
  const std::string* value = tags.find("mlflow.prompt.is_prompt");
  return value != nullptr && *value == "true";
}

/// search() in the registry, which leaves prompts out unless the filter asks for them.
template <class Row, class CellOf, class IsPrompt>
void search_registry(std::vector<const Row*>& rows, const ParsedRequest& request, const SearchSchema& schema,
                     const SearchSchema& order_schema, const CellOf& cell_of, const IsPrompt& is_prompt) {
  const std::string filter = request.text_value("filter");
  const std::vector<Comparison> comparisons = SearchParser(filter, schema).filter();
  const auto about_prompts = [](const Comparison& c) {
    return c.entity == Entity::tag && c.key == "mlflow.prompt.is_prompt";
  };
  const auto asked = std::find_if(comparisons.begin(), comparisons.end(), about_prompts);
  const bool wanted = asked != comparisons.end() && ((asked->comparator == "=" && like(asked->text, "true", true)) ||
                                                     (asked->comparator == "!=" && like(asked->text, "false", true)));
  if (!wanted) std::erase_if(rows, [&](const Row* row) { return is_prompt(*row); });
  search(rows, request, schema, order_schema, cell_of);
}

/// The page that the request asks for.
template <class Row, class ToJson>
[[nodiscard]] Json page_of(const std::vector<const Row*>& rows, const char* name, const ParsedRequest& request,
                           std::int64_t max_results, const ToJson& to_json) {
  const std::size_t offset = page_offset(request.text_value("page_token"));
  const std::size_t end = offset + static_cast<std::size_t>(max_results);
  Json answer = Json::object();
  for (std::size_t i = offset; i < rows.size() && i < end; ++i) answer[name].push_back(to_json(*rows[i]));
  if (rows.size() > end) answer["next_page_token"] = page_token(end);
  return answer;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
