#ifndef MLFLOWHA_CORE_SECRET_HPP
#define MLFLOWHA_CORE_SECRET_HPP

// Secret: a string that can't be printed by accident. Passwords and tokens are held in it from configuration to the
// transport; only code that writes `.reveal()` sees the text.

#include <mlflowha/config.hpp>

#include <string>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

/// A redacting string. Comparable, copyable, never streamable; to_string() shows only whether it is set.
class Secret {
 public:
  Secret() = default;
  Secret(std::string text) : text_(std::move(text)) {}  // NOLINT(google-explicit-constructor)
  Secret(const char* text) : text_(text) {}             // NOLINT(google-explicit-constructor)

  [[nodiscard]] const std::string& reveal() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

  friend bool operator==(const Secret&, const Secret&) = default;
  friend std::string to_string(const Secret& secret) { return secret.empty() ? "" : "[secret]"; }

 private:
  std::string text_;
};

MLFLOWHA_END_NAMESPACE

#endif
