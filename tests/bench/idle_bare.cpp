// Memory of a program that has one bare libcurl handle, after its first call. Usage: idle_bare <url>

#include "bare_curl.hpp"
#include "measure.hpp"

int main(int count, char** arguments) {
  return bench::report([&]() -> bench::Json {
    if (count < 2) throw std::runtime_error("usage: idle_bare URL");
    bench::CapturedRequest request;
    request.target = "/api/2.0/mlflow/runs/log-metric";
    request.headers = {"Content-Type: application/json"};
    request.body = R"({"run_id":"0","key":"loss","value":0.5,"timestamp":1,"step":1})";
    bench::BareCurl bare(arguments[1], request);
    bare.call();
    const bench::Memory used = bench::memory();
    return {{"resident", used.resident}, {"anonymous", used.anonymous}};
  });
}
