#ifndef MLFLOWHA_LOGGING_IMPL_RUN_BUFFER_IPP
#define MLFLOWHA_LOGGING_IMPL_RUN_BUFFER_IPP

#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/logging/impl/run_buffer.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

struct RunBuffer::Entry {
  double value;
  std::int64_t timestamp;
  std::int64_t step;
  std::size_t key_size;
};

/// Threads take lanes in turn, each for its life.
MLFLOWHA_INLINE std::size_t thread_number() noexcept {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

MLFLOWHA_INLINE RunBuffer::Put RunBuffer::put_metric(std::string_view key, double value, std::int64_t timestamp,
                                                     std::int64_t step) {
  Lane& lane = lanes_[thread_number() % lanes];
  const Entry entry{value, timestamp, step, key.size()};
  const std::size_t size = sizeof entry + key.size();
  const std::lock_guard<std::mutex> lock(lane.mutex);
  if (lane.shut) return Put::shut;
  Bytes& bytes = lane.bytes;
  if (bytes.capacity - bytes.size < size) {
    if (bytes.size + size > lane_bytes_) return Put::full;
    Bytes larger;
    larger.capacity = std::min(std::max({bytes.capacity * 2, size, std::size_t{4096}}), std::max(lane_bytes_, size));
    larger.data = std::unique_ptr<char[]>(new char[larger.capacity]);
    larger.size = bytes.size;
    if (bytes.size != 0) std::memcpy(larger.data.get(), bytes.data.get(), bytes.size);
    bytes = std::move(larger);
  }
  std::memcpy(bytes.data.get() + bytes.size, &entry, sizeof entry);
  std::memcpy(bytes.data.get() + bytes.size + sizeof entry, key.data(), key.size());
  const bool first = bytes.size == 0;
  bytes.size += size;
  return first ? Put::taken_first : Put::taken;
}

MLFLOWHA_INLINE RunBuffer::Put RunBuffer::put(Record record) {
  std::size_t size = 256;
  if (const auto* values = std::get_if<RunValues>(&record)) {
    for (const Param& param : values->params) size += param.key.size() + param.value.size() + 64;
    for (const RunTag& tag : values->tags) size += tag.key.size() + tag.value.size() + 64;
    for (const Metric& metric : values->metrics) size += metric.key.size() + sizeof(Metric);
  } else if (const auto* input = std::get_if<DatasetInput>(&record)) {
    const Dataset& dataset = input->dataset;
    size += dataset.name.size() + dataset.digest.size() + dataset.source_type.size() + dataset.source.size() +
            dataset.schema.size() + dataset.profile.size();
    for (const InputTag& tag : input->tags) size += tag.key.size() + tag.value.size() + 64;
  }
  const std::lock_guard<std::mutex> lock(list_mutex_);
  if (list_shut_) return Put::shut;
  if (list_bytes_ != 0 && list_bytes_ + size > lane_bytes_) return Put::full;
  list_bytes_ += size;
  list_.push_back(std::move(record));
  return list_.size() == 1 ? Put::taken_first : Put::taken;
}

MLFLOWHA_INLINE void RunBuffer::shut() {
  for (Lane& lane : lanes_) {
    const std::lock_guard<std::mutex> lock(lane.mutex);
    lane.shut = true;
  }
  const std::lock_guard<std::mutex> lock(list_mutex_);
  list_shut_ = true;
}

MLFLOWHA_INLINE bool RunBuffer::is_shut() const {
  const std::lock_guard<std::mutex> lock(list_mutex_);
  return list_shut_;
}

MLFLOWHA_INLINE void RunBuffer::close_batch(std::vector<SpoolRow>& rows) {
  keys_.clear();
  if (encoder_.empty()) return;
  const auto entries = static_cast<std::uint32_t>(encoder_.size());
  rows.push_back({run_, RecordKind::values, entries, encoder_.take()});
}

MLFLOWHA_INLINE void RunBuffer::drain(const Bytes& bytes, std::vector<SpoolRow>& rows) {
  for (std::size_t at = 0; at < bytes.size;) {
    Entry entry;
    std::memcpy(&entry, bytes.data.get() + at, sizeof entry);
    const std::string_view key(bytes.data.get() + at + sizeof entry, entry.key_size);
    at += sizeof entry + entry.key_size;
    if (!encoder_.add_metric(key, entry.value, entry.timestamp, entry.step)) {
      close_batch(rows);
      static_cast<void>(encoder_.add_metric(key, entry.value, entry.timestamp, entry.step));
    }
  }
}

MLFLOWHA_INLINE void RunBuffer::collect(std::vector<SpoolRow>& rows) {
  if (taken_) {  // whoever took it out ran out of memory over it
    encoder_ = BatchEncoder();
    keys_.clear();
    make_rows(rows);
  }
  // The list first: a metric that was logged before something in it is then in a lane and goes into the rows before it.
  taken_ = true;
  {
    const std::lock_guard<std::mutex> lock(list_mutex_);
    list_.swap(taken_list_);
    list_bytes_ = 0;
  }
  for (std::size_t i = 0; i < lanes; ++i) {
    const std::lock_guard<std::mutex> lock(lanes_[i].mutex);
    if (lanes_[i].bytes.size != 0) std::swap(lanes_[i].bytes, taken_bytes_[i]);
  }
  make_rows(rows);
}

MLFLOWHA_INLINE void RunBuffer::make_rows(std::vector<SpoolRow>& all) {
  std::vector<SpoolRow> rows;
  for (const Bytes& bytes : taken_bytes_) drain(bytes, rows);
  for (const Record& record : taken_list_) {
    const auto* values = std::get_if<RunValues>(&record);
    if (values == nullptr) {
      close_batch(rows);
      Result<std::string> bytes = encode(record);
      if (bytes) rows.push_back({run_, kind_of(record), 1, std::move(*bytes)});
      continue;
    }
    for (const Metric& metric : values->metrics) {
      while (!encoder_.add_metric(metric.key, metric.value, metric.timestamp, metric.step)) close_batch(rows);
    }
    const auto add = [&](char kind, const std::string& key, const std::string& value) {
      std::string marked = kind + key;
      if (std::find(keys_.begin(), keys_.end(), marked) != keys_.end()) close_batch(rows);
      while (!(kind == 'p' ? encoder_.add_param(key, value) : encoder_.add_tag(key, value))) close_batch(rows);
      keys_.push_back(std::move(marked));
    };
    for (const Param& param : values->params) add('p', param.key, param.value);
    for (const RunTag& tag : values->tags) add('t', tag.key, tag.value);
  }
  close_batch(rows);
  all.reserve(all.size() + rows.size());
  std::move(rows.begin(), rows.end(), std::back_inserter(all));
  for (Bytes& bytes : taken_bytes_) {
    bytes.size = 0;
    // A burst's memory isn't kept for ever.
    if (bytes.capacity > std::size_t{1} << 20) bytes = Bytes();
  }
  taken_list_.clear();
  taken_ = false;
}

MLFLOWHA_INLINE Result<void> check_values(const RunValues& values) {
  LogBatch batch;
  batch.run_id = "r";
  batch.metrics = values.metrics;
  batch.params = values.params;
  batch.tags = values.tags;
  const auto prepared = api::prepare_log_batch(batch, WallTime{});
  if (!prepared) return prepared.error();
  return {};
}

MLFLOWHA_INLINE Result<void> check_metric(std::string_view key, std::int64_t timestamp) {
  bool plain = !key.empty() && key.size() <= 250 && timestamp >= 0;
  char before = '/';
  for (const char c : key) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    // '.' beside '/' and '/' at an end have rules of their own, which the slow way knows.
    plain = plain && (letter || c == '-' || c == ' ' || c == ':' || (c == '/' && before != '/' && before != '.') ||
                      (c == '.' && before != '/' && before != '.'));
    before = c;
  }
  if (plain && before != '/') return {};
  RunValues values;
  Metric& metric = values.metrics.emplace_back();
  metric.key = key;
  metric.timestamp = timestamp;
  return check_values(values);
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
