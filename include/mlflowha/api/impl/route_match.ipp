#ifndef MLFLOWHA_API_IMPL_ROUTE_MATCH_IPP
#define MLFLOWHA_API_IMPL_ROUTE_MATCH_IPP

// Which route a server finds for a path. Servers decode the whole path before they look for its route, so a slash in a
// value is as good as one between the parts: RequestBuilder asks here whether an address would be another operation's,
// and the fake server finds its routes with it.

#include <mlflowha/config.hpp>

#include <cstddef>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// True for "name+" and "name*": a place that takes slashes, too.
inline bool takes_slashes(std::string_view place) noexcept {
  return !place.empty() && (place.back() == '+' || place.back() == '*');
}
/// The field of a place: without its mark.
inline std::string_view field_of_place(std::string_view place) noexcept {
  if (takes_slashes(place)) place.remove_suffix(1);
  return place;
}

/// True when the route is the decoded path's; `places` then has what stands at its places. As Starlette and Werkzeug do
/// it: "{name}" takes one part of the path, "{name+}" and "{name*}" as many as they can.
inline bool match_route(std::string_view route, std::string_view path, std::vector<std::string_view>& places) {
  const std::size_t open = route.find('{');
  if (open == std::string_view::npos) return route == path;
  const std::size_t close = route.find('}', open);
  if (close == std::string_view::npos || path.substr(0, open) != route.substr(0, open)) return false;
  const bool many = takes_slashes(route.substr(open + 1, close - open - 1));
  const std::string_view rest = route.substr(close + 1);
  path.remove_prefix(open);
  for (std::size_t end = many ? path.size() : path.find('/');; --end) {
    if (end == std::string_view::npos) end = path.size();  // the last part
    if (end == 0) return false;
    if (end == path.size() || path[end] == '/') {
      places.push_back(path.substr(0, end));
      if (match_route(rest, path.substr(end), places)) return true;
      places.pop_back();
    }
    if (!many) return false;
  }
}

/// Parts of a route that are no places. Of two routes with a path in common servers take the one with more of them.
inline std::size_t fixed_parts(std::string_view route) noexcept {
  std::size_t count = 0;
  for (std::size_t slash = route.find('/'); slash != std::string_view::npos; slash = route.find('/', slash + 1)) {
    if (route.substr(slash + 1, 1) != "{") ++count;
  }
  return count;
}

/// True when two routes differ at most in what their places are called.
inline bool same_route(std::string_view one, std::string_view other) noexcept {
  for (;;) {
    const std::size_t open = one.find('{');
    if (open != other.find('{') || one.substr(0, open) != other.substr(0, open)) return false;
    if (open == std::string_view::npos) return true;
    const std::size_t close = one.find('}', open);
    const std::size_t other_close = other.find('}', open);
    if (close == std::string_view::npos || other_close == std::string_view::npos) return false;
    one.remove_prefix(close + 1);
    other.remove_prefix(other_close + 1);
  }
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
