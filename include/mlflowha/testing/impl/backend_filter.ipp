#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_FILTER_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_FILTER_IPP

// MLflow's search language: comparisons joined by AND, and order_by. Datasets and RLIKE are left out.

#include <mlflowha/testing/impl/backend_store.ipp>

#include <variant>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

enum class Entity : std::uint8_t { attribute, metric, param, tag, metadata, span, feedback, expectation, issue };

struct Comparison {
  Entity entity = Entity::attribute;
  std::string key;
  std::string comparator;  ///< upper case: = != < <= > >= LIKE ILIKE IN NOT IN IS NULL IS NOT NULL
  bool is_number = false;  ///< the value is a number, in `number`
  double number = 0;
  std::string text;
  std::vector<std::string> list;  ///< of IN and NOT IN
};

/// What an entity of a row is worth: nothing, a number or a text.
using Cell = std::variant<std::monostate, double, std::string>;

struct Ordering {
  Entity entity = Entity::attribute;
  std::string key;
  bool ascending = true;
};

MLFLOWHA_INLINE char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// SQL's LIKE: % for anything, _ for one character.
MLFLOWHA_INLINE bool like(std::string_view text, std::string_view pattern, bool ignore_case) {
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  const auto same = [&](char a, char b) { return ignore_case ? lower(a) == lower(b) : a == b; };
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '_' || same(pattern[p], text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

MLFLOWHA_INLINE bool holds(const Comparison& comparison, const Cell& cell) {
  const std::string& op = comparison.comparator;
  if (op == "IS NULL") return cell.index() == 0;
  if (op == "IS NOT NULL") return cell.index() != 0;
  const auto compare = [&op](const auto& left, const auto& right) {
    if (op == "=") return left == right;
    if (op == "!=") return left != right;
    if (op == "<") return left < right;
    if (op == "<=") return left <= right;
    if (op == ">") return left > right;
    return left >= right;
  };
  if (const auto* number = std::get_if<double>(&cell))
    return comparison.is_number && compare(*number, comparison.number);
  const auto* text = std::get_if<std::string>(&cell);
  if (text == nullptr) return false;  // SQL: no comparison with NULL holds
  if (op == "LIKE") return like(*text, comparison.text, false);
  if (op == "ILIKE") return like(*text, comparison.text, true);
  if (op == "IN" || op == "NOT IN") {
    const bool in = std::find(comparison.list.begin(), comparison.list.end(), *text) != comparison.list.end();
    return in == (op == "IN");
  }
  return compare(*text, comparison.text);
}

/// What can be searched: the attributes of the kind of rows, and which of them are numbers.
struct SearchSchema {
  std::vector<std::string_view> attributes;
  std::vector<std::string_view> numbers;
  std::vector<std::string_view> listable;  ///< attributes that IN works for
  bool runs = true;                        ///< has metrics and params
  bool v3 = true;                          ///< knows IS NULL
  bool datasets = false;                   ///< knows attributes without a prefix, and "tags."
  bool issues = false;                     ///< knows attributes alone, and needs no quotes
  bool traces = false;                     ///< has metadata, spans and assessments instead of metrics and params
};

MLFLOWHA_INLINE bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class SearchParser {
 public:
  SearchParser(std::string_view text, const SearchSchema& schema) : text_(text), schema_(schema) {}

  std::vector<Comparison> filter() {
    std::vector<Comparison> comparisons;
    if (text_.empty()) return comparisons;
    skip_blanks();
    if (done()) refuse(fmt::format("Invalid filter '{}'. Could not be parsed.", text_));
    for (;;) {
      comparisons.push_back(comparison());
      skip_blanks();
      if (done()) return comparisons;
      const std::size_t start = at_;
      if (upper(word()) != "AND") invalid_clause(start);
    }
  }

  Ordering order() {
    const auto unparsable = [&] { refuse(fmt::format("Invalid order_by clause '{}'. Could not be parsed.", text_)); };
    skip_blanks();
    const std::string identifier = word();
    if (identifier.empty()) unparsable();
    skip_blanks();
    const std::string direction = upper(word());
    skip_blanks();
    if (!done()) unparsable();
    if (!direction.empty() && direction != "ASC" && direction != "DESC") {
      refuse(fmt::format("Invalid ordering key in order_by clause '{}'.", text_));
    }
    Comparison named;
    name(identifier, named);
    replace_name(named);
    return {named.entity, named.key, direction != "DESC"};
  }

 private:
  [[nodiscard]] bool done() const { return at_ >= text_.size(); }
  void skip_blanks() {
    while (!done() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }
  static std::string upper(std::string text) {
    for (char& c : text) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return text;
  }
  /// Names the word at `from`, and those behind it up to the next comparison.
  [[noreturn]] void invalid_clause(std::size_t from) const {
    std::string words;
    std::string_view rest = text_.substr(from);
    while (!rest.empty() && (words.empty() || rest.find_first_of("=<>!") == std::string_view::npos)) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(rest.size(), word.size() + 1));
      if (word.empty() && !words.empty()) continue;
      const std::string_view quote = schema_.runs ? "'" : "";
      words += fmt::format("{0}{1}{2}{1}", words.empty() ? "" : ", ", quote, word);
    }
    refuse(fmt::format("Invalid clause(s) in filter string: {}", words));
  }

  /// Up to a blank, an operator, a bracket or a comma; parts in quotes or backticks are taken whole.
  std::string word() {
    const std::size_t start = at_;
    while (!done() && std::string_view(" \t\r\n=!<>(),;").find(text_[at_]) == std::string_view::npos) {
      const char c = text_[at_];
      if (c == '\'' || c == '"' || c == '`') {
        const std::size_t end = text_.find(c, at_ + 1);
        if (end == std::string_view::npos) invalid_clause(start);
        at_ = end;
      }
      ++at_;
    }
    return std::string(text_.substr(start, at_ - start));
  }

  static bool in_quotes(std::string_view text, std::string_view quotes) {
    return text.size() >= 2 && quotes.find(text.front()) != std::string_view::npos && text.back() == text.front();
  }
  static std::string unquoted(std::string_view text, std::string_view quotes) {
    return std::string(in_quotes(text, quotes) ? text.substr(1, text.size() - 2) : text);
  }

  /// "tags.`a b`" and the like.
  void name(const std::string& identifier, Comparison& result) const {
    if (schema_.issues) {
      result.key = unquoted(identifier, "'\"");
      if (contains(schema_.attributes, result.key)) return;
      refuse(fmt::format("Invalid filter field '{}'. Supported fields: {{'source_run_id', 'status'}}", result.key));
    }
    const std::size_t dot = identifier.find('.');
    std::string key = identifier.substr(dot == std::string::npos ? 0 : dot + 1);
    if (dot != std::string::npos) result.entity = entity(unquoted(identifier.substr(0, dot), "`"));
    result.key = schema_.datasets ? key : unquoted(unquoted(key, "'\""), "`");
    if (result.entity != Entity::attribute) return;
    if (!contains(schema_.attributes, result.key)) {
      std::string valid;
      for (const std::string_view attribute : schema_.attributes) {
        valid += fmt::format("{}'{}'", valid.empty() ? "" : ", ", attribute);
      }
      refuse(fmt::format("Invalid attribute key '{}' specified. Valid keys are '{{{}}}'", result.key, valid));
    }
    if (result.key == "created" || result.key == "Created") result.key = "start_time";
  }

  /// Names of what a trace keeps elsewhere, with whatever entity they are given.
  void replace_name(Comparison& result) const {
    if (!schema_.traces || result.entity == Entity::span) return;
    std::string key = result.key;
    for (char& c : key) c = lower(c);
    if (key == "name") {
      result.entity = Entity::tag;
      result.key = "mlflow.traceName";
    } else if (key == "prompt") {
      result.entity = Entity::tag;
      result.key = "mlflow.linkedPrompts";
    } else if (key == "run_id") {
      result.entity = Entity::metadata;
      result.key = "mlflow.sourceRun";
    } else if (key == "text") {
      result.entity = Entity::span;
      result.key = "content";
    } else if (key == "timestamp" || key == "execution_time" || key == "end_time") {
      result.key = key + "_ms";
    }
  }

  [[nodiscard]] Entity entity(const std::string& type) const {
    if (schema_.datasets && type != "tags") refuse(fmt::format("Invalid identifier token '{}' specified", type));
    if (type == "tag" || type == "tags") return Entity::tag;
    if (type == "attribute") return Entity::attribute;
    if (schema_.traces) {
      if (type == "attributes" || type == "trace") return Entity::attribute;
      if (type == "request_metadata" || type == "metadata") return Entity::metadata;
      if (type == "span") return Entity::span;
      if (type == "feedback") return Entity::feedback;
      if (type == "expectation") return Entity::expectation;
      if (type == "issue") return Entity::issue;
      refuse(fmt::format(
          "Invalid entity type '{}'. Valid values are {{'attribute', 'attributes', 'expectation', 'feedback', "
          "'issue', 'metadata', 'request_metadata', 'span', 'tag', 'tags', 'trace'}}",
          type));
    }
    if (!schema_.runs) {
      refuse(fmt::format("Invalid entity type '{}'. Valid entity types are ('attribute', 'tag', 'tags')", type));
    }
    if (type == "attributes" || type == "attr" || type == "run") return Entity::attribute;
    if (type == "metric" || type == "metrics") return Entity::metric;
    if (type == "param" || type == "params" || type == "parameter" || type == "parameters") return Entity::param;
    refuse(fmt::format(
        "Invalid entity type '{}'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']", type));
  }

  std::string comparator(std::size_t clause) {
    skip_blanks();
    for (const std::string_view symbol : {"<=", ">=", "!=", "=", "<", ">"}) {
      if (text_.substr(at_, symbol.size()) == symbol) {
        at_ += symbol.size();
        return std::string(symbol);
      }
    }
    std::string op = upper(word());
    if (op == "LIKE" || op == "ILIKE" || op == "IN") return op;
    if (op == "RLIKE" && schema_.traces) {
      refuse("The fake server of mlflowha::testing doesn't have RLIKE.", "NOT_IMPLEMENTED");
    }
    if (op == "NOT") {
      skip_blanks();
      if (upper(word()) == "IN") return "NOT IN";
    }
    if (op == "IS" && schema_.v3 && !schema_.datasets && !schema_.issues) {
      skip_blanks();
      std::string next = upper(word());
      if (next == "NULL") return "IS NULL";
      skip_blanks();
      if (next == "NOT" && upper(word()) == "NULL") return "IS NOT NULL";
    }
    invalid_clause(clause);
  }

  Comparison comparison() {
    skip_blanks();
    const std::size_t clause = at_;
    const std::string identifier = word();
    if (identifier.empty()) invalid_clause(clause);
    Comparison result;
    const std::string op = comparator(clause);
    name(identifier, result);
    result.comparator = op;
    if (op == "IS NULL" || op == "IS NOT NULL") {
      const Entity entity = result.entity;
      const bool assessed = entity == Entity::feedback || entity == Entity::expectation;
      replace_name(result);
      if (entity != Entity::tag && entity != Entity::param && entity != Entity::metadata && !assessed) {
        refuse(fmt::format("IS NULL / IS NOT NULL is only supported for tags and params, not for '{}'", result.key));
      }
      return result;
    }
    skip_blanks();
    if (done()) invalid_clause(clause);
    value(result);
    replace_name(result);
    if (schema_.traces) {
      check_trace_comparator(result);
    } else {
      check_comparator(result);
    }
    return result;
  }

  void value(Comparison& result) {
    const bool attribute = result.entity == Entity::attribute;
    const bool ordered = !result.comparator.empty() && (result.comparator[0] == '<' || result.comparator[0] == '>');
    const bool assessed = result.entity == Entity::feedback || result.entity == Entity::expectation;
    const bool numeric = result.entity == Entity::metric || (attribute && contains(schema_.numbers, result.key)) ||
                         (assessed && ordered);
    if (!done() && text_[at_] == '(') return list(result);
    const std::string literal = word();
    if (numeric && !(attribute && schema_.traces && in_quotes(literal, "'\""))) {
      const auto number = in_quotes(literal, "'\"") ? std::nullopt : real_from(literal);
      if (!number || !std::isfinite(*number)) {
        refuse(attribute
                   ? fmt::format("Expected numeric value type for numeric attribute: {}. Found {}", result.key, literal)
                   : fmt::format("Expected numeric value type for metric. Found {}", literal));
      }
      result.is_number = true;
      result.number = *number;
      return;
    }
    if (in_quotes(literal, "'\"") || (schema_.issues && !literal.empty())) {
      result.text = unquoted(literal, "'\"");
      return;
    }
    if (real_from(literal)) {
      const std::string_view kind = result.entity == Entity::tag ? "tag" : "parameter";
      refuse(attribute
                 ? fmt::format("Expected a quoted string value for attributes. Got value {}", literal)
                 : fmt::format("Expected a quoted string value for {} (e.g. 'my-value'). Got value {}", kind, literal));
    }
    refuse(
        fmt::format("Parameter value is either not quoted or unidentified quote types used for string value {}. Use "
                    "either single or double quotes.",
                    literal));
  }

  void list(Comparison& result) {
    if (result.entity != Entity::attribute || !contains(schema_.listable, result.key)) {
      if (!schema_.v3) refuse("Only the 'run_id' attribute supports comparison with a list of quoted string values.");
      std::string names;
      for (const std::string_view name : schema_.listable) {
        names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
      }
      refuse(fmt::format("Only [{}] attributes support comparison with a list of quoted string values.", names));
    }
    ++at_;
    for (;;) {
      skip_blanks();
      const std::string item = word();
      if (!in_quotes(item, "'\"")) refuse("While parsing a list in the query, expected a quoted string value");
      result.list.push_back(unquoted(item, "'\""));
      skip_blanks();
      if (done()) invalid_clause(0);
      const char c = text_[at_++];
      if (c == ')') return;
      if (c != ',') invalid_clause(at_ - 1);
    }
  }

  void check_comparator(const Comparison& c) const {
    const bool order = c.comparator == "<" || c.comparator == "<=" || c.comparator == ">" || c.comparator == ">=";
    const bool equality = c.comparator == "=" || c.comparator == "!=";
    const bool pattern = c.comparator == "LIKE" || c.comparator == "ILIKE";
    const bool listed = c.comparator == "IN" || c.comparator == "NOT IN";
    const bool attribute = c.entity == Entity::attribute;
    bool good = c.is_number ? order || equality : equality || pattern || (listed && attribute);
    if (schema_.issues) good = equality;
    if (schema_.datasets && attribute && !c.is_number) good = c.comparator != "NOT IN";
    if (schema_.datasets && c.is_number && c.number != std::floor(c.number)) good = false;
    if (!good) refuse(fmt::format("Invalid comparator '{}' not one of the valid ones", c.comparator));
  }

  void check_trace_comparator(const Comparison& c) const {
    const bool order = c.comparator[0] == '<' || c.comparator[0] == '>';
    const bool equality = c.comparator == "=" || c.comparator == "!=";
    const bool pattern = c.comparator == "LIKE" || c.comparator == "ILIKE";
    const bool listed = c.comparator == "IN" || c.comparator == "NOT IN";
    bool good = equality || pattern;
    if (c.entity == Entity::attribute) good = c.is_number ? order || equality : good || listed;
    if (c.entity == Entity::feedback || c.entity == Entity::expectation) good = good || order;
    if (c.entity == Entity::issue) good = c.comparator == "=" && c.key == "id";
    if (c.entity == Entity::span) {
      good = good || listed;
      if (c.key == "content") good = pattern;
      const bool known = c.key == "name" || c.key == "type" || c.key == "status" || c.key == "content";
      if (!known && c.key.substr(0, 11) != "attributes.") {
        refuse(
            fmt::format("Invalid span attribute '{}'. Supported attributes: name, status, type, "
                        "attributes.<attribute_name>.",
                        c.key));
      }
    }
    if (!good) refuse(fmt::format("Invalid comparator '{}' not one of the valid ones", c.comparator));
  }

  std::string_view text_;
  const SearchSchema& schema_;
  std::size_t at_ = 0;
};

/// Where a cell stands: values, then NaN, then nothing, whatever the direction; the values by the direction.
template <class Row, class CellOf>
int compare_cells(const Row& a, const Row& b, const Ordering& ordering, CellOf cell_of) {
  const Cell left = cell_of(a, ordering.entity, ordering.key);
  const Cell right = cell_of(b, ordering.entity, ordering.key);
  const auto rank = [](const Cell& cell) {
    const auto* number = std::get_if<double>(&cell);
    return cell.index() == 0 ? 2 : number != nullptr && std::isnan(*number) ? 1 : 0;
  };
  if (rank(left) != rank(right)) return rank(left) < rank(right) ? -1 : 1;
  if (rank(left) != 0 || left == right) return 0;
  return (left < right) == ordering.ascending ? -1 : 1;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
