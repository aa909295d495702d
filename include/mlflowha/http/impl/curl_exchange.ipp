#ifndef MLFLOWHA_HTTP_IMPL_CURL_EXCHANGE_IPP
#define MLFLOWHA_HTTP_IMPL_CURL_EXCHANGE_IPP

// CurlExchange: one easy handle and the request and answer that are on it. Used by the slots (calls) and by the side
// probes. prepare() -> somebody drives the handle -> finish(). Not thread-safe: one thread at a time.

#include <mlflowha/http/impl/curl_library.ipp>
#include <mlflowha/http/impl/curl_options.ipp>
#include <mlflowha/http/impl/curl_rules.hpp>
#include <mlflowha/http/impl/curl_rules.ipp>
#include <mlflowha/http/impl/file_transfer.ipp>

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// The options and what was worked out from them once. Immutable, shared by all exchanges of a transport.
struct CurlSetup {
  CurlTransportOptions options;
  CaChoice ca;
  std::string authorization;
  bool can_decode = false;  ///< this libcurl was built with zlib
  bool may_use_proxy = false;
};

class CurlExchange {
 public:
  /// Check ok() afterwards.
  explicit CurlExchange(const CurlSetup& setup) : setup_(setup), easy_(curl_easy_init()) {
    ok_ = easy_ != nullptr;
    if (ok_) set_fixed_options();
  }
  CurlExchange(const CurlExchange&) = delete;  // libcurl holds its address
  CurlExchange& operator=(const CurlExchange&) = delete;

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] CURL* handle() const noexcept { return easy_.get(); }

  /// Puts the request on the handle, or says why it can't be sent. `request` must live until finish().
  [[nodiscard]] std::optional<TransportFailure> prepare(const Uri& endpoint, const Request& request,
                                                        const AttemptTimeouts& timeouts);
  /// What the transfer brought. Leaves the handle ready for the next request.
  [[nodiscard]] TransportResult finish(CURLcode code);
  /// The same for a transfer that the caller's token ended.
  [[nodiscard]] TransportResult finish_cancelled();
  /// The same for one that stall_deadline() has passed.
  [[nodiscard]] TransportResult finish_stalled();
  /// Lets the request under way take that much longer than its timeouts say, counted from its start.
  void extend(Duration by) noexcept;
  /// When to give up on a file of which no byte moves; max() while none is moving.
  [[nodiscard]] TimePoint stall_deadline() noexcept;

 private:
  enum class Sends : std::uint8_t { unset, nothing, bytes, stream, file };

  template <class Value>
  void set(CURLoption option, Value value) {
    if (curl_easy_setopt(easy_.get(), option, value) != CURLE_OK) ok_ = false;
  }
  void renew();
  void set_fixed_options();
  void set_tls_options();
  void set_url();
  void set_method(const Request& request);
  void set_headers(const Request& request);
  void set_timeouts(const AttemptTimeouts& timeouts);
  void add_header(std::initializer_list<std::string_view> parts);
  void moved(bool more) noexcept;
  void let_go() noexcept;
  [[nodiscard]] bool can_not_rewind() const noexcept { return sends_ == Sends::stream || sends_ == Sends::file; }
  [[nodiscard]] CurlEnding ending(CURLcode code) const;

  static std::size_t on_head(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_read(char* buffer, std::size_t size, std::size_t count, void* self) noexcept;
  static int on_seek(void* self, curl_off_t offset, int origin) noexcept;
  static int on_sending(void* self, char*, char*, int, int) noexcept;
  static curl_socket_t on_socket(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;

  const CurlSetup& setup_;
  CurlUrl parsed_url_;  // outlives the handle that reads it
  CurlEasy easy_;
  bool ok_ = false;
  bool spoiled_ = false;

  // What is set on the handle now, so that only differences are set again.
  Uri endpoint_;
  std::string url_;
  std::size_t base_size_ = 0;
  std::optional<Method> method_;
  Sends sends_ = Sends::unset;
  bool fresh_ = false;
  AttemptTimeouts timeouts_{};
  Duration extended_by_{};

  // The header list: our own nodes over one buffer, so that a call allocates nothing once the buffers have grown.
  std::string header_text_;
  std::vector<std::size_t> header_starts_;
  std::vector<curl_slist> header_nodes_;

  // The request under way.
  const Request* request_ = nullptr;
  std::size_t body_read_ = 0;
  int sendings_ = 0;
  bool resend_refused_ = false;
  FileSource source_;
  bool moving_ = false;  // between the first and the last byte of a file, of the request's or the answer's
  bool stalled_ = false;
  curl_off_t uploaded_ = 0;
  TimePoint moved_at_{};

  // Its answer.
  HeadReader head_;
  std::string body_;
  FileSink sink_;
  std::uint64_t saved_ = 0;  // bytes that went into it
  std::size_t body_cap_ = 0;
  bool head_too_large_ = false;
  bool body_too_large_ = false;
  bool no_memory_ = false;
  std::array<char, CURL_ERROR_SIZE> message_{};
};

// ---- set once

/// A new handle; connections stay, they are the multi's. From 8.7 on libcurl remembers beyond the transfer that a body
/// has to be rewound, and every later transfer of a handle that can't fails with CURLE_SEND_FAIL_REWIND (seen with
/// 8.14.1).
MLFLOWHA_INLINE void CurlExchange::renew() {
  easy_.reset(curl_easy_init());
  spoiled_ = easy_ == nullptr;
  ok_ = !spoiled_;
  base_size_ = 0;
  method_.reset();
  sends_ = Sends::unset;
  fresh_ = false;
  timeouts_ = {};
  extended_by_ = {};
  if (ok_) set_fixed_options();
}

MLFLOWHA_INLINE void CurlExchange::set_fixed_options() {
  const CurlTransportOptions& options = setup_.options;
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, message_.data());
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's answer to CONNECT is not the endpoint's
  set(CURLOPT_USERAGENT, options.user_agent.c_str());
  if (setup_.can_decode) set(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
  if (!setup_.may_use_proxy) {
    set(CURLOPT_PROXY, "");
    set(CURLOPT_NOPROXY, "*");  // or libcurl asks the environment for no_proxy before each request
  }

  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE,
      static_cast<long>(std::chrono::ceil<std::chrono::seconds>(options.tcp_keepalive_idle).count()));
  set(CURLOPT_TCP_KEEPINTVL, 10L);
  // 0 would mean "any age" to a new libcurl and "under a second" to an old one.
  set(CURLOPT_MAXAGE_CONN,
      std::max(1L, static_cast<long>(std::chrono::floor<std::chrono::seconds>(options.max_idle_age).count())));
  set(CURLOPT_MAXLIFETIME_CONN,
      static_cast<long>(std::chrono::ceil<std::chrono::seconds>(options.max_lifetime).count()));
#if LIBCURL_VERSION_NUM >= 0x075700
  // Without it a transfer that ends while a name server is silent waits for the name server.
  set(CURLOPT_QUICK_EXIT, 1L);
#endif

  set(CURLOPT_HEADERFUNCTION, &CurlExchange::on_head);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &CurlExchange::on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_READFUNCTION, &CurlExchange::on_read);
  set(CURLOPT_READDATA, this);
  set(CURLOPT_SEEKFUNCTION, &CurlExchange::on_seek);
  set(CURLOPT_SEEKDATA, this);
  set(CURLOPT_PREREQFUNCTION, &CurlExchange::on_sending);
  set(CURLOPT_PREREQDATA, this);
  set(CURLOPT_OPENSOCKETFUNCTION, &CurlExchange::on_socket);
  set_tls_options();
}

MLFLOWHA_INLINE void CurlExchange::set_tls_options() {
  const TlsOptions& tls = setup_.options.tls;
  const auto set_path = [this](CURLoption option, const std::string& path) {
    if (!path.empty()) set(option, path.c_str());
  };
  // A libcurl without TLS still serves http; it refuses https by itself.
  const bool was_ok = ok_;
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!setup_.ca.file.empty() || !setup_.ca.path.empty()) {
    // libcurl has a file and a directory built in and believes both; what isn't chosen has to be taken out. One that
    // can't use directories refuses the option, and has none built in.
    const auto replace = [&](CURLoption option, const std::string& path) {
      set_path(option, path);
      if (path.empty()) (void)curl_easy_setopt(easy_.get(), option, static_cast<const char*>(nullptr));
    };
    replace(CURLOPT_CAINFO, setup_.ca.file);
    replace(CURLOPT_CAPATH, setup_.ca.path);
  }
  if (tls.client_cert.empty() && !tls.insecure) {
    const curl_version_info_data* info = curl_version_info(CURLVERSION_NOW);
    if ((info->features & CURL_VERSION_SSL) == 0) ok_ = was_ok;
    return;
  }
  set_path(CURLOPT_SSLCERT, tls.client_cert);
  set_path(CURLOPT_SSLKEY, tls.client_key.empty() ? tls.client_cert : tls.client_key);
  // Without a password, not even an empty one, OpenSSL asks for it on the terminal, for ever.
  if (!tls.client_cert.empty()) set(CURLOPT_KEYPASSWD, tls.client_key_password.reveal().c_str());
  if (tls.insecure) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

// ---- set per request

MLFLOWHA_INLINE std::optional<TransportFailure> CurlExchange::prepare(const Uri& endpoint, const Request& request,
                                                                      const AttemptTimeouts& timeouts) {
  const auto refuse = [](TransportFault fault, std::string why) {
    TransportFailure failure;
    failure.fault = fault;
    failure.progress = Progress::not_sent;
    failure.detail = std::move(why);
    return failure;
  };
  if (timeouts.total <= Duration::zero() || timeouts.connect <= Duration::zero()) {
    return refuse(TransportFault::connect_timeout, "no time was left for this attempt");
  }
  if (std::string fault = request_fault(request); !fault.empty()) {
    return refuse(TransportFault::bad_request, std::move(fault));
  }
  if (spoiled_) renew();
  if (!ok_) return refuse(TransportFault::bad_request, "libcurl gave no handle (out of memory?)");
  if (base_size_ == 0 || endpoint != endpoint_) {
    // A Uri is a plain struct, so anything may be in it; only what the parser would have made of it is used.
    std::string base = endpoint.base();
    if (const auto parsed = parse_uri(base); !parsed || *parsed != endpoint) {
      return refuse(TransportFault::bad_request,
                    fmt::format("the endpoint \"{}\" is no valid address", sanitize(base, 200)));
    }
    endpoint_ = endpoint;
    base_size_ = base.size();
    url_ = std::move(base);
    set_url();
  }

  request_ = &request;
  body_read_ = 0;
  sendings_ = 0;
  resend_refused_ = head_too_large_ = body_too_large_ = no_memory_ = moving_ = stalled_ = false;
  saved_ = 0;
  uploaded_ = 0;
  sink_.reset();
  if (request.file) {
    if (std::string fault = source_.open(*request.file); !fault.empty()) {
      return refuse(TransportFault::bad_file, std::move(fault));
    }
  }
  message_[0] = '\0';
  body_.clear();
  body_cap_ = request.max_response_bytes != 0 ? request.max_response_bytes : setup_.options.max_response_bytes;
  head_.reset(setup_.options.max_header_bytes);

  if (std::string_view(url_).substr(base_size_) != request.target) {
    url_.resize(base_size_);
    url_ += request.target;
    set_url();
  }
  set_method(request);
  set_headers(request);
  set_timeouts(timeouts);
  if (!ok_) return refuse(TransportFault::bad_request, "libcurl refused an option of the request (out of memory?)");
  return std::nullopt;
}

/// Beside the text libcurl gets the parts, so that it doesn't take the text apart again for each request: an eighth of
/// its own time for a small one. It sends what the parts say; the text is what it tells of, and what it repeats a
/// request from. Where the text is no URL libcurl gets nothing but the text, and says so when it meets it.
MLFLOWHA_INLINE void CurlExchange::set_url() {
  constexpr unsigned int like_libcurl = CURLU_PATH_AS_IS | CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME;
  set(CURLOPT_URL, url_.c_str());
  if (parsed_url_ == nullptr) parsed_url_.reset(curl_url());
  const bool parsed =
      parsed_url_ != nullptr && curl_url_set(parsed_url_.get(), CURLUPART_URL, url_.c_str(), like_libcurl) == CURLUE_OK;
  set(CURLOPT_CURLU, parsed ? parsed_url_.get() : nullptr);
}

MLFLOWHA_INLINE void CurlExchange::set_method(const Request& request) {
  // PUT and PATCH without a body still need "Content-Length: 0"; GET and DELETE have none.
  const bool bodiless = request.method == Method::get || (request.method == Method::del && request.body.empty());
  const std::uint64_t size = request.file ? request.file->size : request.body.size();
  // On a reused connection that dies without an answer libcurl sends the request again by itself, whatever the method,
  // and reports success. That is welcome where a repetition changes nothing. Everything else is streamed through a
  // callback that can't rewind: then libcurl repeats only if no byte of the body had left, and otherwise says so.
  // Where there is no body to guard, a fresh connection is the one that libcurl doesn't repeat on.
  const bool forbidden = request.resend == Resend::forbidden;
  // A file is never rewound: the call plan sends it again, from its beginning and perhaps elsewhere.
  Sends sends = bodiless ? Sends::nothing : forbidden && size != 0 ? Sends::stream : Sends::bytes;
  if (request.file && size != 0) sends = Sends::file;
  const bool fresh = forbidden && (bodiless || size == 0);

  if (method_ != request.method || sends_ != sends) {
    if (sends == Sends::nothing) {
      set(CURLOPT_HTTPGET, 1L);
    } else {
      set(CURLOPT_POST, 1L);
    }
    const bool plain = (request.method == Method::get && bodiless) || request.method == Method::post;
    set(CURLOPT_CUSTOMREQUEST, plain ? nullptr : to_string(request.method).data());
    if (sends == Sends::stream || sends == Sends::file) {
      set(CURLOPT_POSTFIELDS, static_cast<const char*>(nullptr));
    }
    // With libcurl's own 64 KiB a large upload takes a fifth longer.
    if (sends == Sends::file) set(CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10U);
    if (sends_ == Sends::file && sends != Sends::file) set(CURLOPT_UPLOAD_BUFFERSIZE, 64L << 10U);
    method_ = request.method;
    sends_ = sends;
  }
  if (sends != Sends::nothing) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(size));
    if (sends == Sends::bytes) set(CURLOPT_POSTFIELDS, request.body.data());
  }
  if (fresh_ != fresh) {
    set(CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    fresh_ = fresh;
  }
}

MLFLOWHA_INLINE void CurlExchange::add_header(std::initializer_list<std::string_view> parts) {
  header_starts_.push_back(header_text_.size());
  for (const std::string_view part : parts) header_text_ += part;
  header_text_ += '\0';
}

MLFLOWHA_INLINE void CurlExchange::set_headers(const Request& request) {
  header_text_.clear();
  header_starts_.clear();
  bool authorized = setup_.authorization.empty();
  for (const Header& header : request.headers) {
    // libcurl's spelling of a header without a value is "Name;": "Name:" would remove it.
    if (trim_blanks(header.value).empty()) {
      add_header({header.name, ";"});
    } else {
      add_header({header.name, ": ", header.value});
    }
    authorized = authorized || same_name(header.name, "authorization");
  }
  if (!authorized) add_header({"Authorization: ", setup_.authorization});
  if (sends_ != Sends::nothing) {
    add_header({"Content-Type:", request.content_type.empty() ? "" : " ", request.content_type});
    // No waiting for "100 Continue" before a large body. Before one of up to 1 MiB libcurl doesn't think of it.
    constexpr std::uint64_t surely_small = 64U << 10U;
    if ((request.file ? request.file->size : request.body.size()) > surely_small) add_header({"Expect:"});
  }

  header_nodes_.resize(header_starts_.size());
  for (std::size_t i = 0; i < header_nodes_.size(); ++i) {
    header_nodes_[i].data = header_text_.data() + header_starts_[i];
    header_nodes_[i].next = i + 1 < header_nodes_.size() ? &header_nodes_[i + 1] : nullptr;
  }
  set(CURLOPT_HTTPHEADER, header_nodes_.empty() ? nullptr : header_nodes_.data());
}

MLFLOWHA_INLINE void CurlExchange::set_timeouts(const AttemptTimeouts& timeouts) {
  extend(Duration::zero());
  if (timeouts.connect != timeouts_.connect) set(CURLOPT_CONNECTTIMEOUT_MS, to_curl_ms(timeouts.connect));
  if (timeouts.total != timeouts_.total) set(CURLOPT_TIMEOUT_MS, to_curl_ms(timeouts.total));
  timeouts_ = timeouts;
}

/// libcurl reads both each time it looks at the clock, so they may be moved in the middle of a transfer.
MLFLOWHA_INLINE void CurlExchange::extend(Duration by) noexcept {
  if (by == extended_by_) return;
  extended_by_ = by;
  set(CURLOPT_CONNECTTIMEOUT_MS, to_curl_ms(saturating_sum(timeouts_.connect, by)));
  set(CURLOPT_TIMEOUT_MS, to_curl_ms(saturating_sum(timeouts_.total, by)));
}

// ---- while it runs: called by libcurl

MLFLOWHA_INLINE int CurlExchange::on_sending(void* self, char*, char*, int, int) noexcept {
  auto& exchange = *static_cast<CurlExchange*>(self);
  ++exchange.sendings_;
  // Second line of defence. Up to 8.6 libcurl forgets to rewind when the body was read but not yet counted as written,
  // and would go on behind the part that is gone.
  const Request& request = *exchange.request_;
  const bool file = exchange.sends_ == Sends::file;
  const bool repeats = exchange.sendings_ > 1 && (file || request.resend == Resend::forbidden);
  const bool begun = exchange.body_read_ > 0 || (file && exchange.source_.sent() > 0);
  if (repeats && (begun || !exchange.can_not_rewind())) {
    exchange.resend_refused_ = true;
    return CURL_PREREQFUNC_ABORT;
  }
  if (file) exchange.moved(true);
  return CURL_PREREQFUNC_OK;
}

MLFLOWHA_INLINE std::size_t CurlExchange::on_read(char* buffer, std::size_t size, std::size_t count,
                                                  void* self) noexcept {
  auto& exchange = *static_cast<CurlExchange*>(self);
  if (exchange.sends_ == Sends::file) {
    const FileBody& file = *exchange.request_->file;
    const std::size_t part = exchange.source_.read(file, buffer, size * count);
    if (exchange.source_.failed()) return CURL_READFUNC_ABORT;
    return part;
  }
  const std::string& body = exchange.request_->body;
  const std::size_t part = std::min(size * count, body.size() - exchange.body_read_);
  std::memcpy(buffer, body.data() + exchange.body_read_, part);
  exchange.body_read_ += part;
  return part;
}

MLFLOWHA_INLINE int CurlExchange::on_seek(void*, curl_off_t, int) noexcept { return CURL_SEEKFUNC_FAIL; }

MLFLOWHA_INLINE std::size_t CurlExchange::on_head(char* data, std::size_t size, std::size_t count,
                                                  void* self) noexcept {
  auto& exchange = *static_cast<CurlExchange*>(self);
  const std::size_t bytes = size * count;
  bool go_on = true;
  const bool stored = without_throwing([&] {
    switch (exchange.head_.line(std::string_view(data, bytes))) {
      case HeadReader::Verdict::more:
        return;
      case HeadReader::Verdict::too_large:
        exchange.head_too_large_ = true;
        go_on = false;
        return;
      case HeadReader::Verdict::complete:
        break;
    }
    const auto length = exchange.head_.content_length();
    const int status = exchange.head_.status();
    exchange.moved(false);  // whoever answers has all of the request that it wants
    if (!exchange.request_->save_to.empty() && status >= 200 && status <= 299) {
      go_on = exchange.sink_.open(exchange.request_->save_to);
      exchange.moved(true);
      return;
    }
    if (!length || status == 204 || status == 304) return;
    if (*length > exchange.body_cap_) {  // don't even begin to read it
      exchange.body_too_large_ = true;
      go_on = false;
      return;
    }
    // A claim is not a fact: no more than 1 MiB on credit.
    exchange.body_.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, std::uint64_t{1} << 20U)));
  });
  if (!stored) exchange.no_memory_ = true;
  return stored && go_on ? bytes : 0;
}

MLFLOWHA_INLINE std::size_t CurlExchange::on_body(char* data, std::size_t size, std::size_t count,
                                                  void* self) noexcept {
  auto& exchange = *static_cast<CurlExchange*>(self);
  const std::size_t bytes = size * count;
  if (exchange.sink_.is_open()) {
    if (!exchange.sink_.write(data, bytes)) return 0;
    exchange.saved_ += bytes;
    exchange.moved(true);
    return bytes;
  }
  std::string& body = exchange.body_;
  if (bytes > exchange.body_cap_ - body.size()) {
    exchange.body_too_large_ = true;
    return 0;
  }
  const bool stored = without_throwing([&] {
    const std::size_t needed = body.size() + bytes;
    if (needed > body.capacity()) body.reserve(std::min(exchange.body_cap_, std::max(needed, 2 * body.capacity())));
    body.append(data, bytes);
  });
  if (!stored) exchange.no_memory_ = true;
  return stored ? bytes : 0;
}

MLFLOWHA_INLINE void CurlExchange::moved(bool more) noexcept {
  moving_ = more && timeouts_.stall != Duration::max();
  if (moving_) moved_at_ = std::chrono::steady_clock::now();
}

MLFLOWHA_INLINE TimePoint CurlExchange::stall_deadline() noexcept {
  if (!moving_) return TimePoint::max();
  if (!sink_.is_open()) {
    // What went to the socket, not what was read from the file: libcurl reads ahead by a whole buffer.
    curl_off_t uploaded = 0;
    (void)curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_UPLOAD_T, &uploaded);
    if (std::exchange(uploaded_, uploaded) != uploaded) moved(true);
    if (static_cast<std::uint64_t>(uploaded) >= request_->file->size) moving_ = false;
  }
  return moving_ ? Deadline::after(moved_at_, timeouts_.stall).at() : TimePoint::max();
}

/// A child program that the host starts must not inherit our connections; libcurl doesn't see to that before 8.16.
MLFLOWHA_INLINE curl_socket_t CurlExchange::on_socket(void*, curlsocktype, curl_sockaddr* address) noexcept {
#if defined(SOCK_CLOEXEC)
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
#else
  const curl_socket_t made = ::socket(address->family, address->socktype, address->protocol);
  if (made != CURL_SOCKET_BAD) (void)::fcntl(made, F_SETFD, FD_CLOEXEC);
  return made;
#endif
}

// ---- when it has ended

MLFLOWHA_INLINE CurlEnding CurlExchange::ending(CURLcode code) const {
  curl_off_t lookup_us = 0;
  (void)curl_easy_getinfo(easy_.get(), CURLINFO_NAMELOOKUP_TIME_T, &lookup_us);
  CurlEnding end;
  end.code = static_cast<int>(code);
  end.message = message_.data();
  end.sendings = sendings_;
  end.resolved = lookup_us > 0;
  end.status = head_.status();
  end.resend_refused = resend_refused_;
  end.head_too_large = head_too_large_;
  end.body_too_large = body_too_large_;
  end.head_cap = setup_.options.max_header_bytes;
  end.body_cap = body_cap_;
  end.no_memory = no_memory_;
  end.stalled = stalled_;
  end.moved = saved_ > 0 ? saved_ : source_.sent();
  if (request_->file && source_.failed()) end.file_fault = source_.fault(*request_->file);
  if (sink_.failed()) end.file_fault = sink_.fault(request_->save_to);
  end.timeouts = timeouts_;
  return end;
}

MLFLOWHA_INLINE TransportResult CurlExchange::finish(CURLcode code) {
  let_go();
  // An answer that came before the end of the body leaves the handle as an error does.
  const bool cut_short = request_ != nullptr && request_->file && source_.sent() < request_->file->size;
  spoiled_ = (code != CURLE_OK || cut_short) && can_not_rewind();
  if (code != CURLE_OK || sink_.failed()) return to_failure(ending(code));
  long status = 0;
  (void)curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status > 999) {
    CurlEnding end = ending(CURLE_WEIRD_SERVER_REPLY);
    end.message = "the answer ended without a final status";
    return to_failure(end);
  }
  Response response;
  response.status = static_cast<int>(status);
  response.headers = std::move(head_.headers());
  response.body = std::move(body_);
  if (auto refused = redirect_failure(endpoint_, response.status, response.header("location"))) {
    return std::move(*refused);
  }
  return response;
}

MLFLOWHA_INLINE TransportResult CurlExchange::finish_cancelled() {
  let_go();
  spoiled_ = can_not_rewind();
  CurlEnding end = ending(CURLE_OK);
  end.cancelled = true;
  return to_failure(end);
}

MLFLOWHA_INLINE TransportResult CurlExchange::finish_stalled() {
  let_go();
  spoiled_ = can_not_rewind();
  stalled_ = true;
  return to_failure(ending(CURLE_OPERATION_TIMEDOUT));
}

/// Closes the files: a handle that rests keeps nobody's file open.
MLFLOWHA_INLINE void CurlExchange::let_go() noexcept {
  moving_ = false;
  source_.close();
  (void)sink_.finish();
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
