#ifndef MLFLOWHA_CLIENT_IMPL_IDENTITY_HPP
#define MLFLOWHA_CLIENT_IMPL_IDENTITY_HPP

// IdentityBook: do all endpoints front the same database? Each endpoint is asked for its oldest experiments at first
// contact; two servers on one database name the same ones. Two databases that were filled independently don't (their
// "Default" experiments were created at different milliseconds). A restored copy of a database looks like its original:
// that can't be told apart by reading, and is documented.

#include <mlflowha/api/operation.hpp>
#include <mlflowha/core/impl/fork_mutex.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/http/message.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// The oldest experiments: (id, creation time in ms).
using Fingerprint = std::vector<std::pair<std::string, std::int64_t>>;

/// The read that identifies an endpoint and, since it touches the database, also shows that it works.
[[nodiscard]] MLFLOWHA_EXPORT const api::Operation& identity_operation() noexcept;
[[nodiscard]] MLFLOWHA_EXPORT const Request& identity_request();
[[nodiscard]] MLFLOWHA_EXPORT Result<Fingerprint> read_fingerprint(const Response& response);

/// Thread-safe.
class MLFLOWHA_EXPORT IdentityBook {
 public:
  enum class Verdict : std::uint8_t { same, other, unknown };
  /// Compares with what the endpoints before it showed; the first one with experiments becomes the reference. Several
  /// experiments are compared so that the deletion of one for good doesn't split a cluster: one in common is enough.
  [[nodiscard]] Verdict compare(const Fingerprint& fingerprint, const std::string& endpoint);
  /// "http://b:5000 fronts another database than http://a:5000: ..."
  [[nodiscard]] std::string explain(const Fingerprint& fingerprint, const std::string& endpoint) const;

 private:
  mutable ForkMutex mutex_;
  Fingerprint reference_;
  std::string reference_endpoint_;
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/identity.ipp>
#endif

#endif
