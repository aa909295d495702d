#ifndef MLFLOWHA_CLIENT_PAGER_HPP
#define MLFLOWHA_CLIENT_PAGER_HPP

// Pager: all pages of a search, one request a page. Works with every call that takes a request with a page_token and
// answers with a Page:
//
//   for (Pager pages(client, &api::Calls::search_runs, request); pages.next();) {
//     for (const Run& run : pages.items()) use(run);
//   }                                        // pages.error() tells the end from a failure; or: pages.all().value()
//
// Page tokens are offsets into a live list: rows that appear or vanish between two pages shift the rest, on one server
// as on many. Who must not see a row twice compares ids.

#include <mlflowha/api/call_options.hpp>
#include <mlflowha/api/types.hpp>
#include <mlflowha/core/result.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// Not thread-safe. The client must outlive it.
template <class Client, class Request, class Item>
class Pager {
 public:
  using Call = Result<Page<Item>> (Client::*)(const Request&, const CallOptions&) const;

  Pager(const Client& client, Call call, Request request, CallOptions options = {})
      : client_(client), call_(call), request_(std::move(request)), options_(std::move(options)) {}

  /// Fetches the next page. False at the end and on an error.
  bool next() {
    if (ended_) return false;
    Result<Page<Item>> page = (client_.*call_)(request_, options_);
    if (!page) {
      error_ = std::move(page).error();
      ended_ = true;
      items_.clear();
      return false;
    }
    items_ = std::move(page->items);
    if (page->next_page_token.empty()) {
      ended_ = true;
    } else if (page->next_page_token == request_.page_token) {
      // Seen on servers of 2025 and 2026 (metrics/get-history): a token that never advances.
      Error error;
      error.code = Errc::bad_response;
      error.message = "the server gave the same page token again; the pages after this one can't be read";
      error_ = std::move(error);
      ended_ = true;
    } else {
      request_.page_token = std::move(page->next_page_token);
    }
    return true;
  }
  /// The page that next() fetched.
  [[nodiscard]] std::vector<Item>& items() noexcept { return items_; }
  /// Why the pages ended before their end; nothing after the last page.
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

  /// The rest of all pages in one list.
  [[nodiscard]] Result<std::vector<Item>> all() {
    std::vector<Item> list;
    while (next()) {
      for (Item& item : items_) list.push_back(std::move(item));
    }
    if (error_) return *error_;
    return list;
  }

 private:
  const Client& client_;
  Call call_;
  Request request_;
  CallOptions options_;
  std::vector<Item> items_;
  std::optional<Error> error_;
  bool ended_ = false;
};

MLFLOWHA_END_NAMESPACE

#endif
