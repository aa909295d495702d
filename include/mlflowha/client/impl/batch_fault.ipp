#ifndef MLFLOWHA_CLIENT_IMPL_BATCH_FAULT_IPP
#define MLFLOWHA_CLIENT_IMPL_BATCH_FAULT_IPP

#include <mlflowha/api/impl/runs_requests.ipp>
#include <mlflowha/client/impl/batch_fault.hpp>

#include <fmt/format.h>

#include <map>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

template <class T>
std::string unsendable(std::string_view list, const std::vector<T>& entries, std::string& scratch) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    scratch.clear();
    JsonWriter writer(scratch);
    encode(writer, entries[i]);
    if (writer.failed()) return fmt::format("{}[{}].{}", list, i, writer.fault());
  }
  return {};
}

MLFLOWHA_INLINE std::string batch_fault(const std::vector<Metric>& metrics, const std::vector<Param>& params,
                                        const std::vector<RunTag>& tags) {
  Checker at;
  at.each("metrics", metrics, Rules{});
  at.each("params", params, Rules{});
  at.each("tags", tags, Rules{});
  if (at.failed()) return at.fault();
  std::string scratch;
  std::string fault = unsendable("metrics", metrics, scratch);
  if (fault.empty()) fault = unsendable("params", params, scratch);
  if (fault.empty()) fault = unsendable("tags", tags, scratch);
  std::map<std::string_view, std::size_t> seen;
  for (std::size_t i = 0; i < params.size() && fault.empty(); ++i) {
    const auto [before, is_new] = seen.emplace(params[i].key, i);
    if (is_new) continue;
    fault = fmt::format(
        "params[{}].key is \"{}\"; expected a key that no other param of the batch has, and params[{}] has it", i,
        sanitize(params[i].key, 64), before->second);
  }
  return fault;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
