#ifndef MLFLOWHA_LOGGING_IMPL_SHA256_HPP
#define MLFLOWHA_LOGGING_IMPL_SHA256_HPP

// SHA-256 of files, by OpenSSL's libcrypto: what the spool knows an artifact by. Not part of the public API.

#include <mlflowha/client/impl/artifact_files.hpp>

#include <cstdint>
#include <memory>
#include <string>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Takes the bytes as they are copied. digest() once, at the end.
class MLFLOWHA_EXPORT Sha256 final : public CopyWatcher {
 public:
  Sha256();
  ~Sha256() override;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void on_bytes(const char* data, std::size_t size) noexcept override;
  /// 64 hexadecimal digits; Errc::internal when libcrypto has none (no memory, forbidden by its configuration).
  [[nodiscard]] Result<std::string> digest();

 private:
  void* context_;  // an EVP_MD_CTX
  bool good_ = false;
};

struct FileDigest {
  std::uint64_t size = 0;
  std::string sha256;
};
[[nodiscard]] MLFLOWHA_EXPORT Result<FileDigest> digest_file(const std::string& path);

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/sha256.ipp>
#endif

#endif
