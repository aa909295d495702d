#ifndef MLFLOWHA_CORE_IDEMPOTENCY_HPP
#define MLFLOWHA_CORE_IDEMPOTENCY_HPP

// Idempotency: what may be done with a request whose fate is unknown. The table of operations gives each operation one
// class; the call plan acts on it.

#include <mlflowha/config.hpp>

#include <cstdint>

MLFLOWHA_BEGIN_NAMESPACE

/// What may be done after an ambiguous failure. The table of operations gives each operation one class.
enum class Idempotency : std::uint8_t {
  read,              ///< send again, elsewhere
  same_again,        ///< send the identical bytes again
  once,              ///< as same_again, and the "already done" error of a repetition is success
  create_named,      ///< send again; on "already exists" read back and compare the request tag, or what was sent
  create_anonymous,  ///< look for the request tag before sending again
  never,             ///< do not send again; report Effect::unknown
};

MLFLOWHA_END_NAMESPACE

#endif
