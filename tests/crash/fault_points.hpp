#ifndef MLFLOWHA_TESTS_CRASH_FAULT_POINTS_HPP
#define MLFLOWHA_TESTS_CRASH_FAULT_POINTS_HPP

// Included before everything else in this suite and in its copy of the logging library: the fault points call back.

#include <functional>
#include <string>

namespace mlflowha_tests {
/// The process that passes this point for the `turn`-th time is killed; "" for none.
void aim_fault(const std::string& name, int turn);
/// Who passes this point next does `what`, once.
void call_at_fault(const std::string& name, std::function<void()> what);
/// Kills the process with SIGKILL when it is this point's turn, or calls what is to be called.
void fault_point(const char* name) noexcept;
}  // namespace mlflowha_tests

#define MLFLOWHA_FAULT_POINT(name) ::mlflowha_tests::fault_point(name)

#endif
