#ifndef MLFLOWHA_TESTING_IMPL_EVENT_LOOP_IPP
#define MLFLOWHA_TESTING_IMPL_EVENT_LOOP_IPP

// One thread that waits for sockets and timers. The servers of this room keep all their state on it, so they need no
// locks of their own.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/result.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

[[noreturn]] MLFLOWHA_INLINE void throw_system_error(const std::string& what, int code) {
  Error error;
  error.code = Errc::invalid_argument;
  error.message = what + ": " + std::generic_category().message(code);
  mlflowha::detail::throw_exception(std::move(error));
}

/// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }
  void reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

MLFLOWHA_INLINE void make_nonblocking(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

class EventLoop {
 public:
  using FdHandler = std::function<void(short events)>;
  using Action = std::function<void()>;

  EventLoop() {
    int ends[2];
    if (::pipe(ends) != 0) throw_system_error("pipe", errno);
    wake_read_ = Fd(ends[0]);
    wake_write_ = Fd(ends[1]);
    make_nonblocking(ends[0]);
    make_nonblocking(ends[1]);
    thread_ = std::thread([this] { run(); });
  }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop() {
    post([this] { stopping_ = true; });
    thread_.join();
  }

  /// From any thread: lets `action` happen on the loop's thread.
  void post(Action action) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      posted_.push_back(std::move(action));
    }
    const char byte = 0;
    static_cast<void>(::write(wake_write_.get(), &byte, 1));  // a full pipe wakes as well
  }

  /// As post, and waits for the end of it. On the loop's own thread it happens at once.
  void run_and_wait(const Action& action) {
    if (std::this_thread::get_id() == thread_.get_id()) return action();
    std::mutex mutex;
    std::condition_variable condition;
    bool done = false;
    post([&] {
      action();
      const std::lock_guard<std::mutex> lock(mutex);
      done = true;
      condition.notify_one();
    });
    std::unique_lock<std::mutex> lock(mutex);
    condition.wait(lock, [&] { return done; });
  }

  // The rest is for the loop's thread only.

  /// Calls `handler` when one of `events` is there. With no events the descriptor is not looked at.
  void watch(int fd, short events, FdHandler handler) {
    watched_[fd] = {events, ++generation_, std::make_shared<FdHandler>(std::move(handler))};
  }
  void set_events(int fd, short events) {
    const auto found = watched_.find(fd);
    if (found != watched_.end()) found->second.events = events;
  }
  void unwatch(int fd) { watched_.erase(fd); }

  std::uint64_t at(TimePoint when, Action action) {
    timers_.emplace(std::pair(when, ++generation_), std::move(action));
    return generation_;
  }
  [[nodiscard]] static TimePoint now() noexcept {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }

 private:
  struct Watch {
    short events = 0;
    std::uint64_t generation = 0;
    std::shared_ptr<FdHandler> handler;  // shared: it may be unwatched while it runs
  };

  void run() {
    std::vector<pollfd> fds;
    std::vector<std::uint64_t> generations;
    while (!stopping_) {
      fds.assign(1, {wake_read_.get(), POLLIN, 0});
      generations.assign(1, 0);
      for (const auto& [fd, watch] : watched_) {
        if (watch.events == 0) continue;
        fds.push_back({fd, watch.events, 0});
        generations.push_back(watch.generation);
      }
      ::poll(fds.data(), static_cast<nfds_t>(fds.size()), timeout_ms());
      if (fds[0].revents != 0) run_posted();
      for (std::size_t i = 1; i < fds.size() && !stopping_; ++i) {
        if (fds[i].revents == 0) continue;
        const auto found = watched_.find(fds[i].fd);
        // A handler before may have closed this descriptor, and another may have got its number.
        if (found == watched_.end() || found->second.generation != generations[i]) continue;
        const std::shared_ptr<FdHandler> handler = found->second.handler;
        (*handler)(fds[i].revents);
      }
      run_timers();
    }
  }

  [[nodiscard]] int timeout_ms() const {
    constexpr std::int64_t longest = 60'000;
    if (timers_.empty()) return static_cast<int>(longest);
    const Duration left = timers_.begin()->first.first - now();
    if (left <= Duration::zero()) return 0;
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(ms < longest ? ms : longest);
  }

  void run_posted() {
    char bytes[64];
    while (::read(wake_read_.get(), bytes, sizeof bytes) > 0) {
    }
    std::deque<Action> actions;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      actions.swap(posted_);
    }
    for (const Action& action : actions) action();
  }

  void run_timers() {
    const TimePoint until = now();
    while (!timers_.empty() && timers_.begin()->first.first <= until && !stopping_) {
      const Action action = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      action();
    }
  }

  std::mutex mutex_;
  std::deque<Action> posted_;  // guarded by mutex_
  Fd wake_read_;
  Fd wake_write_;
  std::map<int, Watch> watched_;
  std::map<std::pair<TimePoint, std::uint64_t>, Action> timers_;
  std::uint64_t generation_ = 0;
  bool stopping_ = false;  // on the loop's thread
  std::thread thread_;     // last: it uses all of the above
};

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
