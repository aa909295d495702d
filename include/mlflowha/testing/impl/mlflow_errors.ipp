#ifndef MLFLOWHA_TESTING_IMPL_MLFLOW_ERRORS_IPP
#define MLFLOWHA_TESTING_IMPL_MLFLOW_ERRORS_IPP

// How MLflow spells an error: status by code, and the JSON body.

#include <mlflowha/config.hpp>

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

/// As json.dumps of Python writes a string: ASCII only.
MLFLOWHA_INLINE std::string json_string(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

/// MLflow's table (mlflow/exceptions.py, 3.17.2); 500 for everything else.
MLFLOWHA_INLINE int http_status_of(std::string_view error_code) noexcept {
  constexpr std::pair<std::string_view, int> table[] = {
      {"BAD_REQUEST", 400},
      {"INVALID_PARAMETER_VALUE", 400},
      {"RESOURCE_ALREADY_EXISTS", 400},
      {"UNAUTHENTICATED", 401},
      {"CUSTOMER_UNAUTHORIZED", 401},
      {"PERMISSION_DENIED", 403},
      {"NOT_FOUND", 404},
      {"RESOURCE_DOES_NOT_EXIST", 404},
      {"ENDPOINT_NOT_FOUND", 404},
      {"ABORTED", 409},
      {"ALREADY_EXISTS", 409},
      {"RESOURCE_CONFLICT", 409},
      {"REQUEST_LIMIT_EXCEEDED", 429},
      {"RESOURCE_EXHAUSTED", 429},
      {"CANCELLED", 499},
      {"NOT_IMPLEMENTED", 501},
      {"TEMPORARILY_UNAVAILABLE", 503},
      {"DEADLINE_EXCEEDED", 504},
  };
  for (const auto& row : table) {
    if (row.first == error_code) return row.second;
  }
  return 500;
}

/// `extra` goes in before the closing brace.
MLFLOWHA_INLINE std::string error_body(std::string_view error_code, std::string_view message,
                                       std::string_view extra = {}) {
  return "{\"error_code\": " + json_string(error_code) + ", \"message\": " + json_string(message) + std::string(extra) +
         "}";
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
