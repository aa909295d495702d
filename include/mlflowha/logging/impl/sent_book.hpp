#ifndef MLFLOWHA_LOGGING_IMPL_SENT_BOOK_HPP
#define MLFLOWHA_LOGGING_IMPL_SENT_BOOK_HPP

// SentBook: what a server has confirmed for one run, as far as it can be read back: the latest point of each metric,
// params, tags, how the run ended, its artifacts. Compared with the run when its logger closes. No I/O.
//
// MLflow's latest point is the greatest by step, timestamp and value, in this order, with NaN counted as 0 and an
// infinity as the largest double (sqlalchemy_store.py, _update_latest_metrics_if_necessary, 2.22 and 3.17). Somebody
// else may log into the same run: a greater point is theirs, and so is a value of a tag that this logger has never set.

#include <mlflowha/api/runs.hpp>
#include <mlflowha/logging/record.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Not thread-safe.
class MLFLOWHA_EXPORT SentBook {
 public:
  /// Keys and values beyond `max_bytes` are not kept, only counted.
  explicit SentBook(std::size_t max_bytes = std::size_t{16} << 20) noexcept : max_bytes_(max_bytes) {}

  void add(const RunValues& values);
  void add(const RunArtifact& artifact);
  void add(const RunEnd& end) { end_ = end; }

  struct Comparison {
    RunValues resend{};           ///< what the server has lost; any number of entries
    std::optional<RunEnd> end{};  ///< to be sent again
    std::uint64_t checked = 0;
    std::uint64_t conflicts = 0;       ///< params with another value, which can't be changed
    std::uint64_t foreign = 0;         ///< tags and the end, set by somebody else
    std::vector<std::string> notes{};  ///< a line for each of all these
  };
  [[nodiscard]] Comparison compare(const Run& run) const;

  /// Sizes by path.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& artifacts() const noexcept { return artifacts_; }
  /// Entries that didn't fit.
  [[nodiscard]] std::uint64_t unchecked() const noexcept { return unchecked_; }
  [[nodiscard]] bool empty() const noexcept {
    return metrics_.empty() && params_.empty() && tags_.empty() && artifacts_.empty() && !end_;
  }

 private:
  struct Tag {
    std::string value;
    std::vector<std::uint64_t> earlier;  // hashes of the values before, the last few
  };
  [[nodiscard]] bool fits(std::size_t bytes) noexcept;

  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::uint64_t unchecked_ = 0;
  std::unordered_map<std::string, Metric> metrics_;
  std::unordered_map<std::string, std::string> params_;
  std::unordered_map<std::string, Tag> tags_;
  std::map<std::string, std::uint64_t> artifacts_;
  std::optional<RunEnd> end_;
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/sent_book.ipp>
#endif

#endif
