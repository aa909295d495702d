#ifndef MLFLOWHA_API_IMPL_KEPT_MEMBERS_IPP
#define MLFLOWHA_API_IMPL_KEPT_MEMBERS_IPP

// Finds a member among those that JsonReader has kept of an object because the table doesn't know them: the last one of
// a name counts. Few are looked at one by one. Many get an index: an object of hostile size would take time that grows
// with its square, past every deadline.

#include <mlflowha/api/types.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class KeptMembers {
 public:
  /// A new object begins at that depth.
  void forget(std::size_t depth) noexcept {
    if (depth < places_.size()) places_[depth].clear();
  }
  /// The member of that name in `fields`, which hold what was kept of the object at `depth` and nothing else; or null.
  [[nodiscard]] UnknownField* find(std::size_t depth, const std::string& name, UnknownFields& fields) {
    constexpr std::size_t few = 64;
    if (fields.size() < few) {
      for (UnknownField& field : fields) {
        if (field.name == name) return &field;
      }
      return nullptr;
    }
    if (places_.size() <= depth) places_.resize(depth + 1);
    std::map<std::string, std::size_t>& places = places_[depth];
    for (std::size_t i = places.size(); i < fields.size(); ++i) places.emplace(fields[i].name, i);
    const auto found = places.find(name);
    return found == places.end() ? nullptr : &fields[found->second];
  }

 private:
  std::vector<std::map<std::string, std::size_t>> places_;  // by depth
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
