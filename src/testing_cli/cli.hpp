#ifndef MLFLOWHA_TESTING_CLI_CLI_HPP
#define MLFLOWHA_TESTING_CLI_CLI_HPP

// What mlflowha-fault-proxy and mlflowha-fake-server share: flags, the script file, signals and the JSON lines.

#include <mlflowha/testing/fault_injector.hpp>

#include <nlohmann/json.hpp>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlflowha_cli {

using mlflowha::testing::FaultCount;
using mlflowha::testing::FaultScript;

/// Ends the program's work with a message on stderr and exit code 2.
struct Usage {
  std::string message;
};

/// `--name value` and `--name=value`.
class Flags {
 public:
  Flags(int argc, char** argv, std::vector<std::string> known) {
    for (int i = 1; i < argc; ++i) {
      std::string_view flag = argv[i];
      if (flag == "--help" || flag == "-h") {
        help_ = true;
        continue;
      }
      const std::size_t equals = flag.find('=');
      const std::string_view name = flag.substr(0, equals);
      bool is_known = false;
      for (const std::string& candidate : known) is_known = is_known || name == "--" + candidate;
      if (!is_known) throw Usage{"unknown flag \"" + std::string(flag) + "\""};
      std::string value;
      if (equals != std::string_view::npos) {
        value = flag.substr(equals + 1);
      } else if (++i < argc) {
        value = argv[i];
      } else {
        throw Usage{"flag " + std::string(name) + " needs a value"};
      }
      values_.emplace_back(name.substr(2), value);
    }
  }

  [[nodiscard]] bool help() const noexcept { return help_; }
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const {
    for (const auto& [key, value] : values_) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::uint64_t number(std::string_view name, std::uint64_t fallback, std::uint64_t highest) const {
    const auto value = text(name);
    if (!value) return fallback;
    std::uint64_t number = 0;
    const auto [end, status] = std::from_chars(value->data(), value->data() + value->size(), number);
    if (status != std::errc{} || end != value->data() + value->size() || number > highest) {
      throw Usage{"--" + std::string(name) + " is \"" + *value + "\", expected 0.." + std::to_string(highest)};
    }
    return number;
  }

 private:
  std::vector<std::pair<std::string, std::string>> values_;
  bool help_ = false;
};

/// The rules in a file; none without a file.
inline FaultScript load_script(const std::optional<std::string>& path) {
  if (!path) return {};
  std::ifstream file(*path, std::ios::binary);
  if (!file) throw Usage{"can't read the fault script " + *path};
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  auto script = FaultScript::parse(text);
  if (!script) throw Usage{*path + ": " + script.error().message};
  return *std::move(script);
}

/// Blocks the signals that the program waits for, in this thread and those to come.
inline sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

/// One line of JSON on stdout, at once.
inline void print_line(const nlohmann::ordered_json& line) {
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

inline nlohmann::ordered_json to_json(const std::vector<FaultCount>& counts) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const FaultCount& count : counts) {
    nlohmann::ordered_json rule;
    rule["line"] = count.line;
    rule["rule"] = count.rule;
    rule["matched"] = count.matched;
    rule["fired"] = count.fired;
    list.push_back(std::move(rule));
  }
  return list;
}

/// Waits for signals: `reload` on SIGHUP, `report` on SIGUSR1 and at the end, return on SIGTERM and SIGINT.
template <class Reload, class Report>
void serve_until_told(const sigset_t& signals, Reload reload, Report report) {
  for (;;) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    if (number == SIGHUP) {
      try {
        reload();
      } catch (const Usage& usage) {  // the old rules stay
        std::fprintf(stderr, "%s\n", usage.message.c_str());
      }
      continue;
    }
    report();
    if (number == SIGTERM || number == SIGINT) return;
  }
}

}  // namespace mlflowha_cli

#endif
