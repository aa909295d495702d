// One of the library's units (target mlflowha::mlflowha).
#include <mlflowha/impl/src_models.hpp>
