#ifndef MLFLOWHA_CLIENT_REGISTRY_CALLS_HPP
#define MLFLOWHA_CLIENT_REGISTRY_CALLS_HPP

// RegistryCalls: the calls on registered models, model versions, logged models and webhooks as MlflowClient spells
// them, with plain arguments instead of a request. A base of Client; each is one call of the table of operations and
// nothing else. Versions are text ("3"), as MLflow has them.

#include <mlflowha/client/run_conveniences.hpp>

#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

// Of <mlflowha/api/logged_models.hpp>; who calls what takes them includes it.
struct LoggedModelTag;
struct LoggedModelStatusNames;
using LoggedModelStatus = OpenEnum<LoggedModelStatusNames>;

/// Thread-safe as Client is.
class MLFLOWHA_EXPORT RegistryCalls : public RunConveniences {
 public:
  using api::Calls::create_model_version;
  using api::Calls::create_registered_model;
  using api::Calls::delete_logged_model;
  using api::Calls::delete_logged_model_tag;
  using api::Calls::delete_model_version;
  using api::Calls::delete_model_version_tag;
  using api::Calls::delete_registered_model;
  using api::Calls::delete_registered_model_alias;
  using api::Calls::delete_registered_model_tag;
  using api::Calls::delete_webhook;
  using api::Calls::finalize_logged_model;
  using api::Calls::get_latest_versions;
  using api::Calls::get_logged_model;
  using api::Calls::get_model_version;
  using api::Calls::get_model_version_by_alias;
  using api::Calls::get_model_version_download_uri;
  using api::Calls::get_registered_model;
  using api::Calls::get_webhook;
  using api::Calls::rename_registered_model;
  using api::Calls::set_logged_model_tags;
  using api::Calls::set_model_version_tag;
  using api::Calls::set_registered_model_alias;
  using api::Calls::set_registered_model_tag;
  using api::Calls::test_webhook;
  using api::Calls::transition_model_version_stage;
  using api::Calls::update_model_version;
  using api::Calls::update_registered_model;

  /// The model has no tags but the request tag, and no description.
  [[nodiscard]] Result<RegisteredModel> create_registered_model(std::string_view name,
                                                                const CallOptions& options = {}) const;
  /// The next version of a registered model. There is nothing to wait for: the open-source server makes it ready at
  /// once.
  [[nodiscard]] Result<ModelVersion> create_model_version(std::string_view name, std::string_view source,
                                                          std::string_view run_id = {},
                                                          const CallOptions& options = {}) const;
  /// The newest version in each of `stages`; in every stage when there are none.
  [[nodiscard]] Result<std::vector<ModelVersion>> get_latest_versions(std::string_view name,
                                                                      std::vector<std::string> stages = {},
                                                                      const CallOptions& options = {}) const;
  /// `stage` is "None", "Staging", "Production" or "Archived". Errc::invalid_argument for archiving with a stage other
  /// than "Staging" and "Production", which servers answer with 500.
  [[nodiscard]] Result<ModelVersion> transition_model_version_stage(std::string_view name, std::string_view version,
                                                                    std::string_view stage,
                                                                    bool archive_existing_versions = false,
                                                                    const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> set_logged_model_tags(std::string_view model_id, std::vector<LoggedModelTag> tags,
                                                   const CallOptions& options = {}) const;
  [[nodiscard]] Result<RegisteredModel> get_registered_model(std::string_view name,
                                                             const CallOptions& options = {}) const;
  /// With all its versions, for good.
  [[nodiscard]] Result<void> delete_registered_model(std::string_view name, const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> rename_registered_model(std::string_view name, std::string_view new_name,
                                                     const CallOptions& options = {}) const;
  [[nodiscard]] Result<RegisteredModel> update_registered_model(std::string_view name, std::string_view description,
                                                                const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> set_registered_model_tag(std::string_view name, std::string_view key,
                                                      std::string_view value, const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> delete_registered_model_tag(std::string_view name, std::string_view key,
                                                         const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> set_registered_model_alias(std::string_view name, std::string_view alias,
                                                        std::string_view version,
                                                        const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> delete_registered_model_alias(std::string_view name, std::string_view alias,
                                                           const CallOptions& options = {}) const;
  [[nodiscard]] Result<ModelVersion> get_model_version_by_alias(std::string_view name, std::string_view alias,
                                                                const CallOptions& options = {}) const;
  [[nodiscard]] Result<ModelVersion> get_model_version(std::string_view name, std::string_view version,
                                                       const CallOptions& options = {}) const;
  [[nodiscard]] Result<ModelVersion> update_model_version(std::string_view name, std::string_view version,
                                                          std::string_view description,
                                                          const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> delete_model_version(std::string_view name, std::string_view version,
                                                  const CallOptions& options = {}) const;
  [[nodiscard]] Result<std::string> get_model_version_download_uri(std::string_view name, std::string_view version,
                                                                   const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> set_model_version_tag(std::string_view name, std::string_view version,
                                                   std::string_view key, std::string_view value,
                                                   const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> delete_model_version_tag(std::string_view name, std::string_view version,
                                                      std::string_view key, const CallOptions& options = {}) const;
  [[nodiscard]] Result<LoggedModel> get_logged_model(std::string_view model_id, const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> delete_logged_model(std::string_view model_id, const CallOptions& options = {}) const;
  [[nodiscard]] Result<LoggedModel> finalize_logged_model(std::string_view model_id, LoggedModelStatus status,
                                                          const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> delete_logged_model_tag(std::string_view model_id, std::string_view tag_key,
                                                     const CallOptions& options = {}) const;
  [[nodiscard]] Result<Webhook> get_webhook(std::string_view webhook_id, const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> delete_webhook(std::string_view webhook_id, const CallOptions& options = {}) const;
  /// With an example of its first event.
  [[nodiscard]] Result<WebhookTestResult> test_webhook(std::string_view webhook_id,
                                                       const CallOptions& options = {}) const;

 protected:
  RegistryCalls() = default;
  RegistryCalls(const RegistryCalls&) = default;
  RegistryCalls(RegistryCalls&&) = default;
  RegistryCalls& operator=(const RegistryCalls&) = default;
  RegistryCalls& operator=(RegistryCalls&&) = default;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/registry_calls.ipp>
#endif

#endif
