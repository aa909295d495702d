#ifndef MLFLOWHA_LOGGING_HPP
#define MLFLOWHA_LOGGING_HPP

// Durable logging: RunLogger, its spool, and the Replayer. Not part of mlflowha/mlflowha.hpp because it needs SQLite:
// link mlflowha::logging (or mlflowha::logging_header_only).

#include <mlflowha/logging/record.hpp>
#include <mlflowha/logging/replayer.hpp>
#include <mlflowha/logging/run_logger.hpp>
#include <mlflowha/logging/spool.hpp>

#endif
