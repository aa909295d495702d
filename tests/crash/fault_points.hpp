#ifndef MLFLOWHA_TESTS_CRASH_FAULT_POINTS_HPP
#define MLFLOWHA_TESTS_CRASH_FAULT_POINTS_HPP

// Included before everything else in this suite, whose library is header-only: the library's fault points call back.

namespace mlflowha_tests {
/// Kills the process with SIGKILL when it is this point's turn.
void fault_point(const char* name) noexcept;
}  // namespace mlflowha_tests

#define MLFLOWHA_FAULT_POINT(name) ::mlflowha_tests::fault_point(name)

#endif
