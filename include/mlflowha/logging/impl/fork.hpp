#ifndef MLFLOWHA_LOGGING_IMPL_FORK_HPP
#define MLFLOWHA_LOGGING_IMPL_FORK_HPP

// What fork() means for this room. A child has its parent's memory but not its threads, must not touch the parent's
// SQLite connections, and would keep the parent's file locks alive after the parent has died. So a handler counts
// generations, by which objects notice that they belong to the parent, and closes the child's copies of lock files.

#include <mlflowha/config.hpp>

#include <cstdint>
#include <mutex>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// How many forks lie between this process and the one that first used the room. One relaxed load.
[[nodiscard]] MLFLOWHA_EXPORT std::uint64_t fork_generation() noexcept;
/// Held by nobody while a fork happens, so a child finds it free.
[[nodiscard]] MLFLOWHA_EXPORT std::mutex& fork_mutex() noexcept;
/// A child closes its copy of `fd`. Closing a copy releases no lock: the parent keeps it.
MLFLOWHA_EXPORT void close_in_children(int fd);
/// `fd` is about to be closed here.
MLFLOWHA_EXPORT void forget_in_children(int fd) noexcept;

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/fork.ipp>
#endif

#endif
