// Fuzz: an answer to search_runs. What is accepted can be sent again and then reads the same.

#include <mlflowha/api/runs_codec.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto page = mlflowha::api::decode_search_runs({reinterpret_cast<const char*>(data), size});
  if (!page) {
    if (page.error().code != mlflowha::Errc::bad_response) std::abort();
    return 0;
  }
  for (const mlflowha::Run& run : page->items) {
    const auto text = mlflowha::api::to_json(run);
    if (!text) std::abort();
    const auto again = mlflowha::api::from_json<mlflowha::Run>(*text);
    if (!again) std::abort();
    const auto same = mlflowha::api::to_json(*again);
    if (!same || *same != *text) std::abort();
  }
  return 0;
}
