#ifndef MLFLOWHA_CLIENT_RECONCILE_HPP
#define MLFLOWHA_CLIENT_RECONCILE_HPP

// ReconcileReport: what Client::reconcile found when it looked for late twins.

#include <mlflowha/config.hpp>

#include <cstddef>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// An object that exists besides (or instead of) the one a create returned.
struct Twin {
  std::string operation;  ///< "create_run"
  std::string kept_id;    ///< "" when the create failed: then nobody has this object and it is left alone
  std::string twin_id;
  std::string request_tag;  ///< value of the tag `mlflowha.request_id` that both carry
  bool removed = false;

  friend bool operator==(const Twin&, const Twin&) = default;
};

struct ReconcileReport {
  std::size_t looked_after = 0;  ///< creates with an ambiguous attempt that were looked up
  std::vector<Twin> twins;       ///< found in this look
};

MLFLOWHA_END_NAMESPACE

#endif
