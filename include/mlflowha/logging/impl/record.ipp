#ifndef MLFLOWHA_LOGGING_IMPL_RECORD_IPP
#define MLFLOWHA_LOGGING_IMPL_RECORD_IPP

#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/logging/record.hpp>

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

// The bytes of a record, little-endian:
//
//   "MLHR"  u8 version  u8 kind  u16 0  u32 length of the payload  u32 CRC32C of all but this field
//   payload of values: entries until its end, each
//     u8 1 metric: varint key (0: a new one, its text follows; n: the n-th), f64 value, zigzag varints: timestamp and
//                  step as the difference from the metric before
//     u8 2 param, u8 3 tag: text key, text value
//   other payloads: fields in the order of the struct; text is a varint length and bytes, lists are a varint count
MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

inline constexpr std::string_view record_magic = "MLHR";
inline constexpr std::uint8_t record_version = 1;
inline constexpr std::size_t record_header = 16;
inline constexpr std::uint8_t entry_metric = 1;
inline constexpr std::uint8_t entry_param = 2;
inline constexpr std::uint8_t entry_tag = 3;

/// Slicing-by-4 tables of the reflected polynomial 0x82F63B78 (RFC 3720, appendix B.4).
struct Crc32cTables {
  std::array<std::array<std::uint32_t, 256>, 4> at{};
  constexpr Crc32cTables() {
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
      at[0][i] = crc;
    }
    for (std::uint32_t i = 0; i < 256; ++i) {
      for (std::size_t t = 1; t < 4; ++t) at[t][i] = (at[t - 1][i] >> 8U) ^ at[0][at[t - 1][i] & 0xFFU];
    }
  }
};
inline constexpr Crc32cTables crc32c_tables{};

inline void put_fixed(std::string& out, std::uint64_t value, std::size_t bytes) {
  char text[8];
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(value >> (8U * i));
  out.append(text, bytes);
}
inline void put_varint(std::string& out, std::uint64_t value) {
  char text[10];
  std::size_t length = 0;
  for (; value >= 0x80; value >>= 7U) text[length++] = static_cast<char>(value | 0x80U);
  text[length++] = static_cast<char>(value);
  out.append(text, length);
}
/// Differences wrap around: no pair of numbers is too far apart.
inline void put_difference(std::string& out, std::int64_t value, std::int64_t before) {
  const auto difference =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(before));
  put_varint(out, (static_cast<std::uint64_t>(difference) << 1U) ^ static_cast<std::uint64_t>(difference >> 63));
}
inline void put_text(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out.append(text);
}

MLFLOWHA_INLINE Error corrupt(std::string message) {
  Error error;
  error.code = Errc::storage_corrupt;
  error.message = std::move(message);
  return error;
}

/// Fills in the header of a record that was begun with record_header bytes of room.
MLFLOWHA_INLINE void seal_record(std::string& bytes, RecordKind kind) {
  std::string header(record_magic);
  put_fixed(header, record_version, 1);
  put_fixed(header, static_cast<std::uint8_t>(kind), 1);
  put_fixed(header, 0, 2);
  put_fixed(header, bytes.size() - record_header, 4);
  const std::uint32_t crc = crc32c(std::string_view(bytes).substr(record_header), crc32c(header));
  put_fixed(header, crc, 4);
  bytes.replace(0, record_header, header);
}

/// Reads the payload of a record; after the first fault everything reads as empty.
class RecordReader {
 public:
  explicit RecordReader(std::string_view bytes) noexcept : bytes_(bytes) {}
  [[nodiscard]] bool at_end() const noexcept { return at_ == bytes_.size() || bad_; }
  [[nodiscard]] bool bad() const noexcept { return bad_; }
  [[nodiscard]] std::size_t position() const noexcept { return at_; }
  void fail() noexcept { bad_ = true; }

  std::uint64_t fixed(std::size_t size) noexcept {
    if (bad_ || bytes_.size() - at_ < size) return fail(), 0;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes_[at_ + i])) << (8U * i);
    }
    at_ += size;
    return value;
  }
  std::uint64_t varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t byte = fixed(1);
      if (shift == 63 && byte > 1) return fail(), 0;
      value |= (byte & 0x7FU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    return fail(), 0;
  }
  std::int64_t difference(std::int64_t before) noexcept {
    const std::uint64_t zigzag = varint();
    const std::uint64_t value = (zigzag >> 1U) ^ (~(zigzag & 1U) + 1U);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(before) + value);
  }
  std::string_view text() noexcept {
    const std::uint64_t size = varint();
    if (bad_ || bytes_.size() - at_ < size) return fail(), std::string_view();
    const std::string_view value = bytes_.substr(at_, size);
    at_ += size;
    return value;
  }
  std::int64_t number() noexcept { return static_cast<std::int64_t>(fixed(8)); }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
  bool bad_ = false;
};

MLFLOWHA_INLINE RunValues read_values(RecordReader& in) {
  RunValues values;
  std::vector<std::string_view> keys;
  std::int64_t timestamp = 0;
  std::int64_t step = 0;
  while (!in.at_end()) {
    const std::uint64_t type = in.fixed(1);
    if (values.size() == BatchEncoder::most_entries) in.fail();
    if (type == entry_metric) {
      const std::uint64_t index = in.varint();
      if (index > keys.size()) in.fail();
      if (index == 0) keys.push_back(in.text());
      if (keys.size() > BatchEncoder::most_keys) in.fail();
      Metric metric;
      if (!in.bad()) metric.key = index == 0 ? keys.back() : keys[index - 1];
      metric.value = std::bit_cast<double>(in.fixed(8));
      metric.timestamp = timestamp = in.difference(timestamp);
      metric.step = step = in.difference(step);
      if (!in.bad()) values.metrics.push_back(std::move(metric));
    } else if (type == entry_param || type == entry_tag) {
      const std::string_view key = in.text();
      const std::string_view value = in.text();
      if (in.bad()) break;
      if (type == entry_param) {
        Param& param = values.params.emplace_back();
        param.key = key;
        param.value = value;
      } else {
        RunTag& tag = values.tags.emplace_back();
        tag.key = key;
        tag.value = value;
      }
    } else {
      in.fail();
    }
  }
  if (values.params.size() > BatchEncoder::most_params || values.tags.size() > BatchEncoder::most_tags) in.fail();
  return values;
}

MLFLOWHA_INLINE RunStart read_start(RecordReader& in) {
  RunStart start;
  start.experiment_id = in.text();
  start.experiment_name = in.text();
  start.experiment_request_tag = in.text();
  start.run_name = in.text();
  start.user_id = in.text();
  start.start_time = in.number();
  const std::uint64_t tags = in.varint();
  for (std::uint64_t i = 0; i < tags && !in.bad(); ++i) {
    RunTag& tag = start.tags.emplace_back();
    tag.key = in.text();
    tag.value = in.text();
  }
  start.request_tag = in.text();
  return start;
}

}  // namespace detail

MLFLOWHA_INLINE std::string_view to_string(RecordKind kind) noexcept {
  switch (kind) {
    case RecordKind::values:
      return "values";
    case RecordKind::start:
      return "start";
    case RecordKind::input:
      return "input";
    case RecordKind::artifact:
      return "artifact";
    case RecordKind::end:
      return "end";
    case RecordKind::metric:
      return "metric";
  }
  return "unknown";
}

MLFLOWHA_INLINE std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed) noexcept {
  const auto& table = detail::crc32c_tables.at;
  std::uint32_t crc = ~seed;
  const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= 4; left -= 4, p += 4) {
    crc ^= static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8U |
           static_cast<std::uint32_t>(p[2]) << 16U | static_cast<std::uint32_t>(p[3]) << 24U;
    crc = table[3][crc & 0xFFU] ^ table[2][(crc >> 8U) & 0xFFU] ^ table[1][(crc >> 16U) & 0xFFU] ^ table[0][crc >> 24U];
  }
  for (; left > 0; --left, ++p) crc = (crc >> 8U) ^ table[0][(crc ^ *p) & 0xFFU];
  return ~crc;
}

// --- BatchEncoder ---------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE BatchEncoder::BatchEncoder() { reset(); }

MLFLOWHA_INLINE void BatchEncoder::reset() {
  bytes_.assign(detail::record_header, '\0');
  keys_.clear();
  table_.assign(slots, 0);
  metrics_ = params_ = tags_ = 0;
  timestamp_ = step_ = 0;
}

MLFLOWHA_INLINE bool BatchEncoder::add_metric(std::string_view key, double value, std::int64_t timestamp,
                                              std::int64_t step) {
  if (size() == most_entries) return false;
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  std::size_t slot = (hash ^ hash >> 16U) % slots;
  while (table_[slot] != 0 && keys_[table_[slot] - 1U] != key) slot = (slot + 1) % slots;
  const bool fresh = table_[slot] == 0;
  if (fresh && keys_.size() == most_keys) return false;
  bytes_.push_back(static_cast<char>(detail::entry_metric));
  if (fresh) {
    keys_.emplace_back(key);
    table_[slot] = static_cast<std::uint8_t>(keys_.size());
    bytes_.push_back('\0');
    detail::put_text(bytes_, key);
  } else {
    detail::put_varint(bytes_, table_[slot]);
  }
  detail::put_fixed(bytes_, std::bit_cast<std::uint64_t>(value), 8);
  detail::put_difference(bytes_, timestamp, timestamp_);
  detail::put_difference(bytes_, step, step_);
  timestamp_ = timestamp;
  step_ = step;
  ++metrics_;
  return true;
}

MLFLOWHA_INLINE bool BatchEncoder::add_param(std::string_view key, std::string_view value) {
  if (size() == most_entries || params_ == most_params) return false;
  bytes_.push_back(static_cast<char>(detail::entry_param));
  detail::put_text(bytes_, key);
  detail::put_text(bytes_, value);
  ++params_;
  return true;
}

MLFLOWHA_INLINE bool BatchEncoder::add_tag(std::string_view key, std::string_view value) {
  if (size() == most_entries || tags_ == most_tags) return false;
  bytes_.push_back(static_cast<char>(detail::entry_tag));
  detail::put_text(bytes_, key);
  detail::put_text(bytes_, value);
  ++tags_;
  return true;
}

MLFLOWHA_INLINE std::string BatchEncoder::take() {
  detail::seal_record(bytes_, RecordKind::values);
  std::string taken = std::move(bytes_);
  reset();
  return taken;
}

// --- whole records --------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE Result<std::string> encode(const Record& record) {
  if (const auto* values = std::get_if<RunValues>(&record)) {
    BatchEncoder encoder;
    bool fits = true;
    for (const Metric& m : values->metrics) fits = fits && encoder.add_metric(m.key, m.value, m.timestamp, m.step);
    for (const Param& p : values->params) fits = fits && encoder.add_param(p.key, p.value);
    for (const RunTag& t : values->tags) fits = fits && encoder.add_tag(t.key, t.value);
    if (!fits) {
      return invalid_argument(
          fmt::format("a batch has {} metrics, {} params and {} tags; expected at most {} entries, {} params, {} tags "
                      "and {} metric keys",
                      values->metrics.size(), values->params.size(), values->tags.size(), BatchEncoder::most_entries,
                      BatchEncoder::most_params, BatchEncoder::most_tags, BatchEncoder::most_keys));
    }
    return encoder.take();
  }
  std::string bytes(detail::record_header, '\0');
  if (const auto* start = std::get_if<RunStart>(&record)) {
    detail::put_text(bytes, start->experiment_id);
    detail::put_text(bytes, start->experiment_name);
    detail::put_text(bytes, start->experiment_request_tag);
    detail::put_text(bytes, start->run_name);
    detail::put_text(bytes, start->user_id);
    detail::put_fixed(bytes, static_cast<std::uint64_t>(start->start_time), 8);
    detail::put_varint(bytes, start->tags.size());
    for (const RunTag& tag : start->tags) {
      detail::put_text(bytes, tag.key);
      detail::put_text(bytes, tag.value);
    }
    detail::put_text(bytes, start->request_tag);
  } else if (const auto* input = std::get_if<DatasetInput>(&record)) {
    auto json = api::to_json(*input);
    if (!json) return std::move(json).error();
    detail::put_text(bytes, *json);
  } else if (const auto* artifact = std::get_if<RunArtifact>(&record)) {
    detail::put_text(bytes, artifact->path);
    detail::put_text(bytes, artifact->file);
    detail::put_text(bytes, artifact->sha256);
    detail::put_fixed(bytes, artifact->size, 8);
  } else if (const auto* end = std::get_if<RunEnd>(&record)) {
    detail::put_text(bytes, end->status.name());
    detail::put_fixed(bytes, static_cast<std::uint64_t>(end->end_time), 8);
  } else if (const auto* metric = std::get_if<Metric>(&record)) {
    detail::put_text(bytes, metric->key);
    detail::put_fixed(bytes, std::bit_cast<std::uint64_t>(metric->value), 8);
    detail::put_fixed(bytes, static_cast<std::uint64_t>(metric->timestamp), 8);
    detail::put_fixed(bytes, static_cast<std::uint64_t>(metric->step), 8);
    detail::put_text(bytes, metric->dataset_name);
    detail::put_text(bytes, metric->dataset_digest);
    detail::put_text(bytes, metric->model_id);
  }
  if (bytes.size() - detail::record_header > std::numeric_limits<std::uint32_t>::max()) {
    return invalid_argument("a record of more than 4 GiB can't be written");
  }
  detail::seal_record(bytes, kind_of(record));
  return bytes;
}

MLFLOWHA_INLINE Result<Record> decode_record(std::string_view bytes) {
  using detail::corrupt;
  if (bytes.size() < detail::record_header || bytes.substr(0, 4) != detail::record_magic) {
    return corrupt(fmt::format("{} bytes that don't start as a record", bytes.size()));
  }
  detail::RecordReader header(bytes.substr(0, detail::record_header));
  header.fixed(4);
  const std::uint64_t version = header.fixed(1);
  const std::uint64_t kind = header.fixed(1);
  const std::uint64_t zero = header.fixed(2);
  const std::uint64_t length = header.fixed(4);
  const std::uint64_t crc = header.fixed(4);
  const std::string_view payload = bytes.substr(detail::record_header);
  if (version != detail::record_version) {
    return corrupt(fmt::format("record version {}; expected {}", version, detail::record_version));
  }
  if (length != payload.size()) {
    return corrupt(fmt::format("a record of {} bytes in {} bytes", length, payload.size()));
  }
  if (crc32c(payload, crc32c(bytes.substr(0, detail::record_header - 4))) != crc) {
    return corrupt("the checksum of a record is wrong");
  }
  detail::RecordReader in(payload);
  Record record;
  if (zero != 0) in.fail();
  switch (kind) {
    case 0:
      record = detail::read_values(in);
      break;
    case 1:
      record = detail::read_start(in);
      break;
    case 2: {
      auto input = api::from_json<DatasetInput>(in.text());
      if (!input) return corrupt("dataset input: " + input.error().message);
      record = std::move(*input);
      break;
    }
    case 3: {
      RunArtifact artifact;
      artifact.path = in.text();
      artifact.file = in.text();
      artifact.sha256 = in.text();
      artifact.size = in.fixed(8);
      record = std::move(artifact);
      break;
    }
    case 4: {
      RunEnd end;
      end.status = RunStatus::from_name(in.text());
      end.end_time = in.number();
      record = std::move(end);
      break;
    }
    case 5: {
      Metric metric;
      metric.key = in.text();
      metric.value = std::bit_cast<double>(in.fixed(8));
      metric.timestamp = in.number();
      metric.step = in.number();
      metric.dataset_name = in.text();
      metric.dataset_digest = in.text();
      metric.model_id = in.text();
      record = std::move(metric);
      break;
    }
    default:
      return corrupt(fmt::format("a record of kind {}; expected 0 to 5", kind));
  }
  if (in.bad() || !in.at_end()) {
    return corrupt(
        fmt::format("a record of kind {} can't be read at byte {} of {}", kind, in.position(), payload.size()));
  }
  return record;
}

MLFLOWHA_END_NAMESPACE

#endif
