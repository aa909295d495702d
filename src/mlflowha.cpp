// The library's one translation unit (target mlflowha::mlflowha).
#include <mlflowha/impl/src.hpp>
