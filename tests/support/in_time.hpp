#ifndef MLFLOWHA_TESTS_SUPPORT_IN_TIME_HPP
#define MLFLOWHA_TESTS_SUPPORT_IN_TIME_HPP

// For tests that must get something done on real machines before a delay of their own is over: a server is to be killed
// before it does what it does late. A round that came too late shows nothing, so it is played again with more time.

#include <chrono>

#include "support/catch.hpp"

namespace mlflowha_tests {

/// How long ago it was made.
class Stopwatch {
 public:
  [[nodiscard]] std::chrono::steady_clock::duration elapsed() const {
    return std::chrono::steady_clock::now() - began_;
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// Calls play(delay) until it returns true, at most five times, with twice the delay each time. `play` checks nothing
/// before it knows whether it was in time, and returns false when it wasn't.
template <class Play>
void in_time(std::chrono::milliseconds delay, const Play& play) {
  for (int round = 0; round < 5; ++round, delay *= 2) {
    if (play(delay)) return;
  }
  FAIL("too slow for this test, five times over; the last delay was " << (delay / 2).count() << " ms");
}

}  // namespace mlflowha_tests

#endif
