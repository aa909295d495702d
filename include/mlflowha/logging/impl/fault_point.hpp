#ifndef MLFLOWHA_LOGGING_IMPL_FAULT_POINT_HPP
#define MLFLOWHA_LOGGING_IMPL_FAULT_POINT_HPP

// Fault points: places where the crash suite kills the process. Nothing at all unless the including program defines
// MLFLOWHA_FAULT_POINT, which only that suite does.

#if !defined(MLFLOWHA_FAULT_POINT)
#define MLFLOWHA_FAULT_POINT(name) static_cast<void>(0)
#endif

#endif
