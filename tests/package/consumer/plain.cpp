// A user's program, without a server: addresses, a refused call, health.

#include <mlflowha/mlflowha.hpp>

#include <chrono>
#include <cstdio>

std::size_t count_in_second_unit(const char* text);

int main() {
  const auto endpoints = mlflowha::parse_endpoint_list("http://a:5000,http://b:5000");
  if (!endpoints || endpoints->size() != count_in_second_unit("http://a:5000,http://b:5000")) return 1;
  try {
    mlflowha::parse_uri("nonsense").value();
    return 2;
  } catch (const mlflowha::Exception& refused) {
    // caught across the library's border, in a shared build too
    if (refused.error().code != mlflowha::Errc::invalid_endpoint) return 3;
  }
  mlflowha::ClientOptions options;
  options.endpoints = {"http://127.0.0.1:1"};  // nobody listens there
  const auto client = mlflowha::Client::create(options).value();
  mlflowha::CallOptions call;
  call.timeout = std::chrono::milliseconds(300);
  const auto run = client.get_run("0123456789abcdef0123456789abcdef", call);
  if (run || run.error().attempts.empty()) return 4;
  if (to_json(client.health()).find("127.0.0.1:1") == std::string::npos) return 5;
  std::printf("mlflowha %s: %s\n", MLFLOWHA_VERSION_STRING, endpoints->front().base().c_str());
  return 0;
}
