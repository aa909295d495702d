// The one translation unit of the target mlflowha::testing.
#include <mlflowha/testing/impl/src.hpp>
