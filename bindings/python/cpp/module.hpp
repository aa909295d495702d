#ifndef MLFLOWHA_PYTHON_MODULE_HPP
#define MLFLOWHA_PYTHON_MODULE_HPP

// The parts that make up mlflowha._core.

#include <pybind11/pybind11.h>

namespace mlflowha_python {

void add_client(pybind11::module_& module);
void add_run_logger(pybind11::module_& module);

}  // namespace mlflowha_python

#endif
