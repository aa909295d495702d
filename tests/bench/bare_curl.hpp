#ifndef MLFLOWHA_TESTS_BENCH_BARE_CURL_HPP
#define MLFLOWHA_TESTS_BENCH_BARE_CURL_HPP

// BareCurl: the baseline. What a careful program gets out of libcurl without us: one easy handle per thread, kept
// alive, POSTFIELDS, the same bytes on the wire as the SDK sends (captured from it once), status and body looked at,
// nothing else. No retry, no timeout, no JSON.

#include <curl/curl.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

/// One request as a server received it.
struct CapturedRequest {
  std::string target;
  std::vector<std::string> headers;  ///< without those that libcurl makes itself (Host, Content-Length)
  std::string body;

  /// Throws std::runtime_error when it isn't a whole request.
  static CapturedRequest parse(std::string_view text) {
    CapturedRequest request;
    const std::size_t end = text.find("\r\n\r\n");
    const std::size_t first_line = text.find("\r\n");
    if (end == std::string_view::npos) throw std::runtime_error("no request was captured");
    request.body = text.substr(end + 4);
    const std::string_view line = text.substr(0, first_line);
    const std::size_t space = line.find(' ');
    request.target = line.substr(space + 1, line.rfind(' ') - space - 1);
    for (std::size_t at = first_line + 2; at < end + 2;) {
      const std::size_t next = text.find("\r\n", at);
      const std::string_view header = text.substr(at, next - at);
      if (!header.starts_with("Host:") && !header.starts_with("Content-Length:")) request.headers.emplace_back(header);
      at = next + 2;
    }
    return request;
  }
};

/// Not thread-safe: one per thread.
class BareCurl {
 public:
  BareCurl(const std::string& base_url, const CapturedRequest& request) : easy_(curl_easy_init()) {
    if (easy_ == nullptr) throw std::runtime_error("curl_easy_init");
    for (const std::string& header : request.headers) headers_ = curl_slist_append(headers_, header.c_str());
    url_ = base_url + request.target;
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_HTTPHEADER, headers_);
    set_body(request.body);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_WRITEFUNCTION, &BareCurl::on_body);
    set(CURLOPT_WRITEDATA, &answer_);
  }
  BareCurl(const BareCurl&) = delete;
  BareCurl& operator=(const BareCurl&) = delete;
  ~BareCurl() {
    curl_easy_cleanup(easy_);
    curl_slist_free_all(headers_);
  }

  /// One call. Throws std::runtime_error unless it was answered with 200.
  void call() {
    answer_.clear();
    long status = 0;
    if (const CURLcode code = curl_easy_perform(easy_); code != CURLE_OK)
      throw std::runtime_error(curl_easy_strerror(code));
    (void)curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) throw std::runtime_error("the baseline was answered with status " + std::to_string(status));
  }
  /// What the next calls send.
  void set_body(std::string body) {
    body_ = std::move(body);
    set(CURLOPT_POSTFIELDS, body_.c_str());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body_.size()));
  }
  [[nodiscard]] const std::string& answer() const noexcept { return answer_; }

  /// The body of a GET.
  static std::string get(const std::string& url) {
    BareCurl curl(url, CapturedRequest{});
    curl.set(CURLOPT_HTTPGET, 1L);
    curl.call();
    return curl.answer_;
  }

 private:
  template <class Value>
  void set(CURLoption option, Value value) {
    if (curl_easy_setopt(easy_, option, value) != CURLE_OK) throw std::runtime_error("curl_easy_setopt");
  }
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* answer) {
    static_cast<std::string*>(answer)->append(data, size * count);
    return size * count;
  }

  CURL* easy_;
  curl_slist* headers_ = nullptr;
  std::string url_;
  std::string body_;
  std::string answer_;
};

}  // namespace bench

#endif
