#ifndef MLFLOWHA_HTTP_IMPL_CURL_LIBRARY_IPP
#define MLFLOWHA_HTTP_IMPL_CURL_LIBRARY_IPP

// What every user of libcurl needs: owners for its handles and its one-time initialisation.

#include <mlflowha/http/curl_transport.hpp>
#include <mlflowha/http/sigpipe_guard.hpp>

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>

#if LIBCURL_VERSION_NUM < 0x075100
#error "mlflowha needs libcurl 7.81 or newer"
#endif

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

struct CurlEasyDeleter {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
struct CurlMultiDeleter {
  void operator()(CURLM* handle) const noexcept { curl_multi_cleanup(handle); }
};
struct CurlUrlDeleter {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};
using CurlEasy = std::unique_ptr<CURL, CurlEasyDeleter>;
using CurlMulti = std::unique_ptr<CURLM, CurlMultiDeleter>;
using CurlUrl = std::unique_ptr<CURLU, CurlUrlDeleter>;

/// Initialises libcurl once per process. Never cleaned up: the host program may use libcurl too.
MLFLOWHA_INLINE bool init_curl() noexcept {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

/// Runs `f`; false when it threw, which here means out of memory. Where exceptions are disabled `f` ends the process.
template <class F>
bool without_throwing(F&& f) noexcept {
#if defined(__cpp_exceptions)
  try {
    f();
    return true;
  } catch (...) {
    return false;
  }
#else
  f();
  return true;
#endif
}

}  // namespace detail

MLFLOWHA_INLINE std::string curl_library_info() {
  if (!detail::init_curl()) return "libcurl (could not be initialised)";
  const curl_version_info_data* info = curl_version_info(CURLVERSION_NOW);
  return fmt::format("libcurl {}, {}, {} DNS", info->version,
                     info->ssl_version != nullptr ? info->ssl_version : "no TLS",
                     (info->features & CURL_VERSION_ASYNCHDNS) != 0 ? "asynchronous" : "SYNCHRONOUS");
}

MLFLOWHA_END_NAMESPACE

#endif
