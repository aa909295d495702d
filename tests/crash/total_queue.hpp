#ifndef MLFLOWHA_TESTS_CRASH_TOTAL_QUEUE_HPP
#define MLFLOWHA_TESTS_CRASH_TOTAL_QUEUE_HPP

// The workload of the crash suite and its judge, a count in the style of Jepsen's total queue: what a logging process
// was told is safe is on the server, nothing was invented, nothing is there twice, and the order within a run was kept.
// The process may be killed at any time; what it was told lies in memory that it shares with the judge.

#include <mlflowha/logging.hpp>
#include <mlflowha/testing/fake_server.hpp>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

namespace mlflowha_tests {

/// What one logging process was told, and what it was about to do.
struct Ledger {
  static constexpr int most = 4096;
  std::atomic<bool> started{false};  // the run was acknowledged
  std::atomic<int> points_tried{0};
  std::atomic<bool> acknowledged[most] = {};  // by step
  std::atomic<int> tag_tried{-1};
  std::atomic<int> tag_acknowledged{-1};
  std::atomic<bool> end_acknowledged{false};
  std::atomic<int> refused{0};        // log calls and commits that failed
  std::atomic<int> refusal{0};        // Errc of the last of them
  std::atomic<int> phase{0};          // for tests whose parent and child wait for each other
  std::atomic<bool> as_hoped{false};  // the child found what it was to find
  [[nodiscard]] int count() const;    // of acknowledged points
};

/// A Ledger in memory that a child shares with its parent.
class SharedLedger {
 public:
  SharedLedger();
  ~SharedLedger();
  SharedLedger(const SharedLedger&) = delete;
  SharedLedger& operator=(const SharedLedger&) = delete;
  Ledger& operator*() const noexcept { return *ledger_; }
  Ledger* operator->() const noexcept { return ledger_; }

 private:
  Ledger* ledger_;
};

struct Workload {
  std::vector<std::string> urls;
  std::string directory;
  std::string run_name = "run";
  mlflowha::Durability durability = mlflowha::Durability::each;
  int points = 60;
  int flush_every = 10;         // 0: never
  mlflowha::Duration pause{0};  // after each point
  bool end = true;
  std::function<void()> before_end;                       // called when all points are logged, if given and `end`
  mlflowha::Duration patience = std::chrono::seconds(5);  // of each flush, and of close()
};

[[nodiscard]] mlflowha::Client client_of(const std::vector<std::string>& urls);
/// Logs points, and every sixth time the tag "seq"; returns after close(), true when it drained.
bool log_all(const Workload& work, Ledger& ledger);
/// Replays a directory; the report.
mlflowha::ReplayReport replay_all(const std::vector<std::string>& urls, const std::string& directory,
                                  mlflowha::Duration patience = std::chrono::seconds(30));

/// Runs `work` in a child, which then ends; true when it was killed by SIGKILL.
bool dies(const std::function<void()>& work);
/// A child that runs `work` and ends; its pid.
[[nodiscard]] int spawn(const std::function<void()>& work);
/// Waits for a child; true when it was killed by SIGKILL. Fails the test when it died of something else.
bool reap(int child);

/// Holds one run against what its process was told.
void judge(const Ledger& ledger, const mlflowha::testing::FakeBackend& backend, const std::string& run_name = "run");
/// No run and no experiment was made twice, not even to be removed again.
void judge_creates(const mlflowha::testing::FakeBackend& backend, std::size_t most_runs = 1);

}  // namespace mlflowha_tests

#endif
