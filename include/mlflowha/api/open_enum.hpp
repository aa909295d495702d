#ifndef MLFLOWHA_API_OPEN_ENUM_HPP
#define MLFLOWHA_API_OPEN_ENUM_HPP

// OpenEnum: an enumeration that a newer server may extend. Known values are enumerators; an unknown one survives with
// its name and goes back to the server as it came.
//
//   if (run.info.status == RunStatus::finished) ...
//   switch (run.info.status.value()) { case RunStatus::running: ...; case RunStatus::unrecognized: ...; }

#include <mlflowha/config.hpp>

#include <cstdint>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// One enumerator and MLflow's spelling of it.
struct EnumName {
  std::int32_t number;
  std::string_view name;
};

/// A value of the enumeration `Names::Value`, known or not. A plain value: copy, compare, keep. Every `Names` has
/// `unspecified` (0: absent) and `unrecognized` (-1: a name or number that this library doesn't know).
template <class Names>
class OpenEnum : public Names {
 public:
  using Value = typename Names::Value;

  OpenEnum() noexcept = default;
  OpenEnum(Value value) noexcept : value_(value) {}  // NOLINT(google-explicit-constructor)

  /// The value with MLflow's name, e.g. "FINISHED".
  [[nodiscard]] static OpenEnum from_name(std::string_view name) {
    for (const EnumName& known : Names::names) {
      if (known.name == name) return static_cast<Value>(known.number);
    }
    OpenEnum unknown(Names::unrecognized);
    unknown.unknown_ = name;
    return unknown;
  }
  /// The value with MLflow's number.
  [[nodiscard]] static OpenEnum from_number(std::int64_t number) {
    for (const EnumName& known : Names::names) {
      if (known.number == number) return static_cast<Value>(known.number);
    }
    if (number == 0) return OpenEnum();
    OpenEnum unknown(Names::unrecognized);
    unknown.unknown_ = std::to_string(number);
    return unknown;
  }

  [[nodiscard]] Value value() const noexcept { return value_; }
  /// MLflow's name; of an unrecognized value what the server sent; "" of an absent one.
  [[nodiscard]] std::string_view name() const noexcept {
    for (const EnumName& known : Names::names) {
      if (known.number == value_) return known.name;
    }
    return unknown_;
  }

  friend bool operator==(const OpenEnum& a, const OpenEnum& b) noexcept {
    return a.value_ == b.value_ && a.unknown_ == b.unknown_;
  }
  /// Every unknown value equals `unrecognized`.
  friend bool operator==(const OpenEnum& a, Value b) noexcept { return a.value_ == b; }

 private:
  Value value_ = Names::unspecified;
  std::string unknown_;  // only of an unrecognized value
};

MLFLOWHA_END_NAMESPACE

#endif
