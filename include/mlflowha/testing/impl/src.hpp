#ifndef MLFLOWHA_TESTING_IMPL_SRC_HPP
#define MLFLOWHA_TESTING_IMPL_SRC_HPP

// Every definition of the testing room. Included by src/testing.cpp and by nothing else.

#include <mlflowha/testing/impl/fake_backend.ipp>
#include <mlflowha/testing/impl/fake_clock.ipp>
#include <mlflowha/testing/impl/fake_server.ipp>
#include <mlflowha/testing/impl/fake_transport.ipp>
#include <mlflowha/testing/impl/fault_injector.ipp>
#include <mlflowha/testing/impl/fault_parser.ipp>
#include <mlflowha/testing/impl/fault_proxy.ipp>
#include <mlflowha/testing/impl/fault_script.ipp>

#endif
