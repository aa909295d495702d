#include <mlflowha/http/curl_transport.hpp>
#include <mlflowha/http/impl/curl_rules.hpp>

#include <curl/curl.h>

#include <chrono>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha_tests;
using namespace std::chrono_literals;
using mlflowha::AuthOptions;
using mlflowha::Progress;
using mlflowha::Request;
using mlflowha::TlsOptions;
using mlflowha::TransportFault;
using mlflowha::detail::authorization;
using mlflowha::detail::CaChoice;
using mlflowha::detail::choose_ca;
using mlflowha::detail::CurlEnding;
using mlflowha::detail::HeadReader;
using mlflowha::detail::redirect_failure;
using mlflowha::detail::request_fault;
using mlflowha::detail::to_curl_ms;
using mlflowha::detail::to_failure;

TEST_CASE("requests that would say something else on the wire are refused", "[http][rules]") {
  Request request;
  request.target = "/api/2.0/mlflow/runs/get?run_id=x%20y";
  request.headers = {{"X-Request-Id", "a-b_c"}, {"Authorization", "Bearer \xC3\xA4\tb"}};
  REQUIRE(request_fault(request).empty());

  SECTION("every byte that doesn't belong into a target") {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      request.target = std::string("/a") + c + "b";
      const bool good = byte > 0x20 && byte < 0x7f && c != '#';
      CAPTURE(byte);
      CHECK(request_fault(request).empty() == good);
    }
    for (const char* target : {"", "/", "?a=b"}) {
      request.target = target;
      CHECK(request_fault(request).empty());
    }
    for (const char* target : {"a", "@host", ":80", "http://b/"}) {
      request.target = target;
      CHECK_THAT(request_fault(request), contains("begin with '/'"));
    }
  }
  SECTION("every byte that doesn't belong into a header value") {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      request.headers = {{"X-A", std::string("a") + c}};
      const bool good = (byte >= 0x20 && byte != 0x7f) || c == '\t';
      CAPTURE(byte);
      CHECK(request_fault(request).empty() == good);
      request.headers.clear();
      request.content_type = std::string("a") + c;
      CHECK(request_fault(request).empty() == good);
      request.content_type = "application/json";
    }
    request.headers = {{"Authorization", "Bearer secret\n"}};
    CHECK_THAT(request_fault(request), contains("Authorization"));
    CHECK_THAT(request_fault(request), !contains("secret"));
  }
  SECTION("names that are no names") {
    for (const char* name : {"", "a b", "a:", "a\r\n", "\xC3\xA4", "a\"", "(a)"}) {
      request.headers = {{name, "b"}};
      CAPTURE(name);
      CHECK_THAT(request_fault(request), contains("not a token"));
    }
  }
  SECTION("headers that are the transport's") {
    for (const char* name : {"Host", "content-length", "Content-Type", "TRANSFER-ENCODING", "Connection", "Expect",
                             "Upgrade", "Proxy-Authorization"}) {
      request.headers = {{name, "b"}};
      CHECK_THAT(request_fault(request), contains("set by the transport"));
    }
  }
}

TEST_CASE("how a transfer ended is told truthfully", "[http][rules]") {
  struct Row {
    int code;
    int sendings;
    bool resolved;
    TransportFault fault;
    Progress progress;
  };
  const Row row = GENERATE(Row{CURLE_COULDNT_RESOLVE_HOST, 0, false, TransportFault::resolve, Progress::not_sent},
                           Row{CURLE_COULDNT_RESOLVE_PROXY, 0, false, TransportFault::resolve, Progress::not_sent},
                           Row{CURLE_COULDNT_CONNECT, 0, true, TransportFault::connect_refused, Progress::not_sent},
                           Row{CURLE_OPERATION_TIMEDOUT, 0, false, TransportFault::resolve, Progress::not_sent},
                           Row{CURLE_OPERATION_TIMEDOUT, 0, true, TransportFault::connect_timeout, Progress::not_sent},
                           Row{CURLE_OPERATION_TIMEDOUT, 1, true, TransportFault::timeout, Progress::sent},
                           Row{CURLE_PEER_FAILED_VERIFICATION, 0, true, TransportFault::tls, Progress::not_sent},
                           Row{CURLE_SSL_CONNECT_ERROR, 0, true, TransportFault::tls, Progress::not_sent},
                           Row{CURLE_SSL_CERTPROBLEM, 0, true, TransportFault::tls, Progress::not_sent},
                           Row{CURLE_SSL_CACERT_BADFILE, 0, true, TransportFault::tls, Progress::not_sent},
                           Row{CURLE_GOT_NOTHING, 1, true, TransportFault::connection_lost, Progress::sent},
                           Row{CURLE_SEND_ERROR, 1, true, TransportFault::connection_lost, Progress::sent},
                           Row{CURLE_RECV_ERROR, 1, true, TransportFault::connection_lost, Progress::sent},
                           Row{CURLE_RECV_ERROR, 0, true, TransportFault::connection_lost, Progress::not_sent},
                           Row{CURLE_PARTIAL_FILE, 1, true, TransportFault::connection_lost, Progress::sent},
                           Row{CURLE_SEND_FAIL_REWIND, 2, true, TransportFault::connection_lost, Progress::sent},
                           // A second connection was refused after the first had taken the request.
                           Row{CURLE_COULDNT_CONNECT, 1, true, TransportFault::connect_refused, Progress::sent},
                           Row{CURLE_BAD_CONTENT_ENCODING, 1, true, TransportFault::bad_encoding, Progress::sent},
                           Row{CURLE_WEIRD_SERVER_REPLY, 1, true, TransportFault::bad_http, Progress::sent},
                           Row{CURLE_UNSUPPORTED_PROTOCOL, 1, true, TransportFault::bad_http, Progress::sent},
                           Row{CURLE_UNSUPPORTED_PROTOCOL, 0, false, TransportFault::bad_request, Progress::not_sent},
                           Row{CURLE_URL_MALFORMAT, 0, false, TransportFault::bad_request, Progress::not_sent},
                           Row{CURLE_OUT_OF_MEMORY, 0, false, TransportFault::bad_request, Progress::not_sent},
                           Row{CURLE_OUT_OF_MEMORY, 1, true, TransportFault::too_large, Progress::sent},
                           Row{100, 1, true, TransportFault::too_large, Progress::sent});
  CurlEnding ending;
  ending.code = row.code;
  ending.sendings = row.sendings;
  ending.resolved = row.resolved;
  ending.timeouts = {2s, 5s};
  const auto failure = to_failure(ending);
  CAPTURE(row.code, row.sendings, failure.detail);
  CHECK(failure.fault == row.fault);
  CHECK(failure.progress == row.progress);
  CHECK(failure.transport_code == row.code);
  CHECK_FALSE(failure.detail.empty());
}

TEST_CASE("what we stopped ourselves is not blamed on libcurl", "[http][rules]") {
  CurlEnding ending;
  ending.code = CURLE_WRITE_ERROR;
  ending.sendings = 1;
  ending.message = "Failure writing output to destination";
  SECTION("body") {
    ending.body_too_large = true;
    ending.body_cap = 1234;
    CHECK(to_failure(ending).fault == TransportFault::too_large);
    CHECK_THAT(to_failure(ending).detail, contains("1234 bytes"));
  }
  SECTION("head") {
    ending.head_too_large = true;
    ending.head_cap = 99;
    CHECK(to_failure(ending).fault == TransportFault::too_large);
    CHECK_THAT(to_failure(ending).detail, contains("99 bytes"));
  }
  SECTION("memory") {
    ending.no_memory = true;
    CHECK(to_failure(ending).fault == TransportFault::bad_request);
    CHECK(to_failure(ending).progress == Progress::sent);
  }
  SECTION("a file") {
    ending.code = CURLE_ABORTED_BY_CALLBACK;
    ending.file_fault = "the file \"f\" has shrunk";
    CHECK(to_failure(ending).fault == TransportFault::bad_file);
    CHECK(to_failure(ending).progress == Progress::sent);
    CHECK_THAT(to_failure(ending).detail, contains("has shrunk"));
  }
  SECTION("a file that stands still") {
    ending.code = CURLE_OPERATION_TIMEDOUT;
    ending.stalled = true;
    ending.moved = 77;
    ending.timeouts.stall = std::chrono::seconds(3);
    CHECK(to_failure(ending).fault == TransportFault::timeout);
    CHECK_THAT(to_failure(ending).detail, contains("no byte moved for 3000 ms, after 77 bytes"));
  }
  SECTION("a second sending") {
    ending.code = CURLE_ABORTED_BY_CALLBACK;
    ending.sendings = 2;
    ending.resend_refused = true;
    CHECK(to_failure(ending).fault == TransportFault::connection_lost);
    CHECK(to_failure(ending).progress == Progress::sent);
  }
  SECTION("cancelled") {
    ending.cancelled = true;
    CHECK(to_failure(ending).fault == TransportFault::cancelled);
    CHECK(to_failure(ending).progress == Progress::sent);
    ending.sendings = 0;
    CHECK(to_failure(ending).progress == Progress::not_sent);
    CHECK(to_failure(ending).transport_code == 0);
  }
  SECTION("neither: libcurl's decoder") { CHECK(to_failure(ending).fault == TransportFault::bad_encoding); }
}

TEST_CASE("a failure's detail is fit to be shown", "[http][rules]") {
  CurlEnding ending;
  ending.code = CURLE_RECV_ERROR;
  ending.sendings = 1;
  ending.status = 200;
  const std::string foreign = "said \x1b[2J" + std::string(5000, 'x');
  ending.message = foreign;
  const auto failure = to_failure(ending);
  CHECK_THAT(failure.detail, contains("after the status 200: said ") && (contains("\\x1B") || contains("\\x1b")));
  CHECK(failure.detail.find('\x1b') == std::string::npos);
  CHECK(failure.detail.size() < 700);
}

TEST_CASE("the password in a proxy's address is not repeated", "[http][rules][secret]") {
  // As libcurl says it of http_proxy and the like.
  for (const char* words :
       {"Unsupported proxy scheme for 'foo://user:hunter2@h:1'",
        "Unsupported proxy syntax in 'http://user:hunter2@h:99999999'", "Unsupported proxy syntax in 'user:hunter2/@h'",
        "Unsupported proxy syntax in 'http://user:hunter2#'x@h'",
        "Unsupported proxy 'https://user:hunter2@h', libcurl is built without the HTTPS-proxy support.",
        "Unsupported proxy user:hunter2@h"}) {
    INFO(words);
    CurlEnding ending;
    ending.code = CURLE_COULDNT_RESOLVE_PROXY;
    ending.message = words;
    const std::string detail = to_failure(ending).detail;
    CHECK_THAT(detail, !contains("hunter2") && contains("...@h"));
  }
  CurlEnding ending;
  ending.code = CURLE_PEER_FAILED_VERIFICATION;
  ending.message = "issuer: CN=ca; emailAddress=ca@example.org";
  CHECK_THAT(to_failure(ending).detail, contains("CN=ca; emailAddress=ca@example.org"));
}

TEST_CASE("redirects are failures with advice", "[http][rules]") {
  const mlflowha::Uri endpoint{"http", "a", 5000, "/ml"};
  CHECK_FALSE(redirect_failure(endpoint, 200, "http://b/").has_value());
  CHECK_FALSE(redirect_failure(endpoint, 304, "http://b/").has_value());
  CHECK_FALSE(redirect_failure(endpoint, 302, "").has_value());
  CHECK_FALSE(redirect_failure(endpoint, 404, "http://b/").has_value());
  struct Row {
    const char* location;
    bool same_origin;
    const char* shown;
  };
  const Row row =
      GENERATE(Row{"http://b/x", false, "\"http://b/x\""}, Row{"http://a:5000/x", true, "\"http://a:5000/x\""},
               Row{"http://A:5000", true, "A:5000\""}, Row{"https://a:5000/x", false, "https://a:5000"},
               Row{"http://a/x", false, "http://a/x"}, Row{"/login?next=secret", true, "\"/login\""},
               Row{"login#secret", true, "\"login\""}, Row{"//b/x", false, "\"//b/x\""},
               Row{"http://me:secret@b/x", false, "\"http://b/x\""}, Row{"//me:secret@b/x", false, "\"//b/x\""},
               Row{"http://a:5000@b/x", false, "\"http://b/x\""}, Row{"://", false, "://"});
  const auto failure = redirect_failure(endpoint, 302, row.location);
  REQUIRE(failure.has_value());
  CAPTURE(failure->detail);
  CHECK(failure->fault == TransportFault::redirect_refused);
  CHECK(failure->progress == Progress::answered);
  CHECK_THAT(failure->detail, contains(row.shown));
  CHECK_THAT(failure->detail, contains("http://a:5000/ml"));
  CHECK_THAT(failure->detail, !contains("secret"));
  CHECK_THAT(failure->detail, contains(row.same_origin ? "path prefix" : "If MLflow is served there"));
}

TEST_CASE("a head is read line by line", "[http][rules]") {
  HeadReader reader;
  reader.reset(1000);
  using Verdict = HeadReader::Verdict;
  CHECK(reader.line("HTTP/1.1 100 Continue\r\n") == Verdict::more);
  CHECK(reader.line("Location: x\r\n") == Verdict::more);
  CHECK(reader.line("\r\n") == Verdict::more);
  CHECK(reader.line("HTTP/1.1 201 Created\r\n") == Verdict::more);
  CHECK(reader.line("Content-LENGTH: 12 \r\n") == Verdict::more);
  CHECK(reader.line("HTTP/1.1 500 forged\r\n") == Verdict::more);  // not where a status line belongs
  CHECK(reader.line("X: a:b\n") == Verdict::more);
  CHECK(reader.line("\t c\r\n") == Verdict::more);
  CHECK(reader.line("\r\n") == Verdict::complete);
  CHECK(reader.status() == 201);
  CHECK(reader.line("Trailer: y\r\n") == Verdict::more);
  CHECK(reader.line("\r\n") == Verdict::more);
  CHECK(reader.headers() == std::vector<mlflowha::Header>{{"content-length", "12"}, {"x", "a:b c"}});
  CHECK(reader.content_length() == 12U);

  reader.reset(30);
  CHECK(reader.headers().empty());
  CHECK(reader.line("HTTP/1.1 200 OK\r\n") == Verdict::more);
  CHECK(reader.line("A: 1234567\r\n") == Verdict::more);  // 29 bytes
  CHECK(reader.line("\r\n") == Verdict::too_large);
}

TEST_CASE("a length that is no number is none", "[http][rules]") {
  for (const char* value : {"", "-1", "1x", "99999999999999999999999", "0x10", "1, 2"}) {
    HeadReader reader;
    reader.reset(1000);
    (void)reader.line("HTTP/1.1 200 OK\r\n");
    (void)reader.line(std::string("Content-Length: ") + value + "\r\n");
    CAPTURE(value);
    CHECK_FALSE(reader.content_length().has_value());
  }
}

TEST_CASE("basic credentials follow RFC 7617 and win over a token", "[http][rules]") {
  CHECK(authorization({}).empty());
  CHECK(authorization({"", "", "tok"}) == "Bearer tok");
  CHECK(authorization({"Aladdin", "open sesame", "tok"}) == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  // RFC 4648 section 10, behind "u:"
  CHECK(authorization({"f", "", ""}) == "Basic Zjo=");
  CHECK(authorization({"u", "", ""}) == "Basic dTo=");
  CHECK(authorization({"u", "a", ""}) == "Basic dTph");
  CHECK(authorization({"u", "\xff\xfe", ""}) == "Basic dTr//g==");
}

TEST_CASE("durations become libcurl's milliseconds, never its zero for ever", "[http][rules]") {
  CHECK(to_curl_ms(0ns) == 1);
  CHECK(to_curl_ms(-5s) == 1);
  CHECK(to_curl_ms(1ns) == 1);
  CHECK(to_curl_ms(1ms) == 1);
  CHECK(to_curl_ms(1ms + 1ns) == 2);
  CHECK(to_curl_ms(5s) == 5000);
  CHECK(to_curl_ms(mlflowha::Duration::max()) == 24L * 24 * 3600 * 1000);
}

namespace {
const char* no_environment(const char*) { return nullptr; }
const char* with_cert_file(const char* name) { return std::string(name) == "SSL_CERT_FILE" ? "/env/ssl.pem" : nullptr; }
const char* with_both(const char* name) {
  return std::string(name) == "SSL_CERT_FILE"    ? "/env/ssl.pem"
         : std::string(name) == "CURL_CA_BUNDLE" ? "/env/curl.pem"
                                                 : nullptr;
}
const char* with_bundle(const char* name) {
  return std::string(name) == "CURL_CA_BUNDLE" ? "/env/curl.pem" : std::string(name) == "SSL_CERT_FILE" ? "" : nullptr;
}
bool nothing(const std::string&) { return false; }
bool everything(const std::string&) { return true; }
bool only_alpine(const std::string& path) { return path == "/etc/ssl/cert.pem"; }
}  // namespace

TEST_CASE("authorities are looked for in order", "[http][rules]") {
  const auto choose = [](const TlsOptions& options, const char* (*environment)(const char*),
                         bool (*exists)(const std::string&), const char* file = "/built/in.pem") {
    const CaChoice choice = choose_ca(options, file, "", environment, exists);
    return choice.file + "|" + choice.path;
  };
  TlsOptions options;
  CHECK(choose(options, no_environment, everything) == "|");  // libcurl's own place exists
  CHECK(choose(options, no_environment, only_alpine) == "/etc/ssl/cert.pem|");
  CHECK(choose(options, no_environment, nothing) == "|");
  CHECK(choose(options, no_environment, only_alpine, "") == "|");  // unknown place: libcurl's business
  CHECK(choose(options, with_cert_file, everything) == "/env/ssl.pem|");
  CHECK(choose(options, with_both, everything) == "/env/ssl.pem|");
  CHECK(choose(options, with_bundle, nothing) == "/env/curl.pem|");  // set but missing: said by libcurl, not ignored
  options.ca_file = "/mine.pem";
  CHECK(choose(options, with_both, everything) == "/mine.pem|");
  options = {};
  options.ca_path = "/mine";
  CHECK(choose(options, with_both, everything) == "|/mine");
}
