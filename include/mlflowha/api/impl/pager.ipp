#ifndef MLFLOWHA_API_IMPL_PAGER_IPP
#define MLFLOWHA_API_IMPL_PAGER_IPP

#include <mlflowha/api/pager.hpp>

#include <memory>
#include <string>
#include <unordered_set>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

struct SeenTexts::Set {
  std::unordered_set<std::string> texts;
};

MLFLOWHA_INLINE SeenTexts::SeenTexts() noexcept = default;
MLFLOWHA_INLINE SeenTexts::~SeenTexts() = default;
MLFLOWHA_INLINE SeenTexts::SeenTexts(SeenTexts&&) noexcept = default;
MLFLOWHA_INLINE SeenTexts& SeenTexts::operator=(SeenTexts&&) noexcept = default;

MLFLOWHA_INLINE bool SeenTexts::add(std::string text) {
  if (!set_) set_ = std::make_shared<Set>();
  return set_->texts.insert(std::move(text)).second;
}

MLFLOWHA_INLINE Error endless_pages(const char* what) {
  Error error;
  error.code = Errc::bad_response;
  error.message = std::string(what) + "; the pages after this one can't be read";
  return error;
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
