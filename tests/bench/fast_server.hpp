#ifndef MLFLOWHA_TESTS_BENCH_FAST_SERVER_HPP
#define MLFLOWHA_TESTS_BENCH_FAST_SERVER_HPP

// FastServer: answers MLflow's log-metric and the read that identifies an endpoint, over HTTP/1.1 with keep-alive, in
// a few microseconds. A real MLflow server takes 7 ms a call and would hide everything that the benchmarks look at. One
// thread, epoll, no storage. Runs as a process of its own (fast_server_main.cpp) where the client's CPU is measured, or
// on a thread of the benchmark where it isn't.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace bench {

/// What a port does with requests.
enum class Behaviour : std::uint8_t {
  answer,  ///< 200 at once
  mute,    ///< reads and never answers
  faulty,  ///< answers, but treats one request in `fault_every` badly, each time in another way
};

class FastServer {
 public:
  /// `fault_every`: of the requests to a `faulty` port.
  explicit FastServer(std::uint32_t fault_every = 100);
  FastServer(const FastServer&) = delete;
  FastServer& operator=(const FastServer&) = delete;
  ~FastServer();

  /// Opens a port on 127.0.0.1 and returns its number. Before run(). Throws std::system_error.
  std::uint16_t listen(Behaviour behaviour);
  /// Serves until stop().
  void run();
  /// From any thread. Once: a stopped server isn't started again.
  void stop() noexcept;

 private:
  struct Connection {
    int fd;
    Behaviour behaviour;
    std::string in;
    std::string out;
  };
  enum class After : std::uint8_t { keep, close };

  void accept_all(int listener, Behaviour behaviour);
  After on_readable(Connection& connection);
  After serve(Connection& connection);
  After answer(Connection& connection, const std::string& head_and_body);
  After answer_badly(Connection& connection);
  After flush(Connection& connection);
  void drop(int fd);

  const std::uint32_t fault_every_;
  std::uint32_t faulty_requests_ = 0;
  std::uint32_t faults_ = 0;
  int epoll_ = -1;
  int wake_ = -1;
  std::unordered_map<int, Behaviour> listeners_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::string last_log_metric_;  // as it came, for the baseline to imitate
};

}  // namespace bench

#endif
