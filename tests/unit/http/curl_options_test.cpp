#include <cstdint>
#include <filesystem>
#include <fstream>
#include <mlflowha/http/curl_transport.hpp>
#include <string>

#include "support/catch.hpp"

using namespace mlflowha_tests;
using mlflowha::CurlTransportOptions;
using mlflowha::faults;
using mlflowha::make_curl_transport;

namespace {

/// A file with this text, gone with the object.
class File {
 public:
  explicit File(const std::string& text) {
    static int number = 0;
    path_ =
        std::filesystem::temp_directory_path() /
        ("mlflowha-options-" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + "-" + std::to_string(++number));
    std::ofstream(path_) << text;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("the defaults have no fault", "[http][options]") {
  CHECK(faults({}).empty());
  CHECK(make_curl_transport({}).has_value());
}

TEST_CASE("each fault of the options is named", "[http][options]") {
  const File certificate("-----BEGIN CERTIFICATE-----\n");
  const File both("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n");
  const File encrypted("-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
  const File old_encrypted("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n");
  CurlTransportOptions options;
  std::string expected;
  SECTION("no such CA file") {
    options.tls.ca_file = "/no/such/ca.pem";
    expected = "tls.ca_file = \"/no/such/ca.pem\": expected a file that can be read";
  }
  SECTION("a folder as CA file") {
    options.tls.ca_file = "/";
    expected = "tls.ca_file";
  }
  SECTION("no such CA folder") {
    options.tls.ca_path = certificate.path();
    expected = "tls.ca_path";
  }
  SECTION("no such client certificate") {
    options.tls.client_cert = "/no/such/cert.pem";
    expected = "tls.client_cert";
  }
  SECTION("no such client key") {
    options.tls.client_cert = certificate.path();
    options.tls.client_key = "/no/such/key.pem";
    expected = "tls.client_key = \"/no/such/key.pem\"";
  }
  SECTION("a certificate without a key") {
    options.tls.client_cert = certificate.path();
    expected = "expected a private key";
  }
  SECTION("a key without a certificate") {
    options.tls.client_key = both.path();
    expected = "tls.client_key without tls.client_cert";
  }
  SECTION("a key password without a certificate") {
    options.tls.client_key_password = "secret";
    expected = "tls.client_key_password without";
  }
  SECTION("an encrypted key without its password") {
    options.tls.client_cert = certificate.path();
    options.tls.client_key = encrypted.path();
    expected = "tls.client_key = \"" + encrypted.path() + "\": it is encrypted, expected tls.client_key_password";
  }
  SECTION("an encrypted key of the older form, in the certificate's file") {
    options.tls.client_cert = old_encrypted.path();
    expected = "tls.client_cert = \"" + old_encrypted.path() + "\": it is encrypted, expected";
  }
  SECTION("insecure with authorities") {
    options.tls.insecure = true;
    options.tls.ca_file = certificate.path();
    expected = "tls.insecure = true together with";
  }
  SECTION("a password without a name") {
    options.auth.password = "secret";
    expected = "auth.password without auth.username";
  }
  SECTION("a colon in the name") {
    options.auth.username = "alice:secret";
    expected = "auth.username = \"alice:...\": expected no colon";
  }
  SECTION("a line end in the password") {
    options.auth.username = "a";
    options.auth.password = "secret\r\nX: y";
    expected = "auth.password: expected no control character";
  }
  SECTION("a line end behind the token") {
    options.auth.bearer_token = "secret\n";
    expected = "auth.bearer_token: expected visible ASCII";
  }
  SECTION("a token of letters beyond ASCII") {
    options.auth.bearer_token = "secret\xC3\xA4";
    expected = "auth.bearer_token";
  }
  SECTION("a line end in the user agent") {
    options.user_agent = "a\nb";
    expected = "user_agent = \"a\\";
  }
  SECTION("no idle age") {
    options.max_idle_age = {};
    expected = "max_idle_age";
  }
  SECTION("no body") {
    options.max_response_bytes = 0;
    expected = "max_response_bytes";
  }
  SECTION("no head") {
    options.max_header_bytes = 0;
    expected = "max_header_bytes";
  }
  SECTION("more sets of connections than fit into any memory") {
    options.max_idle_slots = SIZE_MAX;
    expected = "max_idle_slots = 18446744073709551615: expected at most 65536";
  }
  SECTION("no keepalive") {
    options.tcp_keepalive_idle = -std::chrono::seconds(1);
    expected = "tcp_keepalive_idle";
  }
  SECTION("a negative lifetime") {
    options.max_lifetime = -std::chrono::seconds(1);
    expected = "max_lifetime";
  }
  const auto found = faults(options);
  REQUIRE(found.size() == 1);
  CHECK_THAT(found.front(), contains(expected));
  CHECK_THAT(found.front(), !contains("secret"));
  const auto made = make_curl_transport(options);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().code == mlflowha::Errc::invalid_config);
  CHECK_THAT(made.error().message, contains(expected));
}

TEST_CASE("all faults are listed at once", "[http][options]") {
  CurlTransportOptions options;
  options.tls.ca_file = "/no/such/ca.pem";
  options.auth.password = "secret";
  options.max_header_bytes = 0;
  CHECK(faults(options).size() == 3);
  const auto made = make_curl_transport(options);
  REQUIRE_FALSE(made.has_value());
  CHECK_THAT(made.error().message, contains("ca_file"));
  CHECK_THAT(made.error().message, contains("auth.password"));
  CHECK_THAT(made.error().message, contains("max_header_bytes"));
}

TEST_CASE("a client certificate may hold its key", "[http][options]") {
  const File both("-----BEGIN CERTIFICATE-----\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
  CurlTransportOptions options;
  options.tls.client_cert = both.path();
  options.tls.client_key_password = "open sesame";
  CHECK(faults(options).empty());
}

TEST_CASE("the library says which libcurl it found", "[http][options]") {
  CHECK_THAT(mlflowha::curl_library_info(), starts_with("libcurl 7.") || starts_with("libcurl 8."));
  CHECK_THAT(mlflowha::curl_library_info(), contains("DNS"));
}
