#ifndef MLFLOWHA_LOGGING_IMPL_TURNS_IPP
#define MLFLOWHA_LOGGING_IMPL_TURNS_IPP

#include <mlflowha/logging/impl/turns.hpp>

#include <algorithm>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Whatever is asked next would meet the same.
MLFLOWHA_INLINE bool is_nobody_there(Errc code) noexcept {
  return code == Errc::no_endpoint || code == Errc::circuit_open || code == Errc::connect_failed ||
         code == Errc::budget_exhausted || code == Errc::cancelled;
}

MLFLOWHA_INLINE std::vector<Turn> Turns::begin(const std::vector<Turn>& all) {
  const TimePoint now = clock_->now();
  std::map<Turn, Waiting> waiting;
  std::vector<Turn> due;
  std::vector<Turn> again;
  for (const Turn& turn : all) {
    const auto one = waiting_.find(turn);
    if (one == waiting_.end()) {
      due.push_back(turn);
      continue;
    }
    if (one->second.until <= now) again.push_back(turn);
    waiting.insert(*one);
  }
  waiting_ = std::move(waiting);  // without those that have nothing any more
  all_ = all.size();
  in_a_row_ = 0;
  moved_ = over_ = false;
  kept_quiet_ = now < quiet_until_ && !due.empty() && !again.empty();
  if (!kept_quiet_) due.insert(due.end(), again.begin(), again.end());
  return due;
}

MLFLOWHA_INLINE bool Turns::failed(const Turn& turn, const Error& error, TimePoint began) {
  const TimePoint now = clock_->now();
  Waiting& waiting = waiting_[turn];
  ++waiting.failures;
  waiting.until = now + backoff(waiting.failures);
  quiet_until_ = std::max(quiet_until_, now) + (now - began);
  ++in_a_row_;
  over_ = in_a_row_ >= 2 || is_nobody_there(error.code);
  return over_;
}

MLFLOWHA_INLINE void Turns::moved(const Turn& turn) {
  waiting_.erase(turn);
  in_a_row_ = 0;
  dry_rounds_ = 0;
  moved_ = true;
  if (!std::exchange(outage_, false)) return;
  quiet_until_ = {};
  for (auto& [other, waiting] : waiting_) waiting.until = clock_->now();  // it may have been the outage alone
}

MLFLOWHA_INLINE void Turns::hurry(const Turn& turn) {
  const auto one = waiting_.find(turn);
  if (one == waiting_.end()) return;
  one->second.until = clock_->now();
  quiet_until_ = {};
}

MLFLOWHA_INLINE std::optional<TimePoint> Turns::next() {
  std::optional<TimePoint> due;
  for (const auto& [turn, waiting] : waiting_) due = due ? std::min(*due, waiting.until) : waiting.until;
  if (due && kept_quiet_) due = std::max(*due, quiet_until_);
  if (!over_ || moved_) return due;
  outage_ = true;
  const TimePoint pause = clock_->now() + backoff(++dry_rounds_);
  return waiting_.size() == all_ && due ? std::max(*due, pause) : pause;
}

MLFLOWHA_INLINE Duration Turns::backoff(int failures) {
  const Duration longest = std::chrono::milliseconds(250) * (std::int64_t{1} << std::min(failures, 6));  // 0.5 to 16 s
  return std::chrono::duration_cast<Duration>(longest * (0.5 + uniform(*rng_) / 2));
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
