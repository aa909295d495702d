#ifndef MLFLOWHA_HTTP_IMPL_CURL_OPTIONS_IPP
#define MLFLOWHA_HTTP_IMPL_CURL_OPTIONS_IPP

// Checking of CurlTransportOptions and the search for certificates of authorities.

#include <mlflowha/core/impl/user_info.hpp>
#include <mlflowha/http/curl_transport.hpp>
#include <mlflowha/http/impl/curl_rules.hpp>
#include <mlflowha/http/impl/curl_rules.ipp>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE bool is_readable_file(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode) && ::access(path.c_str(), R_OK) == 0;
}
MLFLOWHA_INLINE bool is_directory(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}
MLFLOWHA_INLINE bool path_exists(const std::string& path) { return ::access(path.c_str(), R_OK) == 0; }

/// A PEM file as people hand it over. Key files are small; of a larger one no more than 1 MiB is read.
MLFLOWHA_INLINE std::string read_pem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 4096> part{};
  while (text.size() < (std::size_t{1} << 20U) && (file.read(part.data(), part.size()) || file.gcount() > 0)) {
    text.append(part.data(), static_cast<std::size_t>(file.gcount()));
  }
  return text;
}
MLFLOWHA_INLINE bool holds_private_key(std::string_view pem) {
  return pem.find("PRIVATE KEY-----") != std::string_view::npos;
}
/// In the form of PKCS #8, or in the older one of OpenSSL (RFC 1421).
MLFLOWHA_INLINE bool holds_encrypted_key(std::string_view pem) {
  return pem.find("ENCRYPTED PRIVATE KEY-----") != std::string_view::npos ||
         pem.find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos;
}

MLFLOWHA_INLINE void check_client_key(const TlsOptions& tls, std::vector<std::string>& found) {
  const bool apart = !tls.client_key.empty();
  const std::string& path = apart ? tls.client_key : tls.client_cert;
  if (!is_readable_file(path)) return;  // said already
  const std::string pem = read_pem(path);
  if (!apart && !holds_private_key(pem)) {
    found.push_back(fmt::format("tls.client_cert = \"{}\": expected a private key in it, or one in tls.client_key",
                                sanitize(path, 200)));
  } else if (tls.client_key_password.empty() && holds_encrypted_key(pem)) {
    found.push_back(fmt::format("{} = \"{}\": it is encrypted, expected tls.client_key_password",
                                apart ? "tls.client_key" : "tls.client_cert", sanitize(path, 200)));
  }
}

MLFLOWHA_INLINE void check_tls(const TlsOptions& tls, std::vector<std::string>& found) {
  const auto need_file = [&](const char* name, const std::string& path) {
    if (path.empty() || is_readable_file(path)) return;
    found.push_back(fmt::format("{} = \"{}\": expected a file that can be read", name, sanitize(path, 200)));
  };
  need_file("tls.ca_file", tls.ca_file);
  need_file("tls.client_cert", tls.client_cert);
  need_file("tls.client_key", tls.client_key);
  if (!tls.ca_path.empty() && !is_directory(tls.ca_path)) {
    found.push_back(fmt::format("tls.ca_path = \"{}\": expected a directory", sanitize(tls.ca_path, 200)));
  }
  if (tls.insecure && (!tls.ca_file.empty() || !tls.ca_path.empty())) {
    found.emplace_back("tls.insecure = true together with tls.ca_file or tls.ca_path: expected one or the other");
  }
  if (tls.client_cert.empty()) {
    if (!tls.client_key.empty()) found.emplace_back("tls.client_key without tls.client_cert: expected both");
    if (!tls.client_key_password.empty()) {
      found.emplace_back("tls.client_key_password without tls.client_cert: expected both");
    }
  } else {
    check_client_key(tls, found);
  }
}

MLFLOWHA_INLINE void check_auth(const AuthOptions& auth, std::vector<std::string>& found) {
  if (auth.username.empty() && !auth.password.empty()) {
    found.emplace_back("auth.password without auth.username: expected both");
  }
  if (auth.username.find(':') != std::string::npos || !is_field_value(auth.username)) {
    found.push_back(fmt::format("auth.username = \"{}\": expected no colon and no control character (RFC 7617)",
                                sanitize(hide_password(auth.username), 100)));
  }
  if (!is_field_value(auth.password.reveal())) {
    found.emplace_back("auth.password: expected no control character (RFC 7617)");
  }
  const std::string& token = auth.bearer_token.reveal();
  if (std::any_of(token.begin(), token.end(), [](char c) { return c <= ' ' || c > '~'; })) {
    found.emplace_back(
        "auth.bearer_token: expected visible ASCII characters without blanks (RFC 6750); a line end from a "
        "file is a usual cause");
  }
}

MLFLOWHA_INLINE CaChoice choose_ca(const TlsOptions& options, std::string_view built_in_file,
                                   std::string_view built_in_path, const char* (*environment)(const char*),
                                   bool (*exists)(const std::string&)) {
  CaChoice choice{options.ca_file, options.ca_path};
  if (!choice.file.empty() || !choice.path.empty()) return choice;

  // A variable that is set is believed even when its file is missing: libcurl's message then names the file, and
  // falling back to other authorities behind the operator's back would be worse.
  for (const char* variable : {"SSL_CERT_FILE", "CURL_CA_BUNDLE"}) {
    if (const char* value = environment(variable); value != nullptr && *value != '\0') return {value, {}};
  }
  if (built_in_file.empty() && built_in_path.empty()) return choice;
  if (!built_in_file.empty() && exists(std::string(built_in_file))) return choice;
  if (!built_in_path.empty() && exists(std::string(built_in_path))) return choice;
  constexpr const char* known[] = {
      "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Ubuntu, Arch, Gentoo
      "/etc/pki/tls/certs/ca-bundle.crt",                   // Fedora, RHEL, Alma
      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // the same without its compatibility links
      "/etc/ssl/ca-bundle.pem",                             // openSUSE
      "/etc/ssl/cert.pem",                                  // Alpine, BSD, macOS
  };
  for (const char* path : known) {
    if (exists(path)) return {path, {}};
  }
  return choice;
}

}  // namespace detail

MLFLOWHA_INLINE std::vector<std::string> faults(const CurlTransportOptions& options) {
  std::vector<std::string> found;
  detail::check_tls(options.tls, found);
  detail::check_auth(options.auth, found);
  if (!detail::is_field_value(options.user_agent)) {
    found.push_back(
        fmt::format("user_agent = \"{}\": expected no control character", sanitize(options.user_agent, 100)));
  }
  const auto need_positive = [&](const char* name, auto value) {
    if (value > decltype(value){}) return;
    found.push_back(fmt::format("{} = 0 or less: expected more than 0", name));
  };
  need_positive("max_idle_age", options.max_idle_age);
  need_positive("tcp_keepalive_idle", options.tcp_keepalive_idle);
  need_positive("max_response_bytes", options.max_response_bytes);
  need_positive("max_header_bytes", options.max_header_bytes);
  constexpr std::size_t most_slots = 65536;  // they are made room for at once
  if (options.max_idle_slots > most_slots) {
    found.push_back(fmt::format("max_idle_slots = {}: expected at most {}", options.max_idle_slots, most_slots));
  }
  if (options.max_lifetime < Duration::zero()) {
    found.emplace_back("max_lifetime is negative: expected 0 (no limit) or more");
  }
  return found;
}

MLFLOWHA_END_NAMESPACE

#endif
