#ifndef MLFLOWHA_MLFLOWHA_HPP
#define MLFLOWHA_MLFLOWHA_HPP

// Everything a program needs to talk to MLflow. Test doubles are in mlflowha/testing/testing.hpp.

#include <mlflowha/api/filter.hpp>
#include <mlflowha/api/pager.hpp>
#include <mlflowha/api/proto_time.hpp>
#include <mlflowha/client/client.hpp>

#endif
