#include "contract/server.hpp"

#include <mlflowha/core/rng.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/fake_server.hpp>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

namespace mlflowha_tests {

namespace {

ContractServer find_server() {
  const char* where = std::getenv("MLFLOWHA_CONTRACT_SERVER");
  if (where == nullptr)
    throw std::runtime_error("MLFLOWHA_CONTRACT_SERVER is not set, expected \"fake\" or a state file");
  ContractServer server;
  if (std::string(where) == "fake") {
    static const auto backend = std::make_shared<mlflowha::testing::FakeBackend>();
    static mlflowha::testing::FakeServer one(backend);
    static mlflowha::testing::FakeServer two(backend);
    server.urls = {one.url(), two.url()};
    server.fake = true;
    return server;
  }
  std::ifstream file(where);
  if (!file) throw std::runtime_error(std::string("can't read ") + where);
  const nlohmann::json state = nlohmann::json::parse(file);
  server.urls = state.at("urls").get<std::vector<std::string>>();
  if (const auto login = state.find("login"); login != state.end() && login->is_array()) {
    server.login.username = login->at(0).get<std::string>();
    server.login.password = login->at(1).get<std::string>();
  }
  if (const auto path = state.find("kill_switch"); path != state.end() && path->is_string()) {
    server.kill_switch = path->get<std::string>();
  }
  if (const auto bucket = state.find("bucket"); bucket != state.end() && bucket->is_string()) {
    server.bucket = bucket->get<std::string>();
  }
  server.major = std::stoi(state.at("version").get<std::string>());
  return server;
}

/// Lines in a file, each once.
class CallRecord {
 public:
  void add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    if (seen_.insert(line).second) file_ << line << std::endl;  // at once: a crash is worth a record too
  }

 private:
  const char* path_ = std::getenv("MLFLOWHA_CONTRACT_CALLS");
  std::mutex mutex_;
  std::set<std::string> seen_;
  std::ofstream file_{path_ == nullptr ? "/dev/null" : path_, std::ios::trunc};
};

/// Keeps what has been called and how it ended.
class Calls : public mlflowha::Observer {
  void on_call(const mlflowha::CallEvent& event) noexcept override {
    record_call(std::string(event.operation) + (event.error == nullptr ? " success" : " error"));
  }
};

}  // namespace

const ContractServer& contract_server() {
  static const ContractServer server = find_server();
  return server;
}

mlflowha::ClientOptions contract_options() {
  mlflowha::ClientOptions options;
  options.auth = contract_server().login;
  return options;
}

const mlflowha::Client& contract_client() {
  static const mlflowha::Client client = [] {
    mlflowha::ClientOptions options = contract_options();
    options.endpoints = contract_server().urls;
    options.observer = std::make_shared<Calls>();
    return mlflowha::Client::create(std::move(options)).value();
  }();
  return client;
}

void record_call(const std::string& line) {
  static CallRecord record;
  record.add(line);
}

std::string fresh_name(const std::string& stem) { return stem + "-" + mlflowha::make_uuid(*mlflowha::process_rng()); }

std::string fresh_experiment() {
  mlflowha::CreateExperiment create;
  create.name = fresh_name("contract");
  return contract_client().create_experiment(create).value();
}

mlflowha::Run fresh_run() {
  mlflowha::CreateRun create;
  create.experiment_id = fresh_experiment();
  return contract_client().create_run(create).value();
}

}  // namespace mlflowha_tests
