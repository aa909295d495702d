#ifndef MLFLOWHA_LOGGING_IMPL_SENT_BOOK_IPP
#define MLFLOWHA_LOGGING_IMPL_SENT_BOOK_IPP

#include <mlflowha/logging/impl/sent_book.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// A value as MLflow's database compares it.
MLFLOWHA_INLINE double stored_value(double value) noexcept {
  constexpr double largest = std::numeric_limits<double>::max();
  return std::isnan(value) ? 0 : std::clamp(value, -largest, largest);
}

/// Is `a` later than `b`? A database that keeps a digit less than we sent hasn't lost anything.
MLFLOWHA_INLINE bool is_later(const Metric& a, const Metric& b) noexcept {
  if (a.step != b.step) return a.step > b.step;
  if (a.timestamp != b.timestamp) return a.timestamp > b.timestamp;
  const double x = stored_value(a.value);
  const double y = stored_value(b.value);
  return x > y && x - y > 1e-12 * std::max(std::fabs(x), std::fabs(y));
}

/// Older servers cut long values off instead of refusing them (250 characters at the least).
MLFLOWHA_INLINE bool is_value(std::string_view stored, std::string_view sent) noexcept {
  return stored == sent || (stored.size() >= 250 && sent.substr(0, stored.size()) == stored);
}

MLFLOWHA_INLINE bool SentBook::fits(std::size_t bytes) noexcept {
  constexpr std::size_t around = 128;  // of a node and its strings
  if (bytes + around > max_bytes_ - std::min(bytes_, max_bytes_)) {
    ++unchecked_;
    return false;
  }
  bytes_ += bytes + around;
  return true;
}

MLFLOWHA_INLINE void SentBook::add(const RunValues& values) {
  for (const Metric& metric : values.metrics) {
    const auto known = metrics_.find(metric.key);
    if (known == metrics_.end()) {
      if (fits(metric.key.size() + sizeof(Metric))) metrics_.emplace(metric.key, metric);
    } else if (is_later(metric, known->second)) {
      known->second = metric;
    }
  }
  for (const Param& param : values.params) {
    if (!params_.contains(param.key) && fits(param.key.size() + param.value.size())) {
      params_.emplace(param.key, param.value);
    }
  }
  for (const RunTag& tag : values.tags) {
    constexpr std::size_t most_earlier = 16;
    const auto known = tags_.find(tag.key);
    if (known == tags_.end()) {
      if (fits(tag.key.size() + tag.value.size())) tags_.emplace(tag.key, Tag{tag.value, {}});
      continue;
    }
    Tag& kept = known->second;
    if (kept.value == tag.value) continue;
    if (kept.earlier.size() == most_earlier) kept.earlier.erase(kept.earlier.begin());
    kept.earlier.push_back(std::hash<std::string>{}(kept.value));
    bytes_ = bytes_ - std::min(bytes_, kept.value.size()) + tag.value.size();
    kept.value = tag.value;
  }
}

MLFLOWHA_INLINE void SentBook::add(const RunArtifact& artifact) {
  const auto known = artifacts_.find(artifact.path);
  if (known != artifacts_.end()) {
    known->second = artifact.size;
  } else if (fits(artifact.path.size())) {
    artifacts_.emplace(artifact.path, artifact.size);
  }
}

MLFLOWHA_INLINE SentBook::Comparison SentBook::compare(const Run& run) const {
  Comparison result;
  const auto note = [&](std::string_view what, std::string_view key, std::string_view text) {
    constexpr std::size_t most_notes = 20;
    if (result.notes.size() < most_notes) {
      result.notes.push_back(fmt::format("{} \"{}\" {}", what, sanitize(key, 100), text));
    }
  };
  std::unordered_map<std::string_view, const Metric*> metrics;
  for (const Metric& metric : run.data.metrics) metrics.emplace(metric.key, &metric);
  for (const auto& [key, sent] : metrics_) {
    const auto there = metrics.find(key);
    if (there != metrics.end() && !is_later(sent, *there->second)) continue;
    note("metric", key, there == metrics.end() ? "isn't there" : "has an older point");
    result.resend.metrics.push_back(sent);
  }
  std::unordered_map<std::string_view, std::string_view> params;
  for (const Param& param : run.data.params) params.emplace(param.key, param.value);
  for (const auto& [key, sent] : params_) {
    const auto there = params.find(key);
    if (there == params.end()) {
      note("param", key, "isn't there");
      Param& again = result.resend.params.emplace_back();
      again.key = key;
      again.value = sent;
    } else if (!is_value(there->second, sent)) {
      note("param", key, "has another value");
      ++result.conflicts;
    }
  }
  std::unordered_map<std::string_view, std::string_view> tags;
  for (const RunTag& tag : run.data.tags) tags.emplace(tag.key, tag.value);
  for (const auto& [key, sent] : tags_) {
    const auto there = tags.find(key);
    if (there != tags.end() && is_value(there->second, sent.value)) continue;
    const auto& earlier = sent.earlier;
    const bool ours = there == tags.end() ||
                      std::find(earlier.begin(), earlier.end(), std::hash<std::string>{}(std::string(there->second))) !=
                          earlier.end();
    if (!ours) {
      note("tag", key, "was set by somebody else");
      ++result.foreign;
      continue;
    }
    note("tag", key, there == tags.end() ? "isn't there" : "has an older value");
    RunTag& again = result.resend.tags.emplace_back();
    again.key = key;
    again.value = sent.value;
  }
  result.checked = metrics_.size() + params_.size() + tags_.size();
  if (end_) {
    ++result.checked;
    if (run.info.status == RunStatus::running || run.info.status == RunStatus::scheduled) {
      note("the run's end", end_->status.name(), "isn't there");
      result.end = end_;
    } else if (run.info.status != end_->status) {
      note("the run's end", end_->status.name(), "was set by somebody else");
      ++result.foreign;
    }
  }
  return result;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
