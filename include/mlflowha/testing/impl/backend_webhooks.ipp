#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_WEBHOOKS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_WEBHOOKS_IPP

// Handlers for webhooks. Nothing is ever sent to their URLs.

#include <mlflowha/testing/impl/backend_search.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE const MessageType& webhook_event_message() {
  static const MessageType type{{{"entity", "entity", FieldType::text}, {"action", "action", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& webhook_request() {
  static const MessageType type{{{"webhook_id", "webhookId", FieldType::text},
                                 {"name", "name", FieldType::text},
                                 {"description", "description", FieldType::text},
                                 {"url", "url", FieldType::text},
                                 {"events", "events", FieldType::message, true, &webhook_event_message()},
                                 {"secret", "secret", FieldType::text},
                                 {"status", "status", FieldType::text},
                                 {"event", "event", FieldType::message, false, &webhook_event_message()},
                                 {"max_results", "maxResults", FieldType::integer},
                                 {"page_token", "pageToken", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE void check_webhook_name(const std::string& name) {
  const auto end_character = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  bool good = !name.empty() && name.size() <= max_webhook_name_length && end_character(name.front()) &&
              end_character(name.back());
  for (const char c : name) good = good && (end_character(c) || c == '.' || c == '_' || c == '-');
  if (!good) {
    refuse(
        fmt::format("Webhook name '{}' is invalid. It must start and end with a letter or digit, be less than 63 "
                    "characters long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-).",
                    name));
  }
}

/// Real servers look the host up, too, and refuse what isn't public.
MLFLOWHA_INLINE void check_webhook_url(const std::string& url) {
  const std::string scheme = url.substr(0, url.find(':'));
  if (scheme != "https") {
    refuse(fmt::format("Invalid webhook URL scheme: '{}'. Allowed schemes are: https.", scheme));
  }
}

MLFLOWHA_INLINE void check_webhook_events(const Json& events) {
  static constexpr std::pair<std::string_view, std::string_view> valid[] = {{"REGISTERED_MODEL", "CREATED"},
                                                                            {"MODEL_VERSION", "CREATED"},
                                                                            {"MODEL_VERSION_TAG", "SET"},
                                                                            {"MODEL_VERSION_TAG", "DELETED"},
                                                                            {"MODEL_VERSION_ALIAS", "CREATED"},
                                                                            {"MODEL_VERSION_ALIAS", "DELETED"},
                                                                            {"PROMPT", "CREATED"},
                                                                            {"PROMPT_VERSION", "CREATED"},
                                                                            {"PROMPT_TAG", "SET"},
                                                                            {"PROMPT_TAG", "DELETED"},
                                                                            {"PROMPT_VERSION_TAG", "SET"},
                                                                            {"PROMPT_VERSION_TAG", "DELETED"},
                                                                            {"PROMPT_ALIAS", "CREATED"},
                                                                            {"PROMPT_ALIAS", "DELETED"},
                                                                            {"BUDGET_POLICY", "EXCEEDED"}};
  for (const Json& event : events) {
    const std::string entity = ParsedRequest::text_of(event, "entity");
    const std::string action = ParsedRequest::text_of(event, "action");
    if (std::find(std::begin(valid), std::end(valid), std::pair<std::string_view, std::string_view>(entity, action)) ==
        std::end(valid)) {
      refuse(fmt::format("Invalid action '{}' for entity '{}'.", action, entity));
    }
  }
}

MLFLOWHA_INLINE Json webhook_json(const WebhookRow& row) {
  Json json;
  json["webhook_id"] = row.id;
  json["name"] = row.name;
  if (!row.description.empty()) json["description"] = row.description;
  json["url"] = row.url;
  json["events"] = row.events;
  json["status"] = row.status;
  json["creation_timestamp"] = row.creation_time;
  json["last_updated_timestamp"] = row.last_update_time;
  return json;
}

MLFLOWHA_INLINE Json webhook_answer(const WebhookRow& row) {
  Json answer;
  answer["webhook"] = webhook_json(row);
  return answer;
}

MLFLOWHA_INLINE WebhookRow& BackendState::webhook(const std::string& id) {
  const auto found =
      std::find_if(store.webhooks.begin(), store.webhooks.end(), [&](const WebhookRow& row) { return row.id == id; });
  if (found == store.webhooks.end()) {
    refuse(fmt::format("Webhook with ID {} not found.", id), "RESOURCE_DOES_NOT_EXIST");
  }
  return *found;
}

MLFLOWHA_INLINE Json BackendState::create_webhook(ParsedRequest& request) {
  request.required("name").text("name").required("url").text("url").required("events").list("events");
  WebhookRow row;
  row.name = request.text_value("name");
  row.url = request.text_value("url");
  row.events = request.list_value("events");
  check_webhook_name(row.name);
  check_webhook_url(row.url);
  if (row.events.empty()) refuse("Webhook events must be a non-empty list of WebhookEvent objects: [].");
  check_webhook_events(row.events);
  use_database(true);
  row.id = store.make_id();
  row.description = request.text_value("description");
  if (request.has("status")) row.status = request.text_value("status");
  row.creation_time = row.last_update_time = now_ms_;
  store.webhooks.push_back(std::move(row));
  return webhook_answer(store.webhooks.back());
}

MLFLOWHA_INLINE Json BackendState::list_webhooks(ParsedRequest& request) {
  request.integer("max_results").text("page_token");
  std::int64_t max_results = request.integer_value("max_results");
  if (max_results == 0) max_results = 100;
  if (max_results < 1 || max_results > 1000) refuse("max_results must be between 1 and 1000.");
  use_database(false);
  std::vector<const WebhookRow*> rows;  // the newest first
  rows.reserve(store.webhooks.size());
  for (std::size_t i = store.webhooks.size(); i-- > 0;) rows.push_back(&store.webhooks[i]);
  return page_of(rows, "webhooks", request, max_results, webhook_json);
}

MLFLOWHA_INLINE Json BackendState::get_webhook(ParsedRequest&) {
  use_database(false);
  return webhook_answer(webhook(places_[0]));
}

MLFLOWHA_INLINE Json BackendState::update_webhook(ParsedRequest& request) {
  request.text("name").text("url").list("events");
  use_database(true);
  WebhookRow& row = webhook(places_[0]);
  if (request.has("name")) check_webhook_name(request.text_value("name"));
  if (request.has("url")) check_webhook_url(request.text_value("url"));
  check_webhook_events(request.list_value("events"));
  if (request.has("name")) row.name = request.text_value("name");
  if (request.has("description")) row.description = request.text_value("description");
  if (request.has("url")) row.url = request.text_value("url");
  if (!request.list_value("events").empty()) row.events = request.list_value("events");
  if (request.has("status")) row.status = request.text_value("status");
  row.last_update_time = now_ms_;
  return webhook_answer(row);
}

MLFLOWHA_INLINE Json BackendState::delete_webhook(ParsedRequest&) {
  use_database(true);
  const std::string id = webhook(places_[0]).id;
  std::erase_if(store.webhooks, [&](const WebhookRow& row) { return row.id == id; });
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::test_webhook(ParsedRequest&) {
  use_database(false);
  static_cast<void>(webhook(places_[0]));
  Json answer;
  answer["result"]["success"] = false;
  answer["result"]["error_message"] = "Failed to test webhook: this server sends nothing";
  return answer;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
