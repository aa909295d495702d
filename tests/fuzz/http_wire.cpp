// Fuzz: the message reader of the fake servers finds the same messages however the bytes are cut up.

#define MLFLOWHA_HEADER_ONLY  // the reader is inside the library; here it is compiled in
#include <mlflowha/testing/impl/http_wire.ipp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using mlflowha::testing::detail::WireReader;

std::string read(std::string_view bytes, WireReader::Kind kind, std::size_t portion) {
  WireReader reader(kind);
  std::string story;
  while (true) {
    const WireReader::State state = reader.advance(bytes.empty());
    if (state == WireReader::State::complete) {
      const auto message = reader.take();
      story += message.method + ' ' + message.target + ' ' + std::to_string(message.status) + ' ' + message.body + '\n';
      for (const auto& header : message.headers) story += header.name + ':' + header.value + '\n';
      continue;
    }
    if (state == WireReader::State::broken) return story + "broken";
    if (bytes.empty()) return story;
    reader.add(bytes.substr(0, portion));
    bytes.remove_prefix(bytes.size() < portion ? bytes.size() : portion);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const auto kind : {WireReader::Kind::request, WireReader::Kind::answer}) {
    const std::string whole = read(bytes, kind, size + 1);
    if (whole != read(bytes, kind, 1) || whole != read(bytes, kind, 7)) std::abort();
  }
  return 0;
}
