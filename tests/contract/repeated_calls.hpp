#ifndef MLFLOWHA_TESTS_CONTRACT_REPEATED_CALLS_HPP
#define MLFLOWHA_TESTS_CONTRACT_REPEATED_CALLS_HPP

// The calls that lose their answers, by group. Each function makes what its calls need, and adds the calls. The creates
// and the removals of what was created stand beside each other; what is never sent again has a file of its own.

#include <mlflowha/api/all.hpp>

#include "contract/made.hpp"
#include "contract/repeated.hpp"
#include "contract/server.hpp"

namespace mlflowha_tests {

/// Those of all groups that the suite's server has.
void add_calls(Repeated& repeated);

void add_tracking_calls(Repeated& repeated);
void add_registry_calls(Repeated& repeated);
void add_logged_model_calls(Repeated& repeated);
void add_mcp_calls(Repeated& repeated);
void add_evaluation_calls(Repeated& repeated);
void add_gateway_calls(Repeated& repeated);
void add_gateway_removals(Repeated& repeated);
void add_workspace_calls(Repeated& repeated);
void add_job_calls(Repeated& repeated);
void add_auth_calls(Repeated& repeated);
void add_auth_calls_of_2(Repeated& repeated);
void add_never_calls(Repeated& repeated);
void add_never_calls_of_3(Repeated& repeated);

}  // namespace mlflowha_tests

#endif
