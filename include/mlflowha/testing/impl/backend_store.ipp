#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_STORE_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_STORE_IPP

// The tables of FakeBackend, with the keys and orders that MLflow's database schema gives them.

#include <mlflowha/api/logged_models.hpp>
#include <mlflowha/core/rng.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/impl/backend_names.ipp>

#include <deque>
#include <set>
#include <tuple>
#include <unordered_map>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

/// Keys and values in the order of their first appearance.
class KeyValues {
 public:
  [[nodiscard]] const std::string* find(const std::string& key) const {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &items_[found->second].second;
  }
  void set(const std::string& key, std::string value) {
    const auto [place, fresh] = index_.emplace(key, items_.size());
    if (fresh) {
      items_.emplace_back(key, std::move(value));
    } else {
      items_[place->second].second = std::move(value);
    }
  }
  bool erase(const std::string& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return false;
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(found->second));
    index_.clear();
    for (std::size_t i = 0; i < items_.size(); ++i) index_.emplace(items_[i].first, i);
    return true;
  }
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& items() const noexcept { return items_; }

 private:
  std::vector<std::pair<std::string, std::string>> items_;
  std::unordered_map<std::string, std::size_t> index_;
};

/// Primary key of the metrics table within one run and key, and the order of a history.
struct PointOrder {
  bool operator()(const StoredPoint& a, const StoredPoint& b) const noexcept {
    return std::tie(a.timestamp, a.step, a.value, a.is_nan) < std::tie(b.timestamp, b.step, b.value, b.is_nan);
  }
};

struct MetricSeries {
  std::string key;
  StoredPoint latest;  ///< the greatest by step, timestamp, value
  std::set<StoredPoint, PointOrder> points;
};

struct ExperimentRow {
  std::int64_t id = 0;
  std::string name;
  std::string artifact_location;
  bool deleted = false;
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
  KeyValues tags;
};

struct RunRow {
  std::string id;
  std::int64_t experiment_id = 0;
  std::string name;
  std::string user_id;
  std::int64_t status = 1;
  std::int64_t start_time = 0;
  std::optional<std::int64_t> end_time;
  bool deleted = false;
  std::string artifact_uri;
  KeyValues tags;
  KeyValues params;
  Json dataset_inputs = Json::array();
  std::vector<std::string> model_inputs;
  std::vector<std::pair<std::string, std::int64_t>> model_outputs;  // and their steps
  std::deque<MetricSeries> metrics;                                 // in the order of their first point
  std::unordered_map<std::string, MetricSeries*> metric_index;

  [[nodiscard]] const MetricSeries* metric(const std::string& key) const {
    const auto found = metric_index.find(key);
    return found == metric_index.end() ? nullptr : found->second;
  }
  /// False when the point is stored already.
  bool add_point(const std::string& key, const StoredPoint& point) {
    MetricSeries*& series = metric_index[key];
    if (series == nullptr) {
      series = &metrics.emplace_back();
      series->key = key;
      series->latest = point;
    }
    if (!series->points.insert(point).second) return false;
    const auto rank = [](const StoredPoint& p) { return std::tie(p.step, p.timestamp, p.value); };
    if (rank(point) > rank(series->latest)) series->latest = point;
    return true;
  }
};

struct ModelVersionRow {
  std::int64_t number = 0;
  std::string description;
  std::string stage = "None";
  std::string source;
  std::string run_id;
  std::string run_link;
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
  bool deleted = false;  ///< its number stays taken
  KeyValues tags;
};

struct RegisteredModelRow {
  std::string name;
  std::string description;
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
  KeyValues tags;
  std::map<std::string, std::int64_t> aliases;
  std::deque<ModelVersionRow> versions;  // by number, from 1 on
};

struct LoggedModelRow {
  std::string id;
  std::int64_t experiment_id = 0;
  std::string name;
  std::string model_type;
  std::string source_run_id;
  std::string status = "LOGGED_MODEL_PENDING";
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
  bool deleted = false;
  KeyValues tags;
  KeyValues params;
};

struct WebhookRow {
  std::string id;
  std::string name;
  std::string description;
  std::string url;
  Json events = Json::array();
  std::string status = "ACTIVE";
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
};

struct AssessmentRow {
  std::string id;
  std::string kind;  ///< feedback, expectation or issue
  std::string name;
  std::string span_id;
  Json source = Json::object();
  Json value;                   ///< of an issue: its name
  Json error = Json::object();  ///< of a feedback
  std::string rationale;
  std::map<std::string, std::string> metadata;
  std::string overrides;
  bool valid = true;
  std::int64_t create_time = 0;
  std::int64_t last_update_time = 0;
};

struct TraceRow {
  std::string id;
  std::int64_t experiment_id = 0;
  std::optional<std::string> client_request_id;
  std::optional<std::string> request_preview;
  std::optional<std::string> response_preview;
  std::int64_t request_time = 0;
  std::optional<std::int64_t> duration;
  std::string state = "STATE_UNSPECIFIED";
  KeyValues tags;
  std::map<std::string, std::string> metadata;
  std::vector<AssessmentRow> assessments;  // in order of creation
  std::set<std::string> runs;              // that it is linked to
  std::set<std::string> prompts;           // "name/version"
};

struct DatasetRecordRow {
  std::string id;
  Json inputs;
  Json outputs;       ///< null where there are none, as in the two below
  Json expectations;  ///< an object
  Json source;        ///< an object: source_type, source_data
  Json tags = Json::object();
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
  std::string created_by;
  std::string last_updated_by;
};

struct EvaluationDatasetRow {
  std::string id;
  std::string name;
  Json tags = Json::object();
  Json schema;
  std::string profile;
  std::string digest;
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
  std::string created_by;
  std::string last_updated_by;
  std::vector<std::string> experiment_ids;
  std::vector<DatasetRecordRow> records;
};

struct ScorerVersionRow {
  std::int64_t number = 0;
  std::string serialized;
  std::int64_t creation_time = 0;
};

struct ScoringConfigRow {
  std::string id;
  double sample_rate = 0;
  std::optional<std::string> filter;
};

struct ScorerRow {
  std::string id;
  std::int64_t experiment_id = 0;
  std::string name;
  std::vector<ScorerVersionRow> versions;  // the oldest first
  std::optional<ScoringConfigRow> config;
};

struct IssueRow {
  std::string id;
  std::int64_t experiment_id = 0;
  std::string name;
  std::string description;
  std::string status = "pending";
  std::string severity;
  Json root_causes = Json::array();
  Json categories = Json::array();
  std::string source_run_id;
  std::string created_by;
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
};

inline constexpr std::string_view run_name_tag = "mlflow.runName";

MLFLOWHA_INLINE std::string_view status_name(std::int64_t status) noexcept {
  static constexpr std::string_view names[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};
  return status >= 1 && status <= std::ssize(names) ? names[status - 1] : "RUNNING";
}

MLFLOWHA_INLINE std::string_view stage_name(bool deleted) noexcept { return deleted ? "deleted" : "active"; }

class Store {
 public:
  explicit Store(const BackendOptions& options) : rng_(options.seed) {
    // A plausible time that is another one for each seed.
    const std::int64_t created = options.created ? options.created->time_since_epoch().count()
                                                 : std::int64_t{1'767'225'600'000} - 86'400'000 +
                                                       static_cast<std::int64_t>(below(rng_, 86'400'000));
    ExperimentRow& first = experiments.emplace_back();
    first.name = "Default";
    first.artifact_location = "mlflow-artifacts:/0";
    first.creation_time = first.last_update_time = created;
  }

  std::deque<ExperimentRow> experiments;  // by id
  std::deque<RunRow> runs;                // in order of creation; addresses are stable
  std::unordered_map<std::string, RunRow*> run_index;
  std::map<std::string, RegisteredModelRow> models;                   // by name
  std::deque<LoggedModelRow> logged_models;                           // in order of creation
  std::deque<WebhookRow> webhooks;                                    // in order of creation
  std::map<std::string, TraceRow> traces;                             // by id
  std::map<std::string, EvaluationDatasetRow> evaluation_datasets;    // by id
  std::map<std::pair<std::int64_t, std::string>, ScorerRow> scorers;  // by experiment and name
  std::map<std::string, std::string> files;                           // of the artifact store, by path
  std::map<std::string, IssueRow> issues;                             // by id
  BackendCounts counts;
  DatabaseState database = DatabaseState::up;

  std::string make_id() { return make_uuid(rng_); }
  std::string make_run_id() {
    std::string id = make_uuid(rng_);
    id.erase(std::remove(id.begin(), id.end(), '-'), id.end());
    return id;
  }
  std::string make_run_name() {
    static constexpr const char* first[] = {"amber", "brisk", "calm", "daring", "eager", "frosty", "gentle", "hazy"};
    static constexpr const char* second[] = {"badger", "crane", "dingo", "ferret", "gecko", "heron", "ibex", "jackal"};
    return fmt::format("{}-{}-{}", first[below(rng_, std::size(first))], second[below(rng_, std::size(second))],
                       below(rng_, 1000));
  }

 private:
  SplitMixRng rng_;
};

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
