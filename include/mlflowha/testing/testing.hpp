#ifndef MLFLOWHA_TESTING_TESTING_HPP
#define MLFLOWHA_TESTING_TESTING_HPP

// All test doubles at once. Link mlflowha::testing (or mlflowha::testing_header_only); docs/testing.md has examples.

#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/testing/fake_server.hpp>
#include <mlflowha/testing/fake_transport.hpp>
#include <mlflowha/testing/fault_injector.hpp>
#include <mlflowha/testing/fault_proxy.hpp>
#include <mlflowha/testing/fault_script.hpp>

#endif
