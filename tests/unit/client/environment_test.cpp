#include <mlflowha/client/options.hpp>

#include <map>
#include <string>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;
using mlflowha_tests::contains;

namespace {

class FakeEnvironment final : public Environment {
 public:
  FakeEnvironment(std::initializer_list<std::pair<const std::string, std::string>> variables,
                  std::optional<std::string> credentials = std::nullopt)
      : variables_(variables), credentials_(std::move(credentials)) {}
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const override {
    const auto at = variables_.find(std::string(name));
    if (at == variables_.end()) return std::nullopt;
    return at->second;
  }
  [[nodiscard]] std::optional<std::string> read_file(std::string_view path) const override {
    return path == "~/.mlflow/credentials" ? credentials_ : std::nullopt;
  }

 private:
  std::map<std::string, std::string> variables_;
  std::optional<std::string> credentials_;
};

std::string source_of(const ClientOptions& options, std::string_view setting) {
  const Config config = make_config(options).value();
  for (const SettingOrigin& origin : config.settings()) {
    if (origin.setting == setting) return origin.source;
  }
  return "no such setting";
}

}  // namespace

TEST_CASE("the seed documents' environment is honoured to the letter", "[client][environment]") {
  const FakeEnvironment environment{{"MLFLOW_TRACKING_URI", "http://a:5000,http://b:5000,http://c:5000"},
                                    {"MLFLOW_ENABLE_RETRY", "true"},
                                    {"MLFLOW_RETRY_MAX_ATTEMPTS", "5"},
                                    {"MLFLOW_RETRY_BACKOFF_FACTOR", "2"},
                                    {"MLFLOW_CIRCUIT_BREAKER_THRESHOLD", "10"},
                                    {"MLFLOW_CIRCUIT_BREAKER_TIMEOUT", "60"}};
  const ClientOptions options = ClientOptions::from_env(environment).value();
  CHECK(options.endpoints.size() == 3);
  CHECK(options.retry.enabled);
  CHECK(options.retry.max_attempts == 5);
  CHECK(options.retry.backoff.factor == 2.0);
  CHECK(options.breaker.consecutive_failures == 10);
  CHECK(options.breaker.open_for == 60s);
  const Config config = make_config(options).value();
  CHECK(config.plan().max_attempts == 5);
  CHECK(config.pool().breaker.consecutive_failures == 10);
  CHECK(source_of(options, "retry.max_attempts") == "MLFLOW_RETRY_MAX_ATTEMPTS");
  CHECK(source_of(options, "timeouts.call") == "default");
}

TEST_CASE("retries can be switched off", "[client][environment]") {
  const FakeEnvironment environment{{"MLFLOW_TRACKING_URI", "http://a"}, {"MLFLOW_ENABLE_RETRY", "0"}};
  CHECK(make_config(ClientOptions::from_env(environment).value()).value().plan().max_attempts == 1);
}

TEST_CASE("MLflow's own names are understood", "[client][environment]") {
  const FakeEnvironment environment{
      {"MLFLOW_TRACKING_URI", "https://a"},        {"MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7"},
      {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "3"}, {"MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0.5"},
      {"MLFLOW_HTTP_REQUEST_TIMEOUT", "120"},      {"MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "False"},
      {"MLFLOW_TRACKING_INSECURE_TLS", "1"},       {"MLFLOW_TRACKING_TOKEN", "t0ken"}};
  const ClientOptions options = ClientOptions::from_env(environment).value();
  CHECK(options.retry.max_attempts == 8);
  CHECK(options.retry.backoff.factor == 3.0);
  CHECK(options.timeouts.attempt == 120s);
  CHECK(options.timeouts.call == 120s);  // an attempt that long needs a call that long
  CHECK_FALSE(options.retry.respect_retry_after);
  CHECK(options.tls.insecure);
  CHECK(options.auth.bearer_token.reveal() == "t0ken");
  REQUIRE(options.warnings.size() == 1);
  CHECK_THAT(options.warnings[0], contains("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"));
}

TEST_CASE("one time limit is enough, and the others go along with it", "[client][environment]") {
  struct Row {
    const char* name;
    const char* seconds;
    Duration call, attempt, connect;
    bool moves_call, moves_attempt, moves_connect;
  };
  const Row row = GENERATE(Row{"MLFLOWHA_CALL_TIMEOUT", "5", 5s, 5s, 2s, true, true, false},
                           Row{"MLFLOWHA_CALL_TIMEOUT", "1", 1s, 1s, 500ms, true, true, true},
                           Row{"MLFLOWHA_CALL_TIMEOUT", "20", 20s, 10s, 2s, true, false, false},
                           Row{"MLFLOWHA_ATTEMPT_TIMEOUT", "1", 30s, 1s, 500ms, false, true, true},
                           Row{"MLFLOW_HTTP_REQUEST_TIMEOUT", "60", 60s, 60s, 2s, true, true, false});
  INFO(row.name << "=" << row.seconds);
  const ClientOptions options =
      ClientOptions::from_env(FakeEnvironment{{"MLFLOW_TRACKING_URI", "http://a"}, {row.name, row.seconds}}).value();
  REQUIRE(make_config(options));
  CHECK(options.timeouts.call == row.call);
  CHECK(options.timeouts.attempt == row.attempt);
  CHECK(options.timeouts.connect == row.connect);
  CHECK(source_of(options, "timeouts.call") == (row.moves_call ? row.name : "default"));
  CHECK(source_of(options, "timeouts.attempt") == (row.moves_attempt ? row.name : "default"));
  CHECK(source_of(options, "timeouts.connect") == (row.moves_connect ? row.name : "default"));
}

TEST_CASE("what a variable moves along is set by that variable", "[client][environment]") {
  const ClientOptions options = ClientOptions::from_env(FakeEnvironment{{"MLFLOW_TRACKING_URI", "http://a"},
                                                                        {"MLFLOW_CIRCUIT_BREAKER_TIMEOUT", "600"},
                                                                        {"MLFLOW_HTTP_REQUEST_TIMEOUT", "120"}})
                                    .value();
  CHECK(options.breaker.open_for_max == 600s);
  CHECK(source_of(options, "breaker.open_for_max") == "MLFLOW_CIRCUIT_BREAKER_TIMEOUT");
  CHECK(source_of(options, "breaker.probe_lease") == "MLFLOW_HTTP_REQUEST_TIMEOUT");
}

TEST_CASE("the ends of a time limit's range can be used", "[client][environment]") {
  const char* name = GENERATE("MLFLOWHA_CALL_TIMEOUT", "MLFLOWHA_ATTEMPT_TIMEOUT", "MLFLOW_HTTP_REQUEST_TIMEOUT");
  const char* seconds = GENERATE("0.002", "86400");
  INFO(name << "=" << seconds);
  const auto options = ClientOptions::from_env(FakeEnvironment{{"MLFLOW_TRACKING_URI", "http://a"}, {name, seconds}});
  REQUIRE(options);
  const auto config = make_config(*options);
  INFO((config ? "" : config.error().message));
  CHECK(config);
  CHECK_THAT(
      ClientOptions::from_env(FakeEnvironment{{"MLFLOW_TRACKING_URI", "http://a"}, {name, "0.001"}}).error().message,
      contains(std::string(name) + ": value is \"0.001\", expected a number of seconds, 0.002..86400"));
}

TEST_CASE("time limits that were given and don't fit are refused", "[client][environment]") {
  const FakeEnvironment both{
      {"MLFLOW_TRACKING_URI", "http://a"}, {"MLFLOWHA_CALL_TIMEOUT", "5"}, {"MLFLOWHA_ATTEMPT_TIMEOUT", "6"}};
  CHECK_THAT(make_config(ClientOptions::from_env(both).value()).error().message,
             contains("timeouts.attempt is 6 s, expected at most timeouts.call"));
  const FakeEnvironment connect{
      {"MLFLOW_TRACKING_URI", "http://a"}, {"MLFLOWHA_CALL_TIMEOUT", "5"}, {"MLFLOWHA_CONNECT_TIMEOUT", "6"}};
  CHECK_THAT(make_config(ClientOptions::from_env(connect).value()).error().message,
             contains("timeouts.connect is 6 s, expected less than timeouts.attempt"));
}

TEST_CASE("two names for one thing must agree", "[client][environment]") {
  const FakeEnvironment contradiction{{"MLFLOW_TRACKING_URI", "http://a"},
                                      {"MLFLOW_RETRY_MAX_ATTEMPTS", "5"},
                                      {"MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7"},
                                      {"MLFLOW_RETRY_BACKOFF_FACTOR", "2"},
                                      {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "3"},
                                      {"MLFLOW_HTTP_REQUEST_TIMEOUT", "3"},
                                      {"MLFLOWHA_ATTEMPT_TIMEOUT", "4"},
                                      {"MLFLOW_TRACKING_INSECURE_TLS", "true"},
                                      {"MLFLOW_TRACKING_SERVER_CERT_PATH", "/ca.pem"}};
  const auto options = ClientOptions::from_env(contradiction);
  REQUIRE_FALSE(options);
  CHECK(options.error().code == Errc::invalid_config);
  const std::string& message = options.error().message;
  CHECK_THAT(message, contains("MLFLOW_RETRY_MAX_ATTEMPTS=5") && contains("MLFLOW_HTTP_REQUEST_MAX_RETRIES=7"));
  CHECK_THAT(message, contains("expected 5 and 4"));
  CHECK_THAT(message, contains("MLFLOW_RETRY_BACKOFF_FACTOR=2 contradicts MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR=3"));
  CHECK_THAT(message, contains("MLFLOWHA_ATTEMPT_TIMEOUT contradicts"));
  CHECK_THAT(message, contains("MLFLOW_TRACKING_INSECURE_TLS=true contradicts"));

  const FakeEnvironment agreement{{"MLFLOW_TRACKING_URI", "http://a"},
                                  {"MLFLOW_RETRY_MAX_ATTEMPTS", "8"},
                                  {"MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7"}};
  CHECK(ClientOptions::from_env(agreement).value().retry.max_attempts == 8);
}

TEST_CASE("every variable that can't be used is named with value and range", "[client][environment]") {
  const FakeEnvironment environment{{"MLFLOW_TRACKING_URI", "http://a:0,ftp://b"},
                                    {"MLFLOW_ENABLE_RETRY", "yes"},
                                    {"MLFLOW_RETRY_MAX_ATTEMPTS", "0"},
                                    {"MLFLOW_RETRY_BACKOFF_FACTOR", "nan"},
                                    {"MLFLOW_CIRCUIT_BREAKER_THRESHOLD", "ten"},
                                    {"MLFLOW_CIRCUIT_BREAKER_TIMEOUT", "-1"},
                                    {"MLFLOWHA_CALL_TIMEOUT", "1e99"},
                                    {"MLFLOWHA_SELECTION", "random"},
                                    {"MLFLOWHA_WHEN_ALL_OPEN", "maybe"},
                                    {"MLFLOW_TRACKING_AWS_SIGV4", "true"}};
  const auto options = ClientOptions::from_env(environment);
  REQUIRE_FALSE(options);
  const std::string& message = options.error().message;
  INFO(message);
  for (const char* part :
       {"MLFLOW_TRACKING_URI: endpoint list", "port is \"0\"", "scheme is \"ftp\"",
        "MLFLOW_ENABLE_RETRY: value is \"yes\", expected true",
        "MLFLOW_RETRY_MAX_ATTEMPTS: value is \"0\", expected a whole number, 1..1000",
        "MLFLOW_RETRY_BACKOFF_FACTOR: value is \"nan\", expected a number, 1..120",
        "MLFLOW_CIRCUIT_BREAKER_THRESHOLD: value is \"ten\"", "MLFLOW_CIRCUIT_BREAKER_TIMEOUT: value is \"-1\"",
        "MLFLOWHA_CALL_TIMEOUT: value is \"1e99\"", "MLFLOWHA_SELECTION: value is \"random\", expected primary_first",
        "MLFLOWHA_WHEN_ALL_OPEN: value is \"maybe\"", "MLFLOW_TRACKING_AWS_SIGV4"}) {
    CHECK_THAT(message, contains(part));
  }
}

TEST_CASE("an address for the Python plugin is an endpoint list", "[config][environment]") {
  const char* address = GENERATE("mlflowha+https://a:1,b:2", " mlflowha+https://a:1, mlflowha+https://b:2 ");
  const FakeEnvironment environment{{"MLFLOW_TRACKING_URI", address}};
  const ClientOptions options = ClientOptions::from_env(environment).value();
  CHECK(options.endpoints == std::vector<std::string>{"https://a:1", "https://b:2"});
}

TEST_CASE("our own endpoint list wins over the tracking URI", "[client][environment]") {
  const FakeEnvironment environment{{"MLFLOW_TRACKING_URI", "http://a"}, {"MLFLOWHA_ENDPOINTS", "http://b,http://c"}};
  const ClientOptions options = ClientOptions::from_env(environment).value();
  CHECK(options.endpoints == std::vector<std::string>{"http://b:80", "http://c:80"});
  CHECK(source_of(options, "endpoints") == "MLFLOWHA_ENDPOINTS");
}

TEST_CASE("credentials come from the environment, then from the file", "[client][environment][secret]") {
  const std::string file =
      "[other]\nmlflow_tracking_username = no\n[mlflow]\n# comment\nmlflow_tracking_username = filed\n"
      "mlflow_tracking_password: from=file\n";
  SECTION("file alone") {
    const ClientOptions options =
        ClientOptions::from_env(FakeEnvironment({{"MLFLOW_TRACKING_URI", "http://a"}}, file)).value();
    CHECK(options.auth.username == "filed");
    CHECK(options.auth.password.reveal() == "from=file");
    CHECK(source_of(options, "auth.username") == "~/.mlflow/credentials");
  }
  SECTION("the environment wins, item by item, and basic wins over a token") {
    const ClientOptions options = ClientOptions::from_env(FakeEnvironment({{"MLFLOW_TRACKING_URI", "http://a"},
                                                                           {"MLFLOW_TRACKING_USERNAME", "env"},
                                                                           {"MLFLOW_TRACKING_TOKEN", "t"}},
                                                                          file))
                                      .value();
    CHECK(options.auth.username == "env");
    CHECK(options.auth.password.reveal() == "from=file");
    CHECK(options.auth.bearer_token.empty());
    REQUIRE(options.warnings.size() == 1);
    CHECK_THAT(options.warnings[0], contains("MLFLOW_TRACKING_TOKEN has no effect"));
  }
  SECTION("half a credential is none, and said so") {
    const ClientOptions options = ClientOptions::from_env(FakeEnvironment({{"MLFLOW_TRACKING_URI", "http://a"},
                                                                           {"MLFLOW_TRACKING_USERNAME", "env"}}))
                                      .value();
    CHECK(options.auth.username.empty());
    CHECK(options.warnings.size() == 1);
  }
  SECTION("secrets never show in the settings") {
    const ClientOptions options =
        ClientOptions::from_env(FakeEnvironment({{"MLFLOW_TRACKING_URI", "http://a"}}, file)).value();
    for (const SettingOrigin& setting : make_config(options).value().settings()) {
      CHECK_THAT(setting.value, !contains("from=file"));
    }
  }
}

TEST_CASE("a percent sign in the file of credentials is doubled, as MLflow needs it", "[client][environment][secret]") {
  const auto read = [](const std::string& name, const std::string& password,
                       std::initializer_list<std::pair<const std::string, std::string>> more = {}) {
    std::string file = "[mlflow]\nmlflow_tracking_username = ";
    file.append(name).append("\nmlflow_tracking_password = ").append(password).append("\n");
    return ClientOptions::from_env(FakeEnvironment(more, file));
  };
  CHECK(read("filed", "50%%off").value().auth.password.reveal() == "50%off");
  CHECK(read("100%%%%", "%%(x)s").value().auth.username == "100%%");
  CHECK(read("100%%%%", "%%(x)s").value().auth.password.reveal() == "%(x)s");
  for (const std::string lone : {"hunter2%", "%hunter2", "hun%%%ter2", "%(hunter2)s"}) {
    const auto refused = read("filed", lone);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::invalid_config);
    CHECK_THAT(refused.error().message, contains("~/.mlflow/credentials: mlflow_tracking_password"));
    CHECK_THAT(refused.error().message, contains("expected every % in it to be doubled"));
    CHECK_THAT(refused.error().message, !contains("hunter2") && !contains("ter2"));
  }
  CHECK_THAT(read("al%ice", "x").error().message, contains("mlflow_tracking_username"));
  // Nothing is expected of what isn't used.
  CHECK(read("filed", "100%", {{"MLFLOW_TRACKING_PASSWORD", "a%b"}}).value().auth.password.reveal() == "a%b");
}

TEST_CASE("a file of credentials that can't be read is none, as in MLflow", "[client][environment]") {
  CHECK_FALSE(process_environment().read_file("/"));
  CHECK_FALSE(process_environment().read_file("/no/such/file"));
  CHECK(process_environment().read_file("/dev/null") == "");
  CHECK_FALSE(process_environment().read_file("/proc/self/mem"));  // opens, and can't be read from its beginning
}

TEST_CASE("a password behind the name shows nowhere", "[client][environment][secret]") {
  const FakeEnvironment environment{{"MLFLOW_TRACKING_URI", "http://a"},
                                    {"MLFLOW_TRACKING_USERNAME", "alice:hunter2"},
                                    {"MLFLOW_TRACKING_PASSWORD", "x"}};
  const ClientOptions options = ClientOptions::from_env(environment).value();
  for (const SettingOrigin& origin : options.origins) CHECK_THAT(origin.value, !contains("hunter2"));
  const auto refused = make_config(options);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, contains("auth.username = \"alice:...\"") && !contains("hunter2"));
}

TEST_CASE("code beats environment beats default, and it shows", "[client][config]") {
  ClientOptions options = ClientOptions::from_env(FakeEnvironment{{"MLFLOW_TRACKING_URI", "http://a"},
                                                                  {"MLFLOW_CIRCUIT_BREAKER_THRESHOLD", "7"},
                                                                  {"MLFLOW_RETRY_MAX_ATTEMPTS", "3"}})
                              .value();
  options.breaker.consecutive_failures = 9;
  CHECK(source_of(options, "breaker.consecutive_failures") == "code");
  CHECK(source_of(options, "retry.max_attempts") == "MLFLOW_RETRY_MAX_ATTEMPTS");
  CHECK(source_of(options, "retry.backoff.factor") == "default");
}

TEST_CASE("a config lists all of its faults", "[client][config]") {
  ClientOptions options;
  options.endpoints = {"http://a:5000", "http://a:5000", "nonsense://x"};
  options.timeouts.call = 1s;
  options.timeouts.attempt = 2s;
  options.timeouts.connect = 3s;
  options.retry.max_attempts = -1;
  options.retry.backoff.factor = std::nan("");
  options.retry.budget.retry_cost = 501;
  options.breaker.consecutive_failures = 0;
  options.breaker.failure_rate = 0;
  options.exactly_once.watch_for = -1s;
  options.tls.ca_file = "/no/such/file.pem";
  const auto config = make_config(options);
  REQUIRE_FALSE(config);
  const std::string& message = config.error().message;
  INFO(message);
  for (const char* part :
       {"listed twice", "scheme is \"nonsense\"", "timeouts.attempt is 2 s, expected at most timeouts.call",
        "timeouts.connect is 3 s, expected less than timeouts.attempt", "retry.max_attempts is -1",
        "retry.backoff.factor is nan", "retry.budget.retry_cost is 501", "failure_rate", "exactly_once.watch_for",
        "/no/such/file.pem"}) {
    CHECK_THAT(message, contains(part));
  }
}

TEST_CASE("an empty endpoint list says where to set it", "[client][config]") {
  const auto config = make_config({});
  REQUIRE_FALSE(config);
  CHECK_THAT(config.error().message, contains("MLFLOW_TRACKING_URI=http://HOST:PORT"));
}

TEST_CASE("a probe's lease outlives the longest attempt", "[client][config]") {
  ClientOptions options;
  options.endpoints = {"http://a"};
  options.timeouts.attempt = 20s;
  CHECK(make_config(options).value().pool().breaker.probe_lease > 20s);
}

TEST_CASE("times without end are refused or kept, and never wrap round", "[client][config]") {
  ClientOptions options;
  options.endpoints = {"http://a"};
  options.exactly_once.watch_for = Duration::max();
  options.pool.failback_after = Duration::max();
  CHECK(make_config(options));
  options.timeouts.attempt = options.timeouts.call = Duration::max();
  const auto refused = make_config(options);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, contains("timeouts.call") && !contains("probe_lease"));
}

TEST_CASE("what is wrong with a value from the environment is told with the variable's name", "[client][environment]") {
  const auto faults = [](std::initializer_list<std::pair<const std::string, std::string>> variables) {
    const FakeEnvironment environment(variables);
    return make_config(ClientOptions::from_env(environment).value()).error().message;
  };
  CHECK_THAT(faults({{"MLFLOW_TRACKING_URI", "http://a"}, {"MLFLOWHA_CONNECT_TIMEOUT", "60"}}),
             contains("timeouts.connect is 60 s") && contains("(set by MLFLOWHA_CONNECT_TIMEOUT)"));
  const std::string both = faults({{"MLFLOW_TRACKING_URI", "http://a"},
                                   {"MLFLOWHA_CALL_TIMEOUT", "5"},
                                   {"MLFLOWHA_ATTEMPT_TIMEOUT", "8"},
                                   {"MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere/ca.pem"}});
  CHECK_THAT(both, contains("(set by MLFLOWHA_CALL_TIMEOUT, MLFLOWHA_ATTEMPT_TIMEOUT)"));
  CHECK_THAT(both, contains("\"/nowhere/ca.pem\": expected a file that can be read (set by "
                            "MLFLOW_TRACKING_SERVER_CERT_PATH)"));

  // The code's own faults are nobody else's.
  const FakeEnvironment environment{{"MLFLOW_TRACKING_URI", "http://a"}, {"MLFLOWHA_ATTEMPT_TIMEOUT", "8"}};
  ClientOptions options = ClientOptions::from_env(environment).value();
  options.timeouts.attempt = 40s;
  CHECK_THAT(make_config(options).error().message, contains("timeouts.attempt") && !contains("MLFLOWHA_"));
}
