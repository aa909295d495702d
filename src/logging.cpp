// The one translation unit of the target mlflowha::logging.
#include <mlflowha/logging/impl/src.hpp>
