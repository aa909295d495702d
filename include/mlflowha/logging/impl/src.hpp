#ifndef MLFLOWHA_LOGGING_IMPL_SRC_HPP
#define MLFLOWHA_LOGGING_IMPL_SRC_HPP

// Every definition of the logging room. Included by src/logging.cpp and by nothing else.

#include <mlflowha/logging/impl/fork.ipp>
#include <mlflowha/logging/impl/record.ipp>
#include <mlflowha/logging/impl/spool.ipp>
#include <mlflowha/logging/impl/spool_file.ipp>
#include <mlflowha/logging/impl/sqlite.ipp>

#endif
