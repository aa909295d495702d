// Memory of a program that has one Client, after its first call. Usage: idle_sdk <url>. Compared with idle_bare.

#include "measure.hpp"
#include "subject.hpp"

int main(int count, char** arguments) {
  return bench::report([&]() -> bench::Json {
    if (count < 2) throw std::runtime_error("usage: idle_sdk URL");
    const mlflowha::Client client = bench::make_client({arguments[1]});
    bench::log_point(client, 1);
    const bench::Memory used = bench::memory();
    return {{"resident", used.resident}, {"anonymous", used.anonymous}};
  });
}
