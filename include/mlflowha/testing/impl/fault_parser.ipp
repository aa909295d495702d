#ifndef MLFLOWHA_TESTING_IMPL_FAULT_PARSER_IPP
#define MLFLOWHA_TESTING_IMPL_FAULT_PARSER_IPP

// The text form of FaultScript. A statement is a line or ends with ';'. Words are separated by blanks; single quotes
// keep everything as it is, double quotes know \n \r \t \" and \\.

#include <mlflowha/testing/fault_script.hpp>
#include <mlflowha/testing/impl/fault_script.ipp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <set>
#include <string_view>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

struct FaultWord {
  std::string text;
  bool quoted = false;
};

struct FaultStatement {
  int line = 1;
  std::vector<FaultWord> words;
};

/// Cuts the text into statements of words.
class FaultLexer {
 public:
  FaultLexer(std::string_view text, std::vector<std::string>& faults) : text_(text), faults_(faults) {}

  std::vector<FaultStatement> run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n' || c == ';') {
        end_statement();
        if (c == '\n') ++line_;
        ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        ++at_;
      } else if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        word();
      }
    }
    end_statement();
    return std::move(statements_);
  }

 private:
  void end_statement() {
    if (!current_.words.empty()) statements_.push_back(std::move(current_));
    current_ = {};
  }

  void word() {
    if (current_.words.empty()) current_.line = line_;
    FaultWord word;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\'' || c == '"') {
        word.quoted = true;
        if (!quotation(c, word.text)) break;
      } else if (std::string_view(" \t\r\n;#").find(c) != std::string_view::npos) {
        break;
      } else {
        word.text += c;
        ++at_;
      }
    }
    current_.words.push_back(std::move(word));
  }

  bool quotation(char quote, std::string& text) {
    const int opened = line_;
    for (++at_; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      if (c == quote) {
        ++at_;
        return true;
      }
      if (c == '\n') break;
      if (quote == '"' && c == '\\' && at_ + 1 < text_.size()) {
        c = text_[++at_];
        if (c == 'n')
          c = '\n';
        else if (c == 'r')
          c = '\r';
        else if (c == 't')
          c = '\t';
        else if (c != '"' && c != '\\') {
          faults_.push_back(fmt::format("line {}: \"\\{}\" in quotes, expected \\n, \\r, \\t, \\\" or \\\\", opened,
                                        sanitize(std::string_view(&c, 1))));
        }
      }
      text += c;
    }
    faults_.push_back(fmt::format("line {}: a quote ({}) is not closed on the line", opened, quote));
    return false;
  }

  std::string_view text_;
  std::vector<std::string>& faults_;
  std::vector<FaultStatement> statements_;
  FaultStatement current_;
  std::size_t at_ = 0;
  int line_ = 1;
};

/// Reads one statement. The first thing that it doesn't understand ends it.
class FaultStatementParser {
 public:
  FaultStatementParser(const FaultStatement& statement, std::vector<std::string>& faults)
      : statement_(statement), faults_(faults) {
    rule_.line = statement.line;
  }

  /// The rule, unless the statement is a seed or wrong.
  std::optional<FaultRule> run(std::optional<std::uint64_t>& seed) {
    if (is("seed")) {
      ++at_;
      std::uint64_t value = 0;
      if (!number(value)) return fail("a number after \"seed\"");
      if (!done()) return fail("the end of the statement");
      if (seed) return fail_rule("seed is given twice");
      seed = value;
      return std::nullopt;
    }
    if (is("when")) {
      ++at_;
      std::set<std::string_view> given;
      while (!is("->")) {
        if (done() && !given.empty()) return fail("another condition or \"->\" and an action");
        const std::size_t name = at_;
        if (!condition()) return std::nullopt;
        if (!given.insert(statement_.words[name].text).second) {
          return fail_rule(fmt::format("{} is given twice", statement_.words[name].text));
        }
      }
      if (given.empty()) {
        return fail(conditions);
      }
      if (given.contains("until") && given.contains("for")) return fail_rule("until and for are given together");
      ++at_;
      if (length_) rule_.match.until = rule_.match.from + *length_;
    }
    do {
      if (!action()) return std::nullopt;
    } while (take("and"));
    if (!done()) return fail("\"and\" and another action, or the end of the statement");
    if (std::string text = complaint(rule_); !text.empty()) return fail_rule(text);
    return std::move(rule_);
  }

 private:
  static constexpr const char* conditions =
      "a condition (method, path, prefix, connection, request, from, for, until, nth, after, every, share, times)";
  static constexpr const char* actions =
      "an action (refuse, connect_hang, black_hole, reset, drop_before, apply_then_drop, apply_late, status, "
      "apply_then_status, error, redirect, garbage, truncate, wrong_length, delay, drip)";

  [[nodiscard]] bool done() const { return at_ >= statement_.words.size(); }
  [[nodiscard]] bool is(std::string_view word) const {
    return !done() && !statement_.words[at_].quoted && statement_.words[at_].text == word;
  }
  bool take(std::string_view word) {
    if (!is(word)) return false;
    ++at_;
    return true;
  }
  [[nodiscard]] std::string_view text() const { return statement_.words[at_].text; }

  std::nullopt_t fail(std::string_view expected) {
    const std::string where =
        done() ? fmt::format("line {}, at the end of the rule", statement_.line)
               : fmt::format("line {}, word {} \"{}\"", statement_.line, at_ + 1, sanitize(text(), 80));
    faults_.push_back(fmt::format("{}: expected {}", where, expected));
    return std::nullopt;
  }
  std::nullopt_t fail_rule(std::string_view complaint_text) {
    faults_.push_back(fmt::format("line {}: {}", statement_.line, complaint_text));
    return std::nullopt;
  }
  bool wrong(std::string_view expected) {
    fail(expected);
    return false;
  }

  template <class T>
  static bool whole(std::string_view digits, T& value) {
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return status == std::errc{} && end == digits.data() + digits.size();
  }

  bool number(std::uint64_t& value, std::uint64_t low = 0, std::uint64_t high = UINT64_MAX) {
    std::uint64_t read = 0;
    if (done() || !whole(text(), read) || read < low || read > high) return false;
    value = read;
    ++at_;
    return true;
  }

  /// Digits with an optional fraction, no sign, no exponent, whatever the locale; then a unit.
  static bool split_unit(std::string_view word, double& value, std::string_view& unit) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (word.empty() || !is_digit(word.front())) return false;
    const auto [end, status] = std::from_chars(word.data(), word.data() + word.size(), value, std::chars_format::fixed);
    if (status != std::errc{} || !is_digit(*(end - 1))) return false;
    unit = word.substr(static_cast<std::size_t>(end - word.data()));
    return true;
  }

  bool duration(Duration& time) {
    double value = 0;
    std::string_view unit;
    if (done() || !split_unit(text(), value, unit)) return false;
    constexpr std::pair<std::string_view, double> units[] = {{"ns", 1},  {"us", 1e3},   {"ms", 1e6},
                                                             {"s", 1e9}, {"min", 60e9}, {"h", 3600e9}};
    constexpr double century = 100.0 * 366 * 24 * 3600e9;
    for (const auto& [name, nanoseconds] : units) {
      if (name != unit) continue;
      if (value * nanoseconds > century) return false;
      time = Duration(std::llround(value * nanoseconds));
      ++at_;
      return true;
    }
    return false;
  }

  bool ranges(std::vector<FaultRange>& list) {
    if (done()) return false;
    for (std::string_view rest = text();;) {
      const std::size_t comma = rest.find(',');
      const std::string_view item = rest.substr(0, comma);
      const std::size_t dots = item.find("..");
      FaultRange range;
      if (!whole(item.substr(0, dots), range.first)) return false;
      range.last = range.first;
      if (dots != std::string_view::npos && !whole(item.substr(dots + 2), range.last)) return false;
      if (range.first < 1 || range.last < range.first) return false;
      list.push_back(range);
      if (comma == std::string_view::npos) break;
      rest = rest.substr(comma + 1);
    }
    ++at_;
    return true;
  }

  bool methods() {
    if (done()) return false;
    for (std::string_view rest = text();;) {
      const std::size_t comma = rest.find(',');
      std::string name(rest.substr(0, comma));
      constexpr std::string_view known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
      if (std::find(std::begin(known), std::end(known), name) == std::end(known)) return false;
      rule_.match.methods.push_back(std::move(name));
      if (comma == std::string_view::npos) break;
      rest = rest.substr(comma + 1);
    }
    ++at_;
    return true;
  }

  bool share() {
    if (done()) return false;
    double value = 0;
    std::string_view unit;
    if (!split_unit(text(), value, unit) || !(unit.empty() || unit == "%")) return false;
    if (unit == "%") value /= 100;
    if (value > 1) return false;
    rule_.match.share = value;
    ++at_;
    return true;
  }

  bool word(std::string& value) {
    if (done() || text().empty()) return false;
    value = text();
    ++at_;
    return true;
  }

  bool condition() {
    FaultMatch& match = rule_.match;
    if (take("method")) return methods() || wrong("methods such as POST or GET,POST");
    if (take("path")) return word(match.path) || wrong("a part of a path, such as /runs/create");
    if (take("prefix")) return word(match.prefix) || wrong("the beginning of a path, such as /api/2.0");
    if (take("connection")) return ranges(match.connections) || wrong(number_list);
    if (take("request")) return ranges(match.requests) || wrong(number_list);
    if (take("nth")) return ranges(match.nth) || wrong(number_list);
    if (take("from")) return duration(match.from) || wrong(a_duration);
    if (take("until")) return duration(match.until) || wrong(a_duration);
    if (take("for")) {
      Duration length{};
      if (!duration(length)) return wrong(a_duration);
      length_ = length;
      return true;
    }
    if (take("after")) return number(match.after) || wrong("how many are spared, such as 10");
    if (take("every")) return number(match.every, 1) || wrong("a number of 1 or more");
    if (take("share")) return share() || wrong("a share such as 5% or 0.05");
    if (take("times")) return number(match.times, 1) || wrong("a number of 1 or more");
    return wrong(conditions);
  }

  /// header "Name: value", retry_after 2, content_type text/html, body "..."
  bool reply_details(FaultAction& reply) {
    for (;;) {
      std::string value;
      if (take("header")) {
        if (!word(value) || value.find(':') == std::string::npos) return wrong("a header such as \"Name: value\"");
        const std::size_t colon = value.find(':');
        const std::size_t start = std::min(value.find_first_not_of(' ', colon + 1), value.size());
        reply.headers.push_back({value.substr(0, colon), value.substr(start)});
      } else if (take("retry_after")) {
        if (!word(value)) return wrong("seconds, or a date in quotes");
        reply.headers.push_back({"Retry-After", value});
      } else if (take("content_type")) {
        if (!word(value)) return wrong("a content type such as text/html");
        reply.headers.push_back({"Content-Type", value});
      } else if (take("body")) {
        if (done()) return wrong("the body, in quotes");
        reply.body = std::string(text());
        ++at_;
      } else {
        return true;
      }
    }
  }

  bool status_action(FaultKind kind) {
    std::uint64_t code = 0;
    if (!number(code, 200, 599)) return wrong("a status of 200..599");
    rule_.status(static_cast<int>(code));
    rule_.actions.back().kind = kind;
    return reply_details(rule_.actions.back());
  }

  bool error_action() {
    std::string code;
    std::string message;
    if (!word(code)) return wrong("an error code of MLflow such as TEMPORARILY_UNAVAILABLE");
    if (!word(message)) return wrong("the error's message, in quotes");
    rule_.error(code, message);
    return true;
  }

  bool redirect_action() {
    std::uint64_t code = 307;
    std::string url;
    const bool is_code = !done() && text().find_first_not_of("0123456789") == std::string_view::npos;
    if (is_code && !text().empty() && !number(code, 300, 399)) return wrong("a status of 300..399");
    if (!word(url)) return wrong("where to redirect to, such as http://elsewhere:5000/");
    rule_.redirect(url, static_cast<int>(code));
    return true;
  }

  bool wrong_length_action() {
    std::int64_t difference = -10;
    if (!done() && !is("and")) {
      std::string_view digits = text();
      if (digits.substr(0, 1) == "+") digits.remove_prefix(1);
      if (!whole(digits, difference) || difference == 0) return wrong("a difference such as -10 or +10");
      ++at_;
    }
    rule_.wrong_length(difference);
    return true;
  }

  bool drip_action() {
    double value = 0;
    std::string_view unit;
    constexpr std::pair<std::string_view, double> units[] = {{"B/s", 1}, {"kB/s", 1e3}, {"MB/s", 1e6}};
    if (!done() && split_unit(text(), value, unit) && value > 0) {
      for (const auto& [name, bytes] : units) {
        if (name != unit) continue;
        rule_.drip(value * bytes);
        ++at_;
        return true;
      }
    }
    return wrong("a rate such as 1B/s, 10kB/s or 2MB/s");
  }

  bool action() {
    if (take("refuse")) return rule_.refuse(), true;
    if (take("connect_hang")) return rule_.connect_hang(), true;
    if (take("black_hole")) return rule_.black_hole(), true;
    if (take("reset")) return rule_.reset(), true;
    if (take("drop_before")) return rule_.drop_before(), true;
    if (take("apply_then_drop")) return rule_.apply_then_drop(), true;
    if (take("garbage")) return rule_.garbage(), true;
    Duration time{};
    std::uint64_t bytes = 0;
    if (take("apply_late")) {
      if (!duration(time)) return wrong(a_duration);
      return rule_.apply_late(time, take("silent")), true;
    }
    if (take("delay")) return duration(time) ? (rule_.delay(time), true) : wrong(a_duration);
    if (take("truncate")) {
      constexpr std::uint64_t limit = std::uint64_t{1} << 40U;
      return number(bytes, 0, limit) ? (rule_.truncate(static_cast<std::int64_t>(bytes)), true)
                                     : wrong("a number of bytes");
    }
    if (take("status")) return status_action(FaultKind::status);
    if (take("apply_then_status")) return status_action(FaultKind::apply_then_status);
    if (take("error")) return error_action();
    if (take("redirect")) return redirect_action();
    if (take("wrong_length")) return wrong_length_action();
    if (take("drip")) return drip_action();
    return wrong(at_ == 0 ? "\"when\", \"seed\" or an action (refuse, delay, status ...)" : actions);
  }

  static constexpr const char* number_list = "numbers counted from 1, such as 3 or 1,3,5..7";
  static constexpr const char* a_duration = "a duration such as 200ms, 1.5s or 2min";

  const FaultStatement& statement_;
  std::vector<std::string>& faults_;
  FaultRule rule_;
  std::optional<Duration> length_;  // of `for`, which may stand before `from`
  std::size_t at_ = 0;
};

}  // namespace detail

MLFLOWHA_INLINE Result<FaultScript> FaultScript::parse(std::string_view text) {
  std::vector<std::string> faults;
  const std::vector<detail::FaultStatement> statements = detail::FaultLexer(text, faults).run();
  FaultScript script;
  for (const detail::FaultStatement& statement : statements) {
    if (auto rule = detail::FaultStatementParser(statement, faults).run(script.seed_)) {
      script.rules_.push_back(std::move(*rule));
    }
  }
  if (faults.empty()) return script;
  std::string message = "fault script: ";
  for (std::size_t i = 0; i < faults.size(); ++i) {
    if (i != 0) message += "; ";
    message += faults[i];
  }
  return invalid_argument(std::move(message));
}

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
