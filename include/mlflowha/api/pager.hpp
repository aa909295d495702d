#ifndef MLFLOWHA_API_PAGER_HPP
#define MLFLOWHA_API_PAGER_HPP

// Pager: everything that a search finds, fetched a page at a time while it is walked. Every paged call has one, under
// the call's name and `_all`:
//
//   for (Result<Run>& run : client.search_runs_all({.experiment_ids = {"0"}})) {
//     if (!run) return run.error();   // the last turn, when a page could not be had
//     use(*run);
//   }
//   auto names = client.search_experiments_all({}).limit(50).all();   // Result<std::vector<Experiment>>
//
// MLflow's page tokens are offsets into a live list. Rows that appear while it is walked push others to a later page,
// on one server as on many: an entity that has an id is given once, however often it is met. Rows that vanish pull
// others onto a page that has been read: those are missed, and nothing can tell. Sort by what doesn't change where it
// matters.
//
// A server that gives a token again, or page after page without anything new, ends the walk with Errc::bad_response
// (metrics/get-history of some 3.x servers does that).

#include <mlflowha/api/call_options.hpp>
#include <mlflowha/api/types.hpp>
#include <mlflowha/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// The ids and page tokens that a pager has met. About 100 bytes each, kept from the second page on.
class MLFLOWHA_EXPORT SeenTexts {
 public:
  SeenTexts() noexcept;
  ~SeenTexts();
  SeenTexts(SeenTexts&&) noexcept;
  SeenTexts& operator=(SeenTexts&&) noexcept;

  /// False when `text` was there already.
  bool add(std::string text);

 private:
  struct Set;
  std::shared_ptr<Set> set_;  // never shared: one template less for everybody to compile
};

/// Why a walk ends that would never end.
[[nodiscard]] MLFLOWHA_EXPORT Error endless_pages(const char* what);

}  // namespace detail

/// Not thread-safe; walked once. Keeps the client's shared state alive, so it may outlive the Client that made it.
/// CallOptions hold for each page's request.
template <class Calls, class Request, class Item>
class Pager {
 public:
  using Call = Result<Page<Item>> (Calls::*)(const Request&, const CallOptions&) const;

  Pager(std::shared_ptr<const Calls> calls, Call call, Request request, CallOptions options = {})
      : calls_(std::move(calls)), call_(call), request_(std::move(request)), options_(std::move(options)) {}
  /// `calls` must outlive the pager.
  Pager(const Calls& calls, Call call, Request request, CallOptions options = {})
      : Pager(std::shared_ptr<const Calls>(std::shared_ptr<void>(), &calls), call, std::move(request),
              std::move(options)) {}

  /// Ends after `most` entries. Asks for no more a page than that, where the request says how many it wants.
  [[nodiscard]] Pager limit(std::size_t most) && {
    left_ = most;
    if (most == 0) {
      ended_ = true;
    } else if constexpr (requires(Request& r) { *r.max_results < 0; }) {
      if (request_.max_results && most < static_cast<std::uint64_t>(*request_.max_results))
        shrink(*request_.max_results);
    } else if constexpr (requires(Request& r) { r.max_results < 0; }) {
      if (request_.max_results > 0 && most < static_cast<std::uint64_t>(request_.max_results))
        shrink(request_.max_results);
    }
    return std::move(*this);
  }

  /// An input iterator over Result<Item>. After an entry that is an error comes the end.
  class iterator {  // NOLINT(readability-identifier-naming): as in the standard library
   public:
    using iterator_concept = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = Result<Item>;

    iterator() = default;
    [[nodiscard]] Result<Item>& operator*() const { return *pager_->current_; }
    [[nodiscard]] Result<Item>* operator->() const { return &*pager_->current_; }
    iterator& operator++() {
      pager_->step();
      return *this;
    }
    void operator++(int) { pager_->step(); }
    friend bool operator==(const iterator& it, std::default_sentinel_t) { return it.ended(); }

   private:
    friend class Pager;
    [[nodiscard]] bool ended() const { return !pager_->current_; }
    explicit iterator(Pager* pager) : pager_(pager) {}
    Pager* pager_ = nullptr;
  };

  /// Fetches the first page. Call it once.
  [[nodiscard]] iterator begin() {
    step();
    return iterator(this);
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  /// The rest of all pages in one list, or the first error. Everything is in memory at the same time.
  [[nodiscard]] Result<std::vector<Item>> all() {
    std::vector<Item> list;
    while (next()) {
      if (list.empty()) {
        list.swap(items_);
      } else {
        list.insert(list.end(), std::make_move_iterator(items_.begin()), std::make_move_iterator(items_.end()));
      }
    }
    if (error_) return *error_;
    return list;
  }

  // --- page by page: for who handles many entries at once; use these or the range, not both ------------------------

  /// Fetches the next page that has entries. False at the end and on an error.
  bool next() {
    items_.clear();
    at_ = 0;
    while (items_.empty() && !ended_) fetch();
    return !items_.empty();
  }
  /// What next() fetched. May be moved from.
  [[nodiscard]] std::vector<Item>& items() noexcept { return items_; }
  /// Why the pages ended before their end; nothing after the last page.
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 private:
  /// Pages in a row without anything new that are still believed: some services filter a page after it was cut.
  static constexpr int most_stale_pages = 100;

  template <class N>
  void shrink(N& max_results) const {
    max_results = static_cast<N>(left_);
  }

  void step() {
    if (at_ == items_.size() && !next()) {
      current_.reset();
      if (error_ && !std::exchange(error_given_, true)) current_.emplace(*error_);
      return;
    }
    current_.emplace(std::move(items_[at_++]));
  }

  void fetch() {
    Result<Page<Item>> page = ((*calls_).*call_)(request_, options_);
    if (!page) return fail(std::move(page).error());
    std::string& token = page->next_page_token;
    keep_new(std::move(page->items), token.empty() && !later_page_);
    later_page_ = true;
    if (items_.size() >= left_) {
      items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(left_), items_.end());
      ended_ = true;
    }
    left_ -= items_.size();
    stale_pages_ = items_.empty() ? stale_pages_ + 1 : 0;
    if (ended_) return;
    if (token.empty()) {
      ended_ = true;
    } else if (token == request_.page_token || !tokens_.add(token)) {
      fail(detail::endless_pages("the server gave the same page token again"));
    } else if (stale_pages_ > most_stale_pages) {
      fail(detail::endless_pages("the server gave 101 pages in a row without anything new"));
    } else {
      request_.page_token = std::move(token);
    }
  }

  void keep_new(std::vector<Item>&& items, bool only_page) {
    if constexpr (Identity<Item>::known) {
      if (!only_page) {
        for (Item& item : items) {
          std::string id = Identity<Item>::of(item);
          if (id.empty() || ids_.add(std::move(id))) items_.push_back(std::move(item));
        }
        return;
      }
    }
    items_ = std::move(items);
  }

  void fail(Error error) {
    error_ = std::move(error);
    ended_ = true;
  }

  std::shared_ptr<const Calls> calls_;
  Call call_;
  Request request_;
  CallOptions options_;
  std::size_t left_ = SIZE_MAX;
  std::vector<Item> items_;
  std::size_t at_ = 0;
  std::optional<Result<Item>> current_;
  std::optional<Error> error_;
  detail::SeenTexts ids_;
  detail::SeenTexts tokens_;
  int stale_pages_ = 0;
  bool later_page_ = false;
  bool ended_ = false;
  bool error_given_ = false;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/api/impl/pager.ipp>
#endif

#endif
