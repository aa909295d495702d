// A user's program: reads the endpoint list it is given and prints the first endpoint.

#include <mlflowha/core/uri.hpp>
#include <mlflowha/version.hpp>

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
  std::printf("mlflowha %s: %s\n", MLFLOWHA_VERSION_STRING, endpoints->front().base().c_str());
  return 0;
}
