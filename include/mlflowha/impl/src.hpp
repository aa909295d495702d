#ifndef MLFLOWHA_IMPL_SRC_HPP
#define MLFLOWHA_IMPL_SRC_HPP

// Every definition of the library, as the units that src/ compiles: each .ipp belongs to one of them. They are several
// so that two cores compile at once. A program that wants the library as a part of its own includes this in one file.

#include <mlflowha/impl/src_engine.hpp>
#include <mlflowha/impl/src_evaluation.hpp>
#include <mlflowha/impl/src_models.hpp>
#include <mlflowha/impl/src_recipes.hpp>
#include <mlflowha/impl/src_tracking.hpp>

#endif
