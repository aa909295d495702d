// Fuzz: an environment of any text, lists of endpoints and a credentials file among it, becomes options or an error;
// and the password is in neither what the settings nor what the error says.

#include <mlflowha/client/options.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace {

/// The first line is the credentials file with '|' for its line ends; each other is NAME=VALUE.
class Lines final : public mlflowha::Environment {
 public:
  explicit Lines(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      std::string line(text.substr(0, end));
      text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
      if (!file_) {
        for (char& c : line) c = c == '|' ? '\n' : c;
        file_ = std::move(line);
        continue;
      }
      const std::size_t equals = line.find('=');
      if (equals != std::string::npos) variables_[line.substr(0, equals)] = line.substr(equals + 1);
    }
    variables_["MLFLOW_TRACKING_PASSWORD"] = "Sw0rdf1sh";
  }
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const override {
    const auto at = variables_.find(std::string(name));
    return at == variables_.end() ? std::nullopt : std::optional(at->second);
  }
  [[nodiscard]] std::optional<std::string> read_file(std::string_view path) const override {
    return path == "~/.mlflow/credentials" ? file_ : std::nullopt;
  }

 private:
  std::map<std::string, std::string> variables_;
  std::optional<std::string> file_;
};

void look(std::string_view shown, std::string_view given) {
  // What somebody wrote into another variable is that one's to show.
  if (shown.find("Sw0rdf1sh") != std::string_view::npos && given.find("Sw0rdf1sh") == std::string_view::npos)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Lines environment(text);
  const auto options = mlflowha::ClientOptions::from_env(environment);
  if (!options) {
    if (options.error().message.empty()) std::abort();
    look(options.error().message, text);
    return 0;
  }
  const auto config = mlflowha::make_config(*options);
  if (!config) {
    if (config.error().message.empty()) std::abort();
    look(config.error().message, text);
    return 0;
  }
  for (const mlflowha::SettingOrigin& origin : config->settings()) look(origin.value, text);
  return 0;
}
