#ifndef MLFLOWHA_TESTS_SUPPORT_TLS_SERVER_HPP
#define MLFLOWHA_TESTS_SUPPORT_TLS_SERVER_HPP

// TLS for RawServer, and a certificate authority that lives as long as a test: every certificate is made on the spot,
// so none is checked in and none expires in the repository. Needs OpenSSL 3 or 1.1.1.
//
//   TestAuthority authority;
//   RawServer server(script, tls_wrap({authority.issue("127.0.0.1")}), "https");
//   options.tls.ca_file = authority.file();

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "support/raw_server.hpp"

namespace mlflowha_tests {

struct OpenSslFree {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(BIO* p) const { BIO_free_all(p); }
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
};
template <class T>
using OpenSsl = std::unique_ptr<T, OpenSslFree>;

inline void need(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("OpenSSL: ") + what);
}

/// A certificate with its key.
struct Identity {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;

  [[nodiscard]] std::string certificate_pem() const {
    const OpenSsl<BIO> out(BIO_new(BIO_s_mem()));
    need(PEM_write_bio_X509(out.get(), certificate.get()) == 1, "PEM_write_bio_X509");
    return text(out.get());
  }
  /// Encrypted when there is a password.
  [[nodiscard]] std::string key_pem(const std::string& password = "") const {
    const OpenSsl<BIO> out(BIO_new(BIO_s_mem()));
    const EVP_CIPHER* cipher = password.empty() ? nullptr : EVP_aes_256_cbc();
    need(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), cipher, password.data(), static_cast<int>(password.size()),
                                       nullptr, nullptr) == 1,
         "PEM_write_bio_PKCS8PrivateKey");
    return text(out.get());
  }

 private:
  static std::string text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
  }
};

/// A folder that goes with the object.
class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "mlflowha-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  /// Writes a file and returns its path.
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    const auto file = path_ / name;
    std::ofstream(file, std::ios::binary) << text;
    return file.string();
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

struct Validity {
  long from_s = -3600;  ///< relative to now
  long to_s = 3600;
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "mlflowha test authority") : own_(make(name, "", {}, nullptr)) {
    file_ = folder_.write("ca.pem", own_.certificate_pem());
  }
  /// A certificate for a host name or an IP address.
  [[nodiscard]] Identity issue(const std::string& host, Validity validity = {}) const {
    const bool ip = host.find_first_not_of("0123456789.:") == std::string::npos;
    return make(host, (ip ? "IP:" : "DNS:") + host, validity, &own_);
  }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const TestFolder& folder() const { return folder_; }

 private:
  static Identity make(const std::string& name, const std::string& alternative, Validity validity,
                       const Identity* issuer) {
    const OpenSsl<EVP_PKEY_CTX> generator(EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nullptr));
    EVP_PKEY* raw_key = nullptr;
    need(EVP_PKEY_keygen_init(generator.get()) == 1 &&
             EVP_PKEY_CTX_set_ec_paramgen_curve_nid(generator.get(), NID_X9_62_prime256v1) == 1 &&
             EVP_PKEY_keygen(generator.get(), &raw_key) == 1,
         "keygen");
    Identity made{std::shared_ptr<X509>(X509_new(), OpenSslFree{}), std::shared_ptr<EVP_PKEY>(raw_key, OpenSslFree{})};
    X509* const certificate = made.certificate.get();
    static std::atomic<long> serial{1};
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), validity.from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), validity.to_s);
    X509_set_pubkey(certificate, made.key.get());
    X509_NAME* const subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                               -1, 0);
    X509* const by = issuer != nullptr ? issuer->certificate.get() : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(by));
    const auto extend = [&](int what, const std::string& value) {
      X509V3_CTX context;
      X509V3_set_ctx(&context, by, certificate, nullptr, nullptr, 0);
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
      need(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "extension");
      X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
    extend(NID_subject_key_identifier, "hash");
    if (!alternative.empty()) extend(NID_subject_alt_name, alternative);
    EVP_PKEY* const signer = issuer != nullptr ? issuer->key.get() : made.key.get();
    need(X509_sign(certificate, signer, EVP_sha256()) > 0, "sign");
    return made;
  }

  TestFolder folder_;
  Identity own_;
  std::string file_;
};

struct TlsServerOptions {
  Identity identity;
  std::string client_ca_file;  ///< "" = asks for no client certificate
};

class TlsChannel final : public Channel {
 public:
  TlsChannel(int fd, OpenSsl<SSL> ssl) : Channel(fd), ssl_(std::move(ssl)) {}
  long read(char* buffer, std::size_t size) override {
    ERR_clear_error();
    return SSL_read(ssl_.get(), buffer, static_cast<int>(size));
  }
  long write(const char* data, std::size_t size) override {
    ERR_clear_error();
    return SSL_write(ssl_.get(), data, static_cast<int>(size));
  }

 private:
  OpenSsl<SSL> ssl_;
};

/// What RawServer needs to speak TLS.
inline RawServer::Wrap tls_wrap(TlsServerOptions options) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), OpenSslFree{});
  need(SSL_CTX_use_certificate(context.get(), options.identity.certificate.get()) == 1, "certificate");
  need(SSL_CTX_use_PrivateKey(context.get(), options.identity.key.get()) == 1, "key");
  if (!options.client_ca_file.empty()) {
    need(SSL_CTX_load_verify_locations(context.get(), options.client_ca_file.c_str(), nullptr) == 1, "client CA");
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return [context](int fd) -> std::unique_ptr<Channel> {
    OpenSsl<SSL> ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), fd);
    ERR_clear_error();
    if (SSL_accept(ssl.get()) != 1) return nullptr;
    return std::make_unique<TlsChannel>(fd, std::move(ssl));
  };
}

}  // namespace mlflowha_tests

#endif
