#include <mlflowha/core/uri.hpp>

std::size_t count_in_second_unit(const char* text);
std::size_t count_in_second_unit(const char* text) { return mlflowha::parse_endpoint_list(text).value().size(); }
