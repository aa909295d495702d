#ifndef MLFLOWHA_LOGGING_RECORD_HPP
#define MLFLOWHA_LOGGING_RECORD_HPP

// Record: what one row of a spool holds, and its bytes. A row is as much of one run as goes into one request: up to
// 1,000 metrics, params and tags, or the run's start, an input, an artifact, its end. The bytes carry a version, a
// length and a CRC32C, because SQLite checks the pages of its log only. BatchEncoder is the fast way to write metrics.

#include <mlflowha/api/runs.hpp>
#include <mlflowha/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// How a run begins. Holds the request tags of its creates, so that another process can finish them exactly once.
struct RunStart {
  std::string experiment_id{};           ///< "" when the experiment is given by name
  std::string experiment_name{};         ///< created when there is none of that name
  std::string experiment_request_tag{};  ///< of that create
  std::string run_name{};
  std::string user_id{};
  std::int64_t start_time = 0;  ///< milliseconds since the epoch
  std::vector<RunTag> tags{};
  std::string request_tag{};  ///< of the run's create

  friend bool operator==(const RunStart&, const RunStart&) = default;
};

/// Metrics, params and tags, as one log-batch request takes them.
struct RunValues {
  std::vector<Metric> metrics{};
  std::vector<Param> params{};
  std::vector<RunTag> tags{};

  [[nodiscard]] std::size_t size() const noexcept { return metrics.size() + params.size() + tags.size(); }
  friend bool operator==(const RunValues&, const RunValues&) = default;
};

/// A file to upload. Its bytes lie beside the spool until the upload is confirmed.
struct RunArtifact {
  std::string path{};    ///< below the run's artifact root, with '/', e.g. "checkpoints/7.pt"
  std::string file{};    ///< name of the copy in the spool's folder
  std::string sha256{};  ///< of its bytes, 64 hexadecimal digits
  std::uint64_t size = 0;

  friend bool operator==(const RunArtifact&, const RunArtifact&) = default;
};

/// How a run ends.
struct RunEnd {
  RunStatus status = RunStatus::finished;
  std::int64_t end_time = 0;  ///< milliseconds since the epoch

  friend bool operator==(const RunEnd&, const RunEnd&) = default;
};

/// The order is the number in the bytes: add at the end. A Metric by itself is one that belongs to a model or dataset,
/// for which a batch has no room.
using Record = std::variant<RunValues, RunStart, DatasetInput, RunArtifact, RunEnd, Metric>;

enum class RecordKind : std::uint8_t { values = 0, start = 1, input = 2, artifact = 3, end = 4, metric = 5 };
[[nodiscard]] inline RecordKind kind_of(const Record& record) noexcept {
  return static_cast<RecordKind>(record.index());
}
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(RecordKind kind) noexcept;

/// The record's bytes. Errc::invalid_argument when it can't be written: more than 4 GiB, a text that isn't UTF-8 in a
/// dataset. Of a metric of RunValues key, value, timestamp and step are kept; the rest has no place in a batch.
[[nodiscard]] MLFLOWHA_EXPORT Result<std::string> encode(const Record& record);
/// The record that `bytes` hold. Takes any bytes: Errc::storage_corrupt says what is wrong with them, and where.
[[nodiscard]] MLFLOWHA_EXPORT Result<Record> decode_record(std::string_view bytes);

/// CRC32C (Castagnoli) of `bytes`, continued from `seed`.
[[nodiscard]] MLFLOWHA_EXPORT std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0) noexcept;

/// Writes a RunValues record entry by entry, within the limits of one request. Keys are written once a batch. Not
/// thread-safe; reusable after take().
class MLFLOWHA_EXPORT BatchEncoder {
 public:
  // Limits of POST runs/log-batch (mlflow/utils/validation.py). Metric keys: an older server that has to find
  // out which of a repeated batch's points it has does so 100 keys at a time and fails beyond (mlflow PR 20807).
  static constexpr std::size_t most_entries = 1000;
  static constexpr std::size_t most_params = 100;
  static constexpr std::size_t most_tags = 100;
  static constexpr std::size_t most_keys = 100;

  BatchEncoder();

  /// False when the batch is full: take() it and add again.
  [[nodiscard]] bool add_metric(std::string_view key, double value, std::int64_t timestamp, std::int64_t step);
  [[nodiscard]] bool add_param(std::string_view key, std::string_view value);
  [[nodiscard]] bool add_tag(std::string_view key, std::string_view value);

  [[nodiscard]] std::size_t size() const noexcept { return metrics_ + params_ + tags_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// The batch, as encode() would write it; the encoder is empty again.
  [[nodiscard]] std::string take();

 private:
  static constexpr std::size_t slots = 256;  // of the table of keys; a power of two, over twice most_keys

  void reset();

  std::string bytes_;
  std::vector<std::string> keys_;
  std::vector<std::uint8_t> table_;  // 1 + index of a key, by hash; 0 is free
  std::size_t metrics_ = 0;
  std::size_t params_ = 0;
  std::size_t tags_ = 0;
  std::int64_t timestamp_ = 0;
  std::int64_t step_ = 0;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/record.ipp>
#endif

#endif
