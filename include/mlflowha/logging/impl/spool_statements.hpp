#ifndef MLFLOWHA_LOGGING_IMPL_SPOOL_STATEMENTS_HPP
#define MLFLOWHA_LOGGING_IMPL_SPOOL_STATEMENTS_HPP

// The statements that a spool prepares once: those that run for every batch.

#include <mlflowha/logging/impl/sqlite.hpp>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

struct SpoolStatements {
  Statement append;
  Statement head;
  Statement any;
  Statement run;
  Statement next_run;
  Statement settle;
  Statement settled_sums;
  Statement park;
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
