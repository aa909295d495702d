#ifndef MLFLOWHA_IMPL_SRC_MODELS_HPP
#define MLFLOWHA_IMPL_SRC_MODELS_HPP

// The library's unit of typed calls and codecs: the registries, users and workspaces. Groups that share codecs share a
// unit.

#include <mlflowha/api/impl/auth_calls.ipp>
#include <mlflowha/api/impl/mcp_servers_calls.ipp>
#include <mlflowha/api/impl/registry_calls.ipp>
#include <mlflowha/api/impl/webhooks_calls.ipp>
#include <mlflowha/api/impl/workspaces_calls.ipp>

#endif
