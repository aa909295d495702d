#ifndef MLFLOWHA_LOGGING_IMPL_SHA256_IPP
#define MLFLOWHA_LOGGING_IMPL_SHA256_IPP

#include <mlflowha/logging/impl/sha256.hpp>

#include <openssl/evp.h>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  good_ = context_ != nullptr && EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), EVP_sha256(), nullptr) == 1;
}
MLFLOWHA_INLINE Sha256::~Sha256() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

MLFLOWHA_INLINE void Sha256::on_bytes(const char* data, std::size_t size) noexcept {
  good_ = good_ && EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), data, size) == 1;
}

MLFLOWHA_INLINE Result<std::string> Sha256::digest() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  good_ = good_ && EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), bytes, &size) == 1;
  if (!good_) {
    Error error;
    error.code = Errc::internal;
    error.message = "libcrypto computes no SHA-256";
    return error;
  }
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4U];
    text += "0123456789abcdef"[bytes[i] & 15U];
  }
  return text;
}

MLFLOWHA_INLINE Result<FileDigest> digest_file(const std::string& path) {
  Sha256 sha;
  Result<std::uint64_t> size = read_file(path, sha);
  if (!size) return std::move(size).error();
  Result<std::string> digest = sha.digest();
  if (!digest) return std::move(digest).error();
  return FileDigest{*size, std::move(*digest)};
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
