#ifndef MLFLOWHA_API_IMPL_ANSWER_IPP
#define MLFLOWHA_API_IMPL_ANSWER_IPP

// From the bytes of a 2xx answer to the value of a typed call. MLflow leaves out defaults and empty lists, and answers
// "OK" or nothing where it has nothing to say; an answer that lacks the one object it is about is a broken one.

#include <mlflowha/api/impl/json_reader.ipp>
#include <mlflowha/api/operation.hpp>
#include <mlflowha/api/types.hpp>

#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

[[nodiscard]] inline Error bad_response(std::string_view what, const std::string& fault) {
  Error error;
  error.code = Errc::bad_response;
  error.message = std::string(what) + ": " + fault;
  return error;
}

/// Runs a decoder over foreign bytes. Memory running out is an Error like any other.
template <class T, class Decoder>
[[nodiscard]] Result<T> read_all(std::string_view what, std::string_view json, const Decoder& decoder) {
#if defined(__cpp_exceptions)
  try {
#endif
    JsonReader reader(json);
    T value{};
    decoder(reader, value);
    reader.end();
    if (reader.failed()) return bad_response(what, reader.fault());
    return value;
#if defined(__cpp_exceptions)
  } catch (const std::bad_alloc&) {
    Error error;
    error.code = Errc::bad_response;
    error.message = "out of memory";
    return error;
  }
#endif
}

[[nodiscard]] inline std::string_view object_of(std::string_view body) noexcept {
  while (!body.empty() && (body.back() == '\n' || body.back() == '\r' || body.back() == ' ')) body.remove_suffix(1);
  return body.empty() || body == "OK" ? std::string_view("{}") : body;
}

/// The answer as a whole.
template <class T>
[[nodiscard]] Result<T> read_message(std::string_view what, std::string_view body) {
  return read_all<T>(what, object_of(body), [](JsonReader& in, T& value) { decode(in, value); });
}

/// The answer's one member `name`. Objects and text must be there; a number that isn't is 0.
template <class T>
[[nodiscard]] Result<T> read_member(std::string_view what, std::string_view body, std::string_view name) {
  bool found = !std::is_class_v<T>;
  auto value = read_all<T>(what, object_of(body), [name, &found](JsonReader& in, T& out) {
    if (!in.begin_object()) return;
    for (std::string_view key; in.next_member(key);) {
      if (key == name && !in.null()) {
        in.read(out);
        found = true;
      } else {
        in.skip();
      }
    }
  });
  if (value && !found) return bad_response(what, "expected a member \"" + std::string(name) + "\" in the answer");
  return value;
}

/// The answer's one list `name`; absent is empty.
template <class T>
[[nodiscard]] Result<std::vector<T>> read_list(std::string_view what, std::string_view body, std::string_view name) {
  return read_all<std::vector<T>>(what, object_of(body), [name](JsonReader& in, std::vector<T>& out) {
    if (!in.begin_object()) return;
    for (std::string_view key; in.next_member(key);) key == name ? in.read(out) : in.skip();
  });
}

/// The answer's list `name` with the token of the next page.
template <class T>
[[nodiscard]] Result<Page<T>> read_page(std::string_view what, std::string_view body, std::string_view name) {
  return read_all<Page<T>>(what, object_of(body), [name](JsonReader& in, Page<T>& page) {
    if (!in.begin_object()) return;
    for (std::string_view key; in.next_member(key);) {
      if (key == name) {
        in.read(page.items);
      } else if (key == "next_page_token") {
        in.read(page.next_page_token);
      } else {
        in.keep(key, page.unknown_fields);
      }
    }
  });
}

/// The same where the list is JSON in a text; no text and an empty one are an empty list.
template <class T>
[[nodiscard]] Result<Page<T>> read_page_in_text(std::string_view what, std::string_view body, std::string_view name) {
  std::string list;
  auto page = read_all<Page<T>>(what, object_of(body), [name, &list](JsonReader& in, Page<T>& out) {
    if (!in.begin_object()) return;
    for (std::string_view key; in.next_member(key);) {
      if (key == name) {
        in.read(list);
      } else if (key == "next_page_token") {
        in.read(out.next_page_token);
      } else {
        in.keep(key, out.unknown_fields);
      }
    }
  });
  if (!page || list.empty()) return page;
  auto items = read_all<std::vector<T>>(std::string(what) + ": " + std::string(name), list,
                                        [](JsonReader& in, std::vector<T>& out) { in.read(out); });
  if (!items) return std::move(items).error();
  page->items = *std::move(items);
  return page;
}

/// An answer without content: any JSON object, "OK" or nothing.
[[nodiscard]] inline Result<void> read_nothing(std::string_view what, std::string_view body) {
  body = object_of(body);
  if (body == "{}") return {};  // what MLflow says nearly always
  struct Nothing {};
  auto read = read_all<Nothing>(what, body, [](JsonReader& in, Nothing&) {
    if (!in.begin_object()) return;
    for (std::string_view key; in.next_member(key);) in.skip();
  });
  if (!read) return std::move(read).error();
  return {};
}

/// A short plain text, without the line end. Anything with a control character or over 256 bytes is no such answer.
[[nodiscard]] inline Result<std::string> read_text(std::string_view what, std::string_view body) {
  while (!body.empty() && (body.back() == '\n' || body.back() == '\r')) body.remove_suffix(1);
  bool plain = !body.empty() && body.size() <= 256;
  for (const char c : body) plain = plain && c >= 0x20 && c < 0x7F && c != '<';
  if (!plain) return bad_response(what, "expected a short plain text, found \"" + sanitize(body, 64) + '"');
  return std::string(body);
}

/// The Error of a 2xx answer that can't be read: what a write asked for has been done.
[[nodiscard]] inline Error unreadable(const api::Operation& operation, const Response& response, Error error) {
  error.http_status = response.status;
  if (operation.has_secrets()) {
    error.message = std::string(operation.name) + ": the answer can't be read, and isn't shown: it may repeat a secret";
  }
  if (operation.idempotency != Idempotency::read) error.effect = Effect::applied;
  return error;
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
