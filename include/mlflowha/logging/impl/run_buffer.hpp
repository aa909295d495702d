#ifndef MLFLOWHA_LOGGING_IMPL_RUN_BUFFER_HPP
#define MLFLOWHA_LOGGING_IMPL_RUN_BUFFER_HPP

// RunBuffer: where log calls leave their entries, for a microsecond or a few milliseconds, until somebody writes them
// into the spool. Metrics go into one of a few lanes by thread, so that threads rarely meet at a lock; everything else,
// being rare, into one list, so that its order is the order of the calls.
//
// Order: metrics of one thread keep theirs. Whatever is in the list comes after every metric that was logged before it;
// a metric that was logged after it may come earlier. For a run's end that is what counts; metrics carry their time.

#include <mlflowha/core/result.hpp>
#include <mlflowha/logging/record.hpp>
#include <mlflowha/logging/spool.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Thread-safe.
class MLFLOWHA_EXPORT RunBuffer {
 public:
  /// `max_bytes` for all lanes together; a lane takes its share of it.
  RunBuffer(std::int64_t run, std::size_t max_bytes) noexcept : run_(run), lane_bytes_(max_bytes / lanes) {}

  enum class Put : std::uint8_t {
    taken,
    taken_first,  ///< the lane was empty: somebody has to be woken
    full,         ///< not taken
    shut,         ///< not taken: the logger is closed
  };
  /// Precondition: the entry is valid (check_metric).
  [[nodiscard]] Put put_metric(std::string_view key, double value, std::int64_t timestamp, std::int64_t step);
  /// Params, tags, inputs, artifacts and the end.
  [[nodiscard]] Put put(Record record);

  /// Nothing more is taken; what was taken can be collected.
  void shut();
  [[nodiscard]] bool is_shut() const;
  /// Moves all that is there into rows, appended to `rows`. Not for two threads at once. Where memory runs out all
  /// stays.
  void collect(std::vector<SpoolRow>& rows);
  [[nodiscard]] std::int64_t run() const noexcept { return run_; }

 private:
  static constexpr std::size_t lanes = 8;

  struct Bytes {
    std::unique_ptr<char[]> data;
    std::size_t size = 0;
    std::size_t capacity = 0;
  };
  struct alignas(64) Lane {
    std::mutex mutex;
    Bytes bytes;
    bool shut = false;
  };
  struct Entry;  // what precedes the key in a lane

  void drain(const Bytes& bytes, std::vector<SpoolRow>& rows);
  void make_rows(std::vector<SpoolRow>& rows);
  void close_batch(std::vector<SpoolRow>& rows);

  const std::int64_t run_;
  const std::size_t lane_bytes_;
  std::array<Lane, lanes> lanes_;
  mutable std::mutex list_mutex_;
  std::vector<Record> list_;
  std::size_t list_bytes_ = 0;
  bool list_shut_ = false;
  // Of whoever collects.
  bool taken_ = false;  // out of the lanes and the list, and in no row yet
  std::array<Bytes, lanes> taken_bytes_;
  std::vector<Record> taken_list_;
  BatchEncoder encoder_;
  std::vector<std::string> keys_;  // of the params and tags in the encoder: a request must not hold one twice
};

/// What MLflow would say to the entry; cheap for keys of plain characters.
[[nodiscard]] MLFLOWHA_EXPORT Result<void> check_metric(std::string_view key, std::int64_t timestamp);
/// As above, for params and tags of one call.
[[nodiscard]] MLFLOWHA_EXPORT Result<void> check_values(const RunValues& values);

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/run_buffer.ipp>
#endif

#endif
