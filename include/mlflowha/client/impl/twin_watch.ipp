#ifndef MLFLOWHA_CLIENT_IMPL_TWIN_WATCH_IPP
#define MLFLOWHA_CLIENT_IMPL_TWIN_WATCH_IPP

#include <mlflowha/client/twin_watch.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE void TwinWatch::add(TimePoint now, WatchedCreate create) {
  if (watch_for_ <= Duration::zero()) return;
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  entries_.push_back(
      {std::move(create), now + first_gap_, Deadline::after(now, watch_for_).at(), first_gap_, first_gap_});
  update_earliest();
}

MLFLOWHA_INLINE std::optional<WatchedCreate> TwinWatch::next_due(TimePoint now) {
  if (now.time_since_epoch().count() < earliest_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  std::optional<WatchedCreate> due;
  for (std::size_t i = 0; i < entries_.size() && !due; ++i) {
    Entry& entry = entries_[i];
    if (entry.next > now) continue;
    due = entry.create;
    entry.gap = std::min(entry.gap * 2, last_gap_);
    entry.next = now < entry.end ? std::min(now + entry.gap, std::max(entry.end, now + first_gap_)) : now + entry.gap;
    // Nobody can be searched for longer than that; the twin, if any, keeps its tag.
    if (now >= Deadline::after(entry.end, watch_for_).at())
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  update_earliest();
  return due;
}

MLFLOWHA_INLINE std::vector<WatchedCreate> TwinWatch::all() const {
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  std::vector<WatchedCreate> creates;
  creates.reserve(entries_.size());
  for (const Entry& entry : entries_) creates.push_back(entry.create);
  return creates;
}

MLFLOWHA_INLINE void TwinWatch::again(TimePoint now, const std::string& request_tag) {
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  for (Entry& entry : entries_) {
    if (entry.create.request_tag == request_tag) {
      entry.gap = first_gap_;
      entry.next = now + first_gap_;
    }
  }
  update_earliest();
}

MLFLOWHA_INLINE void TwinWatch::failed(TimePoint now, const std::string& request_tag) {
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  for (Entry& entry : entries_) {
    if (entry.create.request_tag != request_tag) continue;
    entry.gap = entry.patience;
    entry.next = now + entry.patience;
    entry.patience = std::min(entry.patience * 2, last_gap_);
  }
  update_earliest();
}

MLFLOWHA_INLINE void TwinWatch::leave(const std::string& request_tag, const std::string& id) {
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  for (Entry& entry : entries_) {
    std::vector<std::string>& left = entry.create.left;
    if (entry.create.request_tag != request_tag || std::find(left.begin(), left.end(), id) != left.end()) continue;
    left.push_back(id);
  }
}

MLFLOWHA_INLINE bool TwinWatch::first_told(const std::string& request_tag, const std::string& id) {
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  for (Entry& entry : entries_) {
    if (entry.create.request_tag != request_tag) continue;
    if (std::find(entry.told.begin(), entry.told.end(), id) != entry.told.end()) return false;
    entry.told.push_back(id);
  }
  return true;
}

MLFLOWHA_INLINE void TwinWatch::looked(TimePoint now, const std::string& request_tag) {
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  for (Entry& entry : entries_) {
    if (entry.create.request_tag == request_tag) entry.patience = first_gap_;
  }
  std::erase_if(entries_,
                [&](const Entry& entry) { return entry.create.request_tag == request_tag && now >= entry.end; });
  update_earliest();
}

MLFLOWHA_INLINE void TwinWatch::forget(const std::string& request_tag) {
  const std::lock_guard<detail::ForkMutex> lock(mutex_);
  std::erase_if(entries_, [&](const Entry& entry) { return entry.create.request_tag == request_tag; });
  update_earliest();
}

MLFLOWHA_INLINE void TwinWatch::update_earliest() {
  std::int64_t earliest = INT64_MAX;
  for (const Entry& entry : entries_) {
    earliest = std::min<std::int64_t>(earliest, entry.next.time_since_epoch().count());
  }
  earliest_.store(earliest, std::memory_order_relaxed);
  size_.store(entries_.size(), std::memory_order_relaxed);
}

MLFLOWHA_END_NAMESPACE

#endif
