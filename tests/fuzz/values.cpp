// Fuzz: times as servers write them, and addresses that an error is to show without their passwords. What was read must
// be the same after it was written and read again.

#include <mlflowha/api/proto_time.hpp>
#include <mlflowha/core/impl/user_info.hpp>
#include <mlflowha/core/uri.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto time = mlflowha::parse_timestamp(text)) {
    const auto again = mlflowha::parse_timestamp(mlflowha::format_timestamp(*time));
    if (!again) std::abort();
    // An offset may lead out of the years that can be written; then it is the nearest.
    if (mlflowha::format_timestamp(*again) != mlflowha::format_timestamp(*time)) std::abort();
  } else if (time.error().code != mlflowha::Errc::bad_response) {
    std::abort();
  }
  if (const auto duration = mlflowha::parse_duration(text)) {
    const auto again = mlflowha::parse_duration(mlflowha::format_duration(*duration));
    if (!again || *again != *duration) std::abort();
  } else if (duration.error().code != mlflowha::Errc::bad_response) {
    std::abort();
  }
  const std::string shown = mlflowha::detail::hide_user_info(text);
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    // Of all before the last '@' only the scheme is shown, if there is one.
    const std::string rest = "..." + std::string(text.substr(at));
    if (!shown.ends_with(rest)) std::abort();
    const std::string_view scheme = std::string_view(shown).substr(0, shown.size() - rest.size());
    const bool is_scheme = text.starts_with(scheme) && scheme.find("://") == scheme.size() - 3;
    if (!scheme.empty() && !is_scheme) std::abort();
  }
  if (const auto uri = mlflowha::parse_uri(text); !uri && uri.error().message.empty()) std::abort();
  return 0;
}
