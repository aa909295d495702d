#ifndef MLFLOWHA_TESTING_FAULT_SCRIPT_HPP
#define MLFLOWHA_TESTING_FAULT_SCRIPT_HPP

// FaultScript: what goes wrong, when, and for whom. One language for FakeTransport, FakeServer and FaultProxy, written
// as text (a file, a command line) or built in C++. docs/testing.md describes it with examples.
//
//   when method POST path /runs/create share 5% -> apply_then_drop
//   when from 2s for 1s -> refuse
//   delay 3ms

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/http/message.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

enum class FaultKind : std::uint8_t {
  none,
  // before a request is sent; such a rule can't look at the request
  refuse,        ///< connection refused; connections that exist are closed
  connect_hang,  ///< no connection is established and those that exist fall silent (a host without power, a partition)
  // instead of an answer
  black_hole,       ///< the request is read and nothing ever happens; not applied
  reset,            ///< the request is read, then the connection is reset (RST); not applied
  drop_before,      ///< the request is read, then the connection is closed; not applied
  apply_then_drop,  ///< the request is applied, then the connection is closed without a byte
  apply_late,       ///< the connection is closed (or kept silent) at once, the request is applied later
  // another answer
  status,             ///< this answer; not applied
  apply_then_status,  ///< the request is applied, then this answer instead of its own (a gateway's 504)
  garbage,            ///< applied, answered with bytes that are not HTTP
  // the right answer, spoiled; the request is applied
  truncate,      ///< the body ends after `bytes`, then the connection is closed
  wrong_length,  ///< Content-Length is wrong by `bytes`
  // these come on top of whatever else happens
  delay,  ///< the answer (or the fault) comes `time` later; the request is applied when it arrives
  drip,   ///< the answer comes at `bytes_per_second`
};
/// As it is spelled in the language.
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(FaultKind kind) noexcept;

/// One thing that goes wrong. Which members count depends on the kind.
struct FaultAction {
  FaultKind kind = FaultKind::none;
  Duration time{0};                 ///< delay, apply_late
  bool silent = false;              ///< apply_late: the connection stays open and silent instead of being closed
  int status = 0;                   ///< status, apply_then_status
  std::optional<std::string> body;  ///< status, apply_then_status; without one: the HTML page of a proxy
  std::vector<Header> headers;      ///< status, apply_then_status
  std::int64_t bytes = 0;           ///< truncate, wrong_length
  double bytes_per_second = 0;      ///< drip

  friend bool operator==(const FaultAction&, const FaultAction&) = default;
};

/// Numbers from `first` to `last`, both included, counted from 1.
struct FaultRange {
  std::uint64_t first = 1;
  std::uint64_t last = 1;
  friend bool operator==(const FaultRange&, const FaultRange&) = default;
};

/// When a rule applies: everything that is set must hold.
struct FaultMatch {
  std::vector<std::string> methods;     ///< upper case; empty = any
  std::string path;                     ///< the target (path and query) contains this
  std::string prefix;                   ///< the target begins with this
  std::vector<FaultRange> connections;  ///< number of the connection at this endpoint
  std::vector<FaultRange> requests;     ///< number of the request at this endpoint, over all connections
  Duration from{0};                     ///< since the script was started
  Duration until = Duration::max();
  // The rest looks at the running number of the requests (or connections) that fulfil all of the above.
  std::vector<FaultRange> nth;
  std::uint64_t after = 0;  ///< the first `after` are spared
  std::uint64_t every = 1;  ///< of the rest, every so many
  double share = 1;         ///< of these, a random share; decided by seed, rule and running number only
  std::uint64_t times = 0;  ///< at most so many in all; 0 = no limit

  friend bool operator==(const FaultMatch&, const FaultMatch&) = default;
};

/// `when ... -> action and action`. Built by chaining: when().method(Method::post).path("/runs/create").reset().
struct MLFLOWHA_EXPORT FaultRule {
  FaultMatch match;
  std::vector<FaultAction> actions;
  int line = 0;  ///< where it stood in the text; 0 when built in C++

  FaultRule& method(Method method);
  FaultRule& path(std::string_view part);
  FaultRule& prefix(std::string_view beginning);
  FaultRule& connection(std::uint64_t first, std::uint64_t last = 0);  ///< last 0: only `first`
  FaultRule& request(std::uint64_t first, std::uint64_t last = 0);
  FaultRule& from(Duration start);
  FaultRule& until(Duration end);
  FaultRule& nth(std::uint64_t first, std::uint64_t last = 0);
  FaultRule& after(std::uint64_t spared);
  FaultRule& every(std::uint64_t count);
  FaultRule& share(double probability);
  FaultRule& times(std::uint64_t limit);

  FaultRule& refuse();
  FaultRule& connect_hang();
  FaultRule& black_hole();
  FaultRule& reset();
  FaultRule& drop_before();
  FaultRule& apply_then_drop();
  FaultRule& apply_late(Duration later, bool silent = false);
  FaultRule& status(int code, std::optional<std::string> body = std::nullopt, std::vector<Header> headers = {});
  FaultRule& apply_then_status(int code, std::optional<std::string> body = std::nullopt,
                               std::vector<Header> headers = {});
  /// An error as MLflow reports it, e.g. error("TEMPORARILY_UNAVAILABLE", "database is locked"); the status follows
  /// from the code (500 for a code that MLflow has no status for).
  FaultRule& error(std::string_view error_code, std::string_view message);
  FaultRule& redirect(std::string_view url, int code = 307);
  FaultRule& garbage();
  FaultRule& truncate(std::int64_t bytes);
  /// Content-Length is announced as the true length plus `difference`.
  FaultRule& wrong_length(std::int64_t difference = -10);
  FaultRule& delay(Duration time);
  FaultRule& drip(double bytes_per_second);

  /// Without the line, so that a rule equals what is parsed back from its text.
  friend bool operator==(const FaultRule& a, const FaultRule& b) {
    return a.match == b.match && a.actions == b.actions;
  }
};

/// A rule that applies always, to be narrowed down and given an action.
[[nodiscard]] inline FaultRule when() { return {}; }

/// In the language; parses back to an equal rule.
[[nodiscard]] MLFLOWHA_EXPORT std::string to_string(const FaultRule& rule);

/// Rules in order. For each request (or connection) they are tried from the top: `delay` and `drip` of all rules that
/// apply are added up, and the first other action ends the search. Plain value.
class MLFLOWHA_EXPORT FaultScript {
 public:
  FaultScript() = default;
  /// \throws Exception as add does.
  FaultScript(std::initializer_list<FaultRule> rules);

  /// Parses the text form. The error names line, word and what was expected; all faults of the text are listed.
  [[nodiscard]] static Result<FaultScript> parse(std::string_view text);

  /// \throws Exception (invalid_argument) for a rule that makes no sense: no action, two outcomes, a refusal that
  /// depends on the request, a number out of range.
  FaultScript& add(FaultRule rule);

  [[nodiscard]] const std::vector<FaultRule>& rules() const noexcept { return rules_; }
  /// The text's `seed`, if it has one. It beats the seed of whoever plays the script.
  [[nodiscard]] std::optional<std::uint64_t> seed() const noexcept { return seed_; }

  friend bool operator==(const FaultScript&, const FaultScript&) = default;

 private:
  std::vector<FaultRule> rules_;
  std::optional<std::uint64_t> seed_;
};

/// One rule per line.
[[nodiscard]] MLFLOWHA_EXPORT std::string to_string(const FaultScript& script);

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/testing/impl/fault_parser.ipp>
#include <mlflowha/testing/impl/fault_script.ipp>
#endif

#endif
