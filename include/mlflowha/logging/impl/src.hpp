#ifndef MLFLOWHA_LOGGING_IMPL_SRC_HPP
#define MLFLOWHA_LOGGING_IMPL_SRC_HPP

// Every definition of the logging room. Included by src/logging.cpp and by nothing else.

#include <mlflowha/logging/impl/deliver.ipp>
#include <mlflowha/logging/impl/deliver_artifact.ipp>
#include <mlflowha/logging/impl/fork.ipp>
#include <mlflowha/logging/impl/log_hub.ipp>
#include <mlflowha/logging/impl/record.ipp>
#include <mlflowha/logging/impl/replayer.ipp>
#include <mlflowha/logging/impl/run_buffer.ipp>
#include <mlflowha/logging/impl/run_logger.ipp>
#include <mlflowha/logging/impl/sent_book.ipp>
#include <mlflowha/logging/impl/sha256.ipp>
#include <mlflowha/logging/impl/spool.ipp>
#include <mlflowha/logging/impl/spool_artifacts.ipp>
#include <mlflowha/logging/impl/spool_file.ipp>
#include <mlflowha/logging/impl/sqlite.ipp>
#include <mlflowha/logging/impl/turns.ipp>
#include <mlflowha/logging/impl/verify.ipp>

#endif
