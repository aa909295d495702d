// The header-only half of a program whose other half uses the compiled library.
#include <mlflowha/core/uri.hpp>

mlflowha::Uri first_endpoint(const mlflowha::Uri& fallback);
mlflowha::Uri first_endpoint(const mlflowha::Uri& fallback) { return fallback; }
