#include <mlflowha/core/uri.hpp>

mlflowha::Uri first_endpoint(const mlflowha::Uri& fallback);

int main() { return first_endpoint(mlflowha::Uri{}).port; }
