#ifndef MLFLOWHA_TESTING_IMPL_FAULT_SCRIPT_IPP
#define MLFLOWHA_TESTING_IMPL_FAULT_SCRIPT_IPP

#include <mlflowha/testing/fault_script.hpp>
#include <mlflowha/testing/impl/fault_rules.ipp>
#include <mlflowha/testing/impl/mlflow_errors.ipp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

MLFLOWHA_INLINE std::string_view to_string(FaultKind kind) noexcept {
  switch (kind) {
    case FaultKind::none:
      return "none";
    case FaultKind::refuse:
      return "refuse";
    case FaultKind::connect_hang:
      return "connect_hang";
    case FaultKind::black_hole:
      return "black_hole";
    case FaultKind::reset:
      return "reset";
    case FaultKind::drop_before:
      return "drop_before";
    case FaultKind::apply_then_drop:
      return "apply_then_drop";
    case FaultKind::apply_late:
      return "apply_late";
    case FaultKind::status:
      return "status";
    case FaultKind::apply_then_status:
      return "apply_then_status";
    case FaultKind::garbage:
      return "garbage";
    case FaultKind::truncate:
      return "truncate";
    case FaultKind::wrong_length:
      return "wrong_length";
    case FaultKind::delay:
      return "delay";
    case FaultKind::drip:
      return "drip";
  }
  return "unknown";
}

namespace detail {

MLFLOWHA_INLINE FaultAction plain_action(FaultKind kind) {
  FaultAction action;
  action.kind = kind;
  return action;
}

MLFLOWHA_INLINE bool is_token(std::string_view text) {
  static constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
  });
}

MLFLOWHA_INLINE bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

/// What is wrong with one action, or "".
MLFLOWHA_INLINE std::string complaint(const FaultAction& action) {
  switch (action.kind) {
    case FaultKind::none:
      return "an action of kind none";
    case FaultKind::delay:
    case FaultKind::apply_late:
      if (action.time < Duration::zero()) return fmt::format("{} by a negative time", to_string(action.kind));
      return "";
    case FaultKind::drip:
      if (!(action.bytes_per_second > 0) || !std::isfinite(action.bytes_per_second)) {
        return "drip needs a rate above 0, and a finite one";
      }
      return "";
    case FaultKind::truncate:
      if (action.bytes < 0) return "truncate needs a length of 0 or more";
      return "";
    case FaultKind::wrong_length:
      if (action.bytes == 0) return "wrong_length needs a difference other than 0";
      return "";
    case FaultKind::status:
    case FaultKind::apply_then_status:
      if (action.status < 200 || action.status > 599) {
        return fmt::format("status is {}, expected 200..599", action.status);
      }
      for (const Header& header : action.headers) {
        if (!is_token(header.name)) return fmt::format("\"{}\" is not the name of a header", sanitize(header.name, 80));
        if (has_control_character(header.value)) {
          return fmt::format("header {} has a control character in its value", header.name);
        }
      }
      return "";
    default:
      return "";
  }
}

/// What is wrong with a rule as a whole, or "".
MLFLOWHA_INLINE std::string complaint(const FaultRule& rule) {
  const FaultMatch& match = rule.match;
  if (rule.actions.empty()) return "the rule has no action";
  int outcomes = 0;
  bool before_request = false;
  for (const FaultAction& action : rule.actions) {
    if (std::string text = complaint(action); !text.empty()) return text;
    if (!is_modifier(action.kind)) ++outcomes;
    before_request = before_request || is_connection_fault(action.kind);
  }
  if (outcomes > 1) return "a rule can have delay, drip and one other action, not two others";
  if (before_request) {
    const std::string_view name = to_string(rule.actions.front().kind);
    if (rule.actions.size() > 1) return "refuse and connect_hang can't be combined with another action";
    if (!match.methods.empty() || !match.path.empty() || !match.prefix.empty() || !match.requests.empty()) {
      return fmt::format("{} happens before a request is sent: it can't depend on method, path, prefix or request",
                         name);
    }
  }
  for (const auto* ranges : {&match.connections, &match.requests, &match.nth}) {
    for (const FaultRange& range : *ranges) {
      if (range.first < 1 || range.last < range.first) {
        return fmt::format("{}..{} is no range of numbers counted from 1", range.first, range.last);
      }
    }
  }
  if (match.every < 1) return "every needs a number of 1 or more";
  if (!(match.share >= 0 && match.share <= 1))
    return fmt::format("share is {}, expected 0..1 or 0%..100%", match.share);
  if (match.from < Duration::zero() || match.until <= match.from) return "the time window is empty";
  return "";
}

MLFLOWHA_INLINE std::string duration_text(Duration time) {
  static constexpr std::pair<std::int64_t, const char*> units[] = {
      {1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}};
  const std::int64_t count = time.count();
  for (const auto& unit : units) {
    if (count % unit.first == 0) return fmt::format("{}{}", count / unit.first, unit.second);
  }
  return "";  // not reached: everything is divisible by 1
}

/// The shortest digits that read as this number, without the exponent that the language hasn't.
MLFLOWHA_INLINE std::string decimal_text(double number) {
  char digits[1100];  // the longest double has 309 digits before the point, the smallest 1,074 behind it
  return {digits, std::to_chars(digits, digits + sizeof digits, number, std::chars_format::fixed).ptr};
}

/// One word of the language, in quotes where it needs them.
MLFLOWHA_INLINE std::string quote_word(std::string_view text) {
  const bool plain = !text.empty() && text != "->" && text != "and" &&
                     text.find_first_of(" \t\r\n;#'\"\\") == std::string_view::npos && !has_control_character(text);
  if (plain) return std::string(text);
  if (text.find('\'') == std::string_view::npos && !has_control_character(text)) return fmt::format("'{}'", text);
  std::string escaped = "\"";
  for (const char c : text) {
    switch (c) {
      case '\n':
        escaped += "\\n";
        break;
      case '\r':
        escaped += "\\r";
        break;
      case '\t':
        escaped += "\\t";
        break;
      case '"':
      case '\\':
        escaped += '\\';
        escaped += c;
        break;
      default:
        escaped += c;
    }
  }
  return escaped + '"';
}

MLFLOWHA_INLINE std::string ranges_text(const std::vector<FaultRange>& ranges) {
  std::string text;
  for (const FaultRange& range : ranges) {
    if (!text.empty()) text += ',';
    text += range.first == range.last ? fmt::format("{}", range.first) : fmt::format("{}..{}", range.first, range.last);
  }
  return text;
}

MLFLOWHA_INLINE std::string action_text(const FaultAction& action) {
  std::string text(to_string(action.kind));
  switch (action.kind) {
    case FaultKind::delay:
      text += ' ' + duration_text(action.time);
      break;
    case FaultKind::apply_late:
      text += ' ' + duration_text(action.time);
      if (action.silent) text += " silent";
      break;
    case FaultKind::drip:
      text += fmt::format(" {}B/s", decimal_text(action.bytes_per_second));
      break;
    case FaultKind::truncate:
      text += fmt::format(" {}", action.bytes);
      break;
    case FaultKind::wrong_length:
      text += fmt::format(" {:+}", action.bytes);
      break;
    case FaultKind::status:
    case FaultKind::apply_then_status:
      text += fmt::format(" {}", action.status);
      for (const Header& header : action.headers) text += " header " + quote_word(header.name + ": " + header.value);
      if (action.body) text += " body " + quote_word(*action.body);
      break;
    default:
      break;
  }
  return text;
}

}  // namespace detail

MLFLOWHA_INLINE FaultRule& FaultRule::method(Method method) {
  match.methods.emplace_back(mlflowha::to_string(method));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::path(std::string_view part) {
  match.path = part;
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::prefix(std::string_view beginning) {
  match.prefix = beginning;
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::connection(std::uint64_t first, std::uint64_t last) {
  match.connections.push_back({first, last == 0 ? first : last});
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::request(std::uint64_t first, std::uint64_t last) {
  match.requests.push_back({first, last == 0 ? first : last});
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::from(Duration start) {
  match.from = start;
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::until(Duration end) {
  match.until = end;
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::nth(std::uint64_t first, std::uint64_t last) {
  match.nth.push_back({first, last == 0 ? first : last});
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::after(std::uint64_t spared) {
  match.after = spared;
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::every(std::uint64_t count) {
  match.every = count;
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::share(double probability) {
  match.share = probability;
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::times(std::uint64_t limit) {
  match.times = limit;
  return *this;
}

MLFLOWHA_INLINE FaultRule& FaultRule::refuse() {
  actions.push_back(detail::plain_action(FaultKind::refuse));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::connect_hang() {
  actions.push_back(detail::plain_action(FaultKind::connect_hang));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::black_hole() {
  actions.push_back(detail::plain_action(FaultKind::black_hole));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::reset() {
  actions.push_back(detail::plain_action(FaultKind::reset));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::drop_before() {
  actions.push_back(detail::plain_action(FaultKind::drop_before));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::apply_then_drop() {
  actions.push_back(detail::plain_action(FaultKind::apply_then_drop));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::apply_late(Duration later, bool silent) {
  FaultAction action = detail::plain_action(FaultKind::apply_late);
  action.time = later;
  action.silent = silent;
  actions.push_back(std::move(action));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::status(int code, std::optional<std::string> body, std::vector<Header> headers) {
  FaultAction action = detail::plain_action(FaultKind::status);
  action.status = code;
  action.body = std::move(body);
  action.headers = std::move(headers);
  actions.push_back(std::move(action));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::apply_then_status(int code, std::optional<std::string> body,
                                                        std::vector<Header> headers) {
  status(code, std::move(body), std::move(headers));
  actions.back().kind = FaultKind::apply_then_status;
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::error(std::string_view error_code, std::string_view message) {
  return status(detail::http_status_of(error_code), detail::error_body(error_code, message),
                {{"Content-Type", "application/json"}});
}
MLFLOWHA_INLINE FaultRule& FaultRule::redirect(std::string_view url, int code) {
  return status(code, "", {{"Location", std::string(url)}});
}
MLFLOWHA_INLINE FaultRule& FaultRule::garbage() {
  actions.push_back(detail::plain_action(FaultKind::garbage));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::truncate(std::int64_t bytes) {
  FaultAction action = detail::plain_action(FaultKind::truncate);
  action.bytes = bytes;
  actions.push_back(std::move(action));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::wrong_length(std::int64_t difference) {
  FaultAction action = detail::plain_action(FaultKind::wrong_length);
  action.bytes = difference;
  actions.push_back(std::move(action));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::delay(Duration time) {
  FaultAction action = detail::plain_action(FaultKind::delay);
  action.time = time;
  actions.push_back(std::move(action));
  return *this;
}
MLFLOWHA_INLINE FaultRule& FaultRule::drip(double bytes_per_second) {
  FaultAction action = detail::plain_action(FaultKind::drip);
  action.bytes_per_second = bytes_per_second;
  actions.push_back(std::move(action));
  return *this;
}

MLFLOWHA_INLINE std::string to_string(const FaultRule& rule) {
  const FaultMatch& match = rule.match;
  std::string conditions;
  for (std::size_t i = 0; i < match.methods.size(); ++i) {
    conditions += i == 0 ? " method " : ",";
    conditions += match.methods[i];
  }
  if (!match.path.empty()) conditions += " path " + detail::quote_word(match.path);
  if (!match.prefix.empty()) conditions += " prefix " + detail::quote_word(match.prefix);
  if (!match.connections.empty()) conditions += " connection " + detail::ranges_text(match.connections);
  if (!match.requests.empty()) conditions += " request " + detail::ranges_text(match.requests);
  if (match.from != Duration::zero()) conditions += " from " + detail::duration_text(match.from);
  if (match.until != Duration::max()) conditions += " until " + detail::duration_text(match.until);
  if (!match.nth.empty()) conditions += " nth " + detail::ranges_text(match.nth);
  if (match.after != 0) conditions += fmt::format(" after {}", match.after);
  if (match.every != 1) conditions += fmt::format(" every {}", match.every);
  if (match.share != 1) conditions += " share " + detail::decimal_text(match.share);
  if (match.times != 0) conditions += fmt::format(" times {}", match.times);
  std::string text = conditions.empty() ? "" : "when" + conditions + " -> ";
  for (std::size_t i = 0; i < rule.actions.size(); ++i) {
    if (i != 0) text += " and ";
    text += detail::action_text(rule.actions[i]);
  }
  return text;
}

MLFLOWHA_INLINE FaultScript::FaultScript(std::initializer_list<FaultRule> rules) {
  for (const FaultRule& rule : rules) add(rule);
}

MLFLOWHA_INLINE FaultScript& FaultScript::add(FaultRule rule) {
  if (const std::string text = detail::complaint(rule); !text.empty()) {
    mlflowha::detail::throw_exception(invalid_argument(fmt::format("fault rule \"{}\": {}", to_string(rule), text)));
  }
  rules_.push_back(std::move(rule));
  return *this;
}

MLFLOWHA_INLINE std::string to_string(const FaultScript& script) {
  std::string text;
  if (script.seed()) text += fmt::format("seed {}\n", *script.seed());
  for (const FaultRule& rule : script.rules()) text += to_string(rule) + "\n";
  return text;
}

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
