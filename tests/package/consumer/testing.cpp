// A user's test program: links the fakes.
#include <mlflowha/core/clock.hpp>
#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/version.hpp>

#include <cstdio>

int main() {
  mlflowha::testing::FakeClock clock;
  const auto before = clock.now();
  clock.advance(std::chrono::seconds(5));
  if (clock.now() - before != std::chrono::seconds(5)) return 1;
  std::printf("mlflowha %s, tested\n", MLFLOWHA_VERSION_STRING);
  return 0;
}
