#ifndef MLFLOWHA_API_IMPL_OPERATION_IPP
#define MLFLOWHA_API_IMPL_OPERATION_IPP

#include <mlflowha/api/operation.hpp>

#include <array>
#include <charconv>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE Result<ServerVersion> parse_server_version(std::string_view text) {
  std::array<int, 3> numbers{};
  const char* at = text.data();
  const char* const end = at + text.size();
  std::size_t count = 0;
  for (; count < numbers.size(); ++count) {
    if (at == end || *at < '0' || *at > '9') break;
    const auto [after, error] = std::from_chars(at, end, numbers[count]);
    if (error != std::errc()) {
      count = 0;
      break;
    }
    at = after;
    if (at == end || *at != '.') {
      ++count;
      break;
    }
    ++at;
  }
  if (count < 2 || text.size() > 64) {
    Error error;
    error.code = Errc::bad_response;
    error.message = "the server's version is \"" + sanitize(text, 64) + "\"; expected something like \"3.17.2\"";
    return error;
  }
  return ServerVersion{numbers[0], numbers[1], numbers[2]};
}

MLFLOWHA_INLINE std::string to_string(const ServerVersion& version) {
  return std::to_string(version.major) + '.' + std::to_string(version.minor) + '.' + std::to_string(version.patch);
}

MLFLOWHA_END_NAMESPACE

#endif
