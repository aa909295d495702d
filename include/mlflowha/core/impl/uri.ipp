#ifndef MLFLOWHA_CORE_IMPL_URI_IPP
#define MLFLOWHA_CORE_IMPL_URI_IPP

#include <mlflowha/core/impl/user_info.hpp>
#include <mlflowha/core/uri.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE bool is_alnum(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
MLFLOWHA_INLINE bool is_hex(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
MLFLOWHA_INLINE bool is_unreserved(char c) noexcept {
  return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}
MLFLOWHA_INLINE std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}
MLFLOWHA_INLINE std::string_view trim(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Words for what is wrong with one address. Where that isn't shown as it is, it may hold a password, and what was
/// taken for a scheme or a port may be a part of it: then no part is repeated.
class AddressFault {
 public:
  AddressFault(std::string_view text, std::string_view shown) : shown_(shown), open_(text == shown) {}

  [[nodiscard]] Error operator()(std::string_view what) const {
    Error error;
    error.code = Errc::invalid_endpoint;
    error.message =
        fmt::format("endpoint \"{}\": {}{}", sanitize(shown_, 200), what,
                    shown_.find('@') == std::string_view::npos
                        ? ""
                        : "; user:password@ is not allowed: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD "
                          "or AuthOptions");
    return error;
  }
  [[nodiscard]] Error operator()(std::string_view part, std::string_view value, std::string_view expected) const {
    if (!open_) return (*this)(fmt::format("expected {} as {}", expected, part));
    return (*this)(fmt::format("{} is \"{}\", expected {}", part, sanitize(value, 40), expected));
  }

 private:
  std::string_view shown_;
  bool open_;
};

/// Host names are letters, digits, '-', '.', '_' (Docker and Kubernetes names have underscores); each label 1..63.
MLFLOWHA_INLINE bool is_host_name(std::string_view host) noexcept {
  if (host.empty() || host.size() > 253) return false;
  if (host.back() == '.') host.remove_suffix(1);
  std::size_t label = 0;
  for (char c : host) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (is_alnum(c) || c == '-' || c == '_') {
      if (++label > 63) return false;
    } else {
      return false;
    }
  }
  return label > 0;
}

/// A cheap shape check; the resolver has the last word.
MLFLOWHA_INLINE bool is_ipv6_literal(std::string_view host) noexcept {
  if (host.size() < 2 || host.size() > 45) return false;
  return std::count(host.begin(), host.end(), ':') >= 2 &&
         std::all_of(host.begin(), host.end(), [](char c) { return is_hex(c) || c == ':' || c == '.'; });
}

MLFLOWHA_INLINE bool is_path_character(char c) noexcept {
  static constexpr std::string_view others = "/!$&'()*+,;=:@%";
  return is_unreserved(c) || others.find(c) != std::string_view::npos;
}

/// `shown` is `text` as errors may show it.
MLFLOWHA_INLINE Result<Uri> parse_address(std::string_view text, std::string_view shown) {
  const AddressFault fail(text, shown);
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7F) return fail("white space, control and non-ASCII characters are not allowed");
  }
  const std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return fail("expected http://HOST[:PORT] or https://HOST[:PORT]");
  Uri uri;
  uri.scheme = to_lower(text.substr(0, scheme_end));
  if (uri.scheme != "http" && uri.scheme != "https") {
    return fail("scheme", uri.scheme, "http or https");
  }
  std::string_view rest = text.substr(scheme_end + 3);
  if (rest.find_first_of("?#") != std::string_view::npos) return fail("a query or fragment is not allowed");
  const std::size_t path_start = rest.find('/');
  std::string_view authority = rest.substr(0, path_start);
  std::string_view path = path_start == std::string_view::npos ? std::string_view{} : rest.substr(path_start);
  if (authority.find('@') != std::string_view::npos) return fail("expected http://HOST[:PORT] or https://HOST[:PORT]");
  std::optional<std::string_view> port;
  if (!authority.empty() && authority.front() == '[') {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return fail("'[' without ']'");
    const std::string_view host = authority.substr(1, close - 1);
    if (!is_ipv6_literal(host)) return fail("the part in brackets is not an IPv6 address");
    uri.host = to_lower(host);
    const std::string_view after = authority.substr(close + 1);
    if (!after.empty()) {
      if (after.front() != ':') return fail("expected ':' and a port after ']'");
      port = after.substr(1);
    }
  } else {
    const std::size_t colon = authority.find(':');
    if (colon != std::string_view::npos) {
      port = authority.substr(colon + 1);
      if (port->find(':') != std::string_view::npos) return fail("an IPv6 address must be in brackets");
    }
    const std::string_view host = authority.substr(0, colon);
    if (host.empty()) return fail("the host is empty");
    if (!is_host_name(host)) {
      return fail("the host must be a name of letters, digits, '-', '.' and '_', or an IP address");
    }
    uri.host = to_lower(host);
  }
  uri.port = uri.scheme == "https" ? 443 : 80;
  if (port) {
    unsigned value = 0;
    const auto [end, status] = std::from_chars(port->data(), port->data() + port->size(), value);
    if (status != std::errc{} || end != port->data() + port->size() || value < 1 || value > 65535) {
      return fail("port", *port, "1..65535");
    }
    uri.port = static_cast<std::uint16_t>(value);
  }
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  if (!std::all_of(path.begin(), path.end(), is_path_character)) {
    return fail("the path prefix has a character that must be percent-encoded");
  }
  uri.prefix = path;
  return uri;
}

}  // namespace detail

MLFLOWHA_INLINE std::string Uri::origin() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
}

MLFLOWHA_INLINE std::string Uri::base() const { return origin() + prefix; }

MLFLOWHA_INLINE Result<Uri> parse_uri(std::string_view text) {
  return detail::parse_address(text, detail::hide_user_info(text));
}

MLFLOWHA_INLINE Result<std::vector<Uri>> parse_endpoint_list(std::string_view text) {
  std::vector<Uri> endpoints;
  std::string faults;
  const auto fault = [&](std::string_view what) {
    if (!faults.empty()) faults += "; ";
    faults += what;
  };
  // A password may have commas: whatever precedes the last '@' of the whole list may be a part of one.
  const std::size_t hidden = text.rfind('@') + 1;  // that many bytes; npos + 1 is 0
  std::string default_scheme;
  std::size_t position = 0;
  for (std::string_view rest = text;;) {
    ++position;
    const std::size_t comma = rest.find(',');
    const std::string_view item = detail::trim(rest.substr(0, comma));
    const std::size_t start = text.size() - rest.size();
    const std::size_t end = start + std::min(comma, rest.size());
    if (item.empty()) {
      fault(fmt::format("item {} is empty", position));
    } else {
      std::string full(item);
      if (item.find("://") == std::string_view::npos && !default_scheme.empty()) full = default_scheme + "://" + full;
      std::string shown = full;
      if (end < hidden) {
        shown = "...";
      } else if (start < hidden) {
        shown = position == 1 ? detail::hide_user_info(full) : "..." + full.substr(full.rfind('@'));
      }
      auto uri = detail::parse_address(full, shown);
      if (!uri) {
        fault(fmt::format("item {}: {}", position, uri.error().message));
      } else {
        if (default_scheme.empty()) default_scheme = uri->scheme;
        if (uri->scheme != default_scheme) {
          fault(fmt::format("item {}: scheme {} differs from the first item's {}", position, uri->scheme,
                            default_scheme));
        } else if (std::find(endpoints.begin(), endpoints.end(), *uri) != endpoints.end()) {
          fault(fmt::format("item {}: {} is listed twice", position, start < hidden ? shown : uri->base()));
        } else {
          endpoints.push_back(std::move(*uri));
        }
      }
    }
    if (comma == std::string_view::npos) break;
    rest = rest.substr(comma + 1);
  }
  if (detail::trim(text).empty()) faults = "the list is empty, expected http://HOST:PORT[,http://HOST:PORT...]";
  if (!faults.empty()) {
    Error error;
    error.code = Errc::invalid_endpoint;
    error.message = "endpoint list: " + faults;
    return error;
  }
  return endpoints;
}

MLFLOWHA_INLINE std::string percent_encode(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (char c : text) {
    if (detail::is_unreserved(c)) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += digits[byte >> 4U];
      encoded += digits[byte & 0xFU];
    }
  }
  return encoded;
}

MLFLOWHA_END_NAMESPACE

#endif
