#ifndef MLFLOWHA_CLIENT_TWIN_WATCH_HPP
#define MLFLOWHA_CLIENT_TWIN_WATCH_HPP

// TwinWatch: remembers creates whose fate on some server is unknown and says when to look for their twins. A server
// that was stopped with the request in its socket may carry it out minutes later (seen: MLflow 2.22 behind gunicorn
// applied it on SIGCONT, long after the client had gone elsewhere). Every object carries the request tag of its create,
// so a twin can be told from any other object. Sans I/O: the client's engine asks what is due, searches and deletes.

#include <mlflowha/api/operation.hpp>
#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/impl/fork_mutex.hpp>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// One create to look after.
struct WatchedCreate {
  const api::Operation* operation = nullptr;  ///< e.g. api::ops::create_run; its recipe says how to look
  std::string scope;                          ///< where to search: an experiment's id, a model's name
  std::string request_tag;                    ///< unique value of the tag
  std::string kept_id;  ///< the object the caller has; "" when the call failed (then finds are only reported)
  bool apart = false;   ///< as RecipeKey::apart
  std::vector<std::string> left{};  ///< ids of twins that can't be removed: not tried again
};

/// Thread-safe.
class MLFLOWHA_EXPORT TwinWatch {
 public:
  /// `first_gap` doubles from look to look up to `last_gap`; after `watch_for` a create is forgotten.
  explicit TwinWatch(Duration watch_for, Duration first_gap = std::chrono::seconds(1),
                     Duration last_gap = std::chrono::seconds(60)) noexcept
      : watch_for_(watch_for), first_gap_(first_gap), last_gap_(last_gap) {}

  void add(TimePoint now, WatchedCreate create);

  /// A create whose next look is due; it is not handed out again before its next turn. One atomic load when none is.
  [[nodiscard]] std::optional<WatchedCreate> next_due(TimePoint now);
  /// Everything watched, due or not, for a thorough look before the process ends.
  [[nodiscard]] std::vector<WatchedCreate> all() const;
  /// Looks at `request_tag` again as soon as possible (a look or a removal couldn't be begun).
  void again(TimePoint now, const std::string& request_tag);
  /// A look or a removal failed: again soon at first, then with growing gaps.
  void failed(TimePoint now, const std::string& request_tag);
  /// A server has refused for good to let the twin `id` go: later looks pass it over.
  void leave(const std::string& request_tag, const std::string& id);
  /// True the first time that the twin `id` is to be told of as still there.
  [[nodiscard]] bool first_told(const std::string& request_tag, const std::string& id);
  /// A look succeeded. After one at or past its end a create is forgotten, so that none is forgotten unlooked-at.
  void looked(TimePoint now, const std::string& request_tag);
  /// Nothing more can come of it.
  void forget(const std::string& request_tag);
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    WatchedCreate create;
    TimePoint next;
    TimePoint end;
    Duration gap;
    Duration patience;  // before the next attempt, should this one fail
    std::vector<std::string> told{};
  };
  void update_earliest();

  const Duration watch_for_;
  const Duration first_gap_;
  const Duration last_gap_;
  mutable detail::ForkMutex mutex_;
  std::vector<Entry> entries_;
  std::atomic<std::int64_t> earliest_{
      INT64_MAX};  // nanoseconds on the monotonic axis; INT64_MAX when nothing is watched
  std::atomic<std::size_t> size_{0};
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/twin_watch.ipp>
#endif

#endif
