// The first of the library's units (target mlflowha::mlflowha); the others are src/mlflowha_*.cpp.
#include <mlflowha/impl/src_engine.hpp>
