#ifndef MLFLOWHA_CLIENT_IMPL_REGISTRY_CALLS_IPP
#define MLFLOWHA_CLIENT_IMPL_REGISTRY_CALLS_IPP

#include <mlflowha/api/logged_models.hpp>
#include <mlflowha/api/webhooks.hpp>
#include <mlflowha/client/registry_calls.hpp>

#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// As servers compare the names of stages: ASCII letters, whatever their case.
MLFLOWHA_INLINE bool same_letters(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

}  // namespace detail

MLFLOWHA_INLINE Result<RegisteredModel> RegistryCalls::create_registered_model(std::string_view name,
                                                                               const CallOptions& options) const {
  CreateRegisteredModel request;
  request.name = name;
  return create_registered_model(std::move(request), options);
}

MLFLOWHA_INLINE Result<ModelVersion> RegistryCalls::create_model_version(std::string_view name, std::string_view source,
                                                                         std::string_view run_id,
                                                                         const CallOptions& options) const {
  CreateModelVersion request;
  request.name = name;
  request.source = source;
  request.run_id = run_id;
  return create_model_version(std::move(request), options);
}

MLFLOWHA_INLINE Result<std::vector<ModelVersion>> RegistryCalls::get_latest_versions(std::string_view name,
                                                                                     std::vector<std::string> stages,
                                                                                     const CallOptions& options) const {
  GetLatestVersions request;
  request.name = name;
  request.stages = std::move(stages);
  return get_latest_versions(request, options);
}

MLFLOWHA_INLINE Result<ModelVersion> RegistryCalls::transition_model_version_stage(std::string_view name,
                                                                                   std::string_view version,
                                                                                   std::string_view stage,
                                                                                   bool archive_existing_versions,
                                                                                   const CallOptions& options) const {
  if (archive_existing_versions && !detail::same_letters(stage, "Staging") &&
      !detail::same_letters(stage, "Production")) {
    return invalid_argument("transition_model_version_stage: stage is \"" + sanitize(stage, 64) +
                            "\"; expected Staging or Production, because archive_existing_versions is set");
  }
  TransitionModelVersionStage request;
  request.name = name;
  request.version = version;
  request.stage = stage;
  request.archive_existing_versions = archive_existing_versions;
  return transition_model_version_stage(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::set_logged_model_tags(std::string_view model_id,
                                                                  std::vector<LoggedModelTag> tags,
                                                                  const CallOptions& options) const {
  SetLoggedModelTags request;
  request.model_id = model_id;
  request.tags = std::move(tags);
  return set_logged_model_tags(request, options);
}

MLFLOWHA_INLINE Result<RegisteredModel> RegistryCalls::get_registered_model(std::string_view name,
                                                                            const CallOptions& options) const {
  GetRegisteredModel request;
  request.name = name;
  return get_registered_model(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::delete_registered_model(std::string_view name,
                                                                    const CallOptions& options) const {
  DeleteRegisteredModel request;
  request.name = name;
  return delete_registered_model(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::rename_registered_model(std::string_view name, std::string_view new_name,
                                                                    const CallOptions& options) const {
  RenameRegisteredModel request;
  request.name = name;
  request.new_name = new_name;
  return rename_registered_model(request, options);
}

MLFLOWHA_INLINE Result<RegisteredModel> RegistryCalls::update_registered_model(std::string_view name,
                                                                               std::string_view description,
                                                                               const CallOptions& options) const {
  UpdateRegisteredModel request;
  request.name = name;
  request.description = description;
  return update_registered_model(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::set_registered_model_tag(std::string_view name, std::string_view key,
                                                                     std::string_view value,
                                                                     const CallOptions& options) const {
  SetRegisteredModelTag request;
  request.name = name;
  request.key = key;
  request.value = value;
  return set_registered_model_tag(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::delete_registered_model_tag(std::string_view name, std::string_view key,
                                                                        const CallOptions& options) const {
  DeleteRegisteredModelTag request;
  request.name = name;
  request.key = key;
  return delete_registered_model_tag(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::set_registered_model_alias(std::string_view name, std::string_view alias,
                                                                       std::string_view version,
                                                                       const CallOptions& options) const {
  SetRegisteredModelAlias request;
  request.name = name;
  request.alias = alias;
  request.version = version;
  return set_registered_model_alias(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::delete_registered_model_alias(std::string_view name, std::string_view alias,
                                                                          const CallOptions& options) const {
  DeleteRegisteredModelAlias request;
  request.name = name;
  request.alias = alias;
  return delete_registered_model_alias(request, options);
}

MLFLOWHA_INLINE Result<ModelVersion> RegistryCalls::get_model_version_by_alias(std::string_view name,
                                                                               std::string_view alias,
                                                                               const CallOptions& options) const {
  GetModelVersionByAlias request;
  request.name = name;
  request.alias = alias;
  return get_model_version_by_alias(request, options);
}

MLFLOWHA_INLINE Result<ModelVersion> RegistryCalls::get_model_version(std::string_view name, std::string_view version,
                                                                      const CallOptions& options) const {
  GetModelVersion request;
  request.name = name;
  request.version = version;
  return get_model_version(request, options);
}

MLFLOWHA_INLINE Result<ModelVersion> RegistryCalls::update_model_version(std::string_view name,
                                                                         std::string_view version,
                                                                         std::string_view description,
                                                                         const CallOptions& options) const {
  UpdateModelVersion request;
  request.name = name;
  request.version = version;
  request.description = description;
  return update_model_version(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::delete_model_version(std::string_view name, std::string_view version,
                                                                 const CallOptions& options) const {
  DeleteModelVersion request;
  request.name = name;
  request.version = version;
  return delete_model_version(request, options);
}

MLFLOWHA_INLINE Result<std::string> RegistryCalls::get_model_version_download_uri(std::string_view name,
                                                                                  std::string_view version,
                                                                                  const CallOptions& options) const {
  GetModelVersionDownloadUri request;
  request.name = name;
  request.version = version;
  return get_model_version_download_uri(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::set_model_version_tag(std::string_view name, std::string_view version,
                                                                  std::string_view key, std::string_view value,
                                                                  const CallOptions& options) const {
  SetModelVersionTag request;
  request.name = name;
  request.version = version;
  request.key = key;
  request.value = value;
  return set_model_version_tag(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::delete_model_version_tag(std::string_view name, std::string_view version,
                                                                     std::string_view key,
                                                                     const CallOptions& options) const {
  DeleteModelVersionTag request;
  request.name = name;
  request.version = version;
  request.key = key;
  return delete_model_version_tag(request, options);
}

MLFLOWHA_INLINE Result<LoggedModel> RegistryCalls::get_logged_model(std::string_view model_id,
                                                                    const CallOptions& options) const {
  GetLoggedModel request;
  request.model_id = model_id;
  return get_logged_model(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::delete_logged_model(std::string_view model_id,
                                                                const CallOptions& options) const {
  DeleteLoggedModel request;
  request.model_id = model_id;
  return delete_logged_model(request, options);
}

MLFLOWHA_INLINE Result<LoggedModel> RegistryCalls::finalize_logged_model(std::string_view model_id,
                                                                         LoggedModelStatus status,
                                                                         const CallOptions& options) const {
  FinalizeLoggedModel request;
  request.model_id = model_id;
  request.status = std::move(status);
  return finalize_logged_model(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::delete_logged_model_tag(std::string_view model_id, std::string_view tag_key,
                                                                    const CallOptions& options) const {
  DeleteLoggedModelTag request;
  request.model_id = model_id;
  request.tag_key = tag_key;
  return delete_logged_model_tag(request, options);
}

MLFLOWHA_INLINE Result<Webhook> RegistryCalls::get_webhook(std::string_view webhook_id,
                                                           const CallOptions& options) const {
  GetWebhook request;
  request.webhook_id = webhook_id;
  return get_webhook(request, options);
}

MLFLOWHA_INLINE Result<void> RegistryCalls::delete_webhook(std::string_view webhook_id,
                                                           const CallOptions& options) const {
  DeleteWebhook request;
  request.webhook_id = webhook_id;
  return delete_webhook(request, options);
}

MLFLOWHA_INLINE Result<WebhookTestResult> RegistryCalls::test_webhook(std::string_view webhook_id,
                                                                      const CallOptions& options) const {
  TestWebhook request;
  request.webhook_id = webhook_id;
  return test_webhook(request, options);
}

MLFLOWHA_END_NAMESPACE

#endif
