#ifndef MLFLOWHA_CONFIG_HPP
#define MLFLOWHA_CONFIG_HPP

// The only macros of the library: which of the two targets is being built, and how a definition is spelled in it.
//
// mlflowha::header_only defines MLFLOWHA_HEADER_ONLY: every `.ipp` is pulled in by its header and all definitions are
// inline. Otherwise definitions live in the compiled library. The mode is part of the inline namespace, so a program
// that mixes the two fails when it is linked and not when it runs.

#include <mlflowha/version.hpp>

#if defined(MLFLOWHA_HEADER_ONLY)
#define MLFLOWHA_INLINE inline
#define MLFLOWHA_ABI v0_header_only
#define MLFLOWHA_EXPORT
#else
#define MLFLOWHA_INLINE
#define MLFLOWHA_ABI v0
#if defined(MLFLOWHA_SHARED) && defined(_WIN32)
#if defined(MLFLOWHA_BUILDING)
#define MLFLOWHA_EXPORT __declspec(dllexport)
#else
#define MLFLOWHA_EXPORT __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define MLFLOWHA_EXPORT __attribute__((visibility("default")))
#else
#define MLFLOWHA_EXPORT
#endif
#endif

#define MLFLOWHA_BEGIN_NAMESPACE \
  namespace mlflowha {           \
  inline namespace MLFLOWHA_ABI {
#define MLFLOWHA_END_NAMESPACE \
  }                            \
  }

#endif
