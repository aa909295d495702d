#include <mlflowha/logging/record.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;

namespace {

Metric point(std::string key, double value, std::int64_t timestamp, std::int64_t step) {
  Metric metric;
  metric.key = std::move(key);
  metric.value = value;
  metric.timestamp = timestamp;
  metric.step = step;
  return metric;
}

std::vector<Record> zoo() {
  constexpr auto low = std::numeric_limits<std::int64_t>::min();
  constexpr auto high = std::numeric_limits<std::int64_t>::max();
  RunValues values;
  values.metrics = {point("loss", 0.1, 1'700'000'000'000, 0), point("acc", -0.0, 1'700'000'000'001, 1),
                    point("loss", std::numeric_limits<double>::infinity(), high, low), point("", 1, low, high)};
  values.params = {{.key = "lr", .value = "3e-4"}, {.key = "empty", .value = ""}};
  values.tags = {{.key = "t", .value = std::string("a\0b", 3)}};
  RunStart start;
  start.experiment_name = "lm";
  start.experiment_request_tag = "e-1";
  start.run_name = "try-7";
  start.user_id = "me";
  start.start_time = 1'700'000'000'000;
  start.tags = values.tags;
  start.request_tag = "r-1";
  DatasetInput input;
  input.dataset.name = "d";
  input.dataset.digest = "abc";
  input.dataset.source_type = "local";
  input.dataset.source = "x";
  input.tags = {{.key = "mlflow.data.context", .value = "training"}};
  return {RunValues{},
          values,
          start,
          RunStart{},
          input,
          RunArtifact{.path = "a/b.pt", .file = "7", .sha256 = std::string(64, 'f'), .size = ~std::uint64_t{0}},
          RunEnd{.status = RunStatus::failed, .end_time = 5},
          Metric{.key = "k",
                 .value = -1.5,
                 .timestamp = 7,
                 .step = -3,
                 .dataset_name = "d",
                 .dataset_digest = "x",
                 .model_id = "m"}};
}

}  // namespace

TEST_CASE("CRC32C is the one of RFC 3720", "[logging][record]") {
  CHECK(crc32c("123456789") == 0xE3069283U);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43U);
  CHECK(crc32c("6789", crc32c("12345")) == 0xE3069283U);
}

TEST_CASE("every record comes back as it was", "[logging][record]") {
  for (const Record& record : zoo()) {
    const std::string bytes = encode(record).value();
    CHECK(decode_record(bytes).value() == record);
  }
}

TEST_CASE("NaN comes back as NaN", "[logging][record]") {
  RunValues values;
  values.metrics = {point("nan", std::numeric_limits<double>::quiet_NaN(), 1, 2)};
  const Record back = decode_record(encode(values).value()).value();
  CHECK(std::isnan(std::get<RunValues>(back).metrics.at(0).value));
}

TEST_CASE("any changed, missing or added byte is found", "[logging][record][hostile]") {
  for (const Record& record : zoo()) {
    const std::string good = encode(record).value();
    for (std::size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x10);
      const auto changed = decode_record(bad);
      REQUIRE_FALSE(changed);
      CHECK(changed.error().code == Errc::storage_corrupt);
      CHECK_FALSE(decode_record(good.substr(0, i)));
    }
    CHECK_FALSE(decode_record(good + '\0'));
  }
}

TEST_CASE("bytes of a later version are refused by name", "[logging][record]") {
  std::string bytes = encode(RunValues{}).value();
  bytes[4] = 2;
  CHECK(decode_record(bytes).error().message.find("version 2; expected 1") != std::string::npos);
}

TEST_CASE("a payload that lies about itself is refused though its checksum is right", "[logging][record][hostile]") {
  const auto seal = [](std::string payload, std::uint8_t kind) {
    std::string bytes = "MLHR";
    bytes += '\x01';
    bytes += static_cast<char>(kind);
    bytes += std::string(2, '\0');
    for (unsigned i = 0; i < 4; ++i) bytes += static_cast<char>(payload.size() >> (8U * i));
    const std::uint32_t crc = crc32c(payload, crc32c(bytes));
    for (unsigned i = 0; i < 4; ++i) bytes += static_cast<char>(crc >> (8U * i));
    return bytes + payload;
  };
  CHECK(decode_record(seal("", 0)));
  CHECK_FALSE(decode_record(seal("", 9)));
  CHECK_FALSE(decode_record(seal("\x07", 0)));                                          // no such entry
  CHECK_FALSE(decode_record(seal("\x01\x05", 0)));                                      // a key that wasn't there
  CHECK_FALSE(decode_record(seal("\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 0)));  // a text of 2^64 bytes
  CHECK_FALSE(decode_record(seal("\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 0)));  // no 64-bit number
  CHECK_FALSE(decode_record(seal("\x02\x01k", 0)));                                     // no value
  CHECK_FALSE(decode_record(seal("\x03{}x", 2)));                                       // no JSON
  std::string many;
  for (int i = 0; i < 101; ++i) many += std::string("\x02\x01k\x01v", 5);
  CHECK_FALSE(decode_record(seal(many, 0)));  // more params than a request takes
}

TEST_CASE("an encoder stops at the limits of one request", "[logging][record]") {
  BatchEncoder encoder;
  for (int i = 0; i < 1000; ++i) REQUIRE(encoder.add_metric("k" + std::to_string(i % 100), i, i, i));
  CHECK_FALSE(encoder.add_metric("k0", 1, 1, 1));
  CHECK_FALSE(encoder.add_tag("t", "v"));
  auto full = std::get<RunValues>(decode_record(encoder.take()).value());
  CHECK(full.metrics.size() == 1000);
  CHECK(full.metrics[999] == point("k99", 999, 999, 999));

  CHECK(encoder.empty());
  for (int i = 0; i < 100; ++i) REQUIRE(encoder.add_metric("k" + std::to_string(i), i, i, i));
  CHECK_FALSE(encoder.add_metric("one more", 1, 1, 1));
  CHECK(encoder.add_metric("k7", 1, 1, 1));
  for (int i = 0; i < 100; ++i) REQUIRE(encoder.add_param("p", "v"));
  CHECK_FALSE(encoder.add_param("p", "v"));
  for (int i = 0; i < 100; ++i) REQUIRE(encoder.add_tag("t", "v"));
  CHECK_FALSE(encoder.add_tag("t", "v"));
  CHECK(encoder.size() == 301);
  CHECK(std::get<RunValues>(decode_record(encoder.take()).value()).size() == 301);
  RunValues over;
  over.params.resize(101);
  CHECK(encode(over).error().code == Errc::invalid_argument);
}

TEST_CASE("a point takes some 13 bytes", "[logging][record]") {
  BatchEncoder encoder;
  for (int i = 0; i < 1000; ++i) REQUIRE(encoder.add_metric("train/loss", 1.0 / i, 1'700'000'000'000 + i, i));
  CHECK(encoder.take().size() < 14'000);
}
