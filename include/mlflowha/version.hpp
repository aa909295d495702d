#ifndef MLFLOWHA_VERSION_HPP
#define MLFLOWHA_VERSION_HPP

// The library's version, for `#if` in user code and for the User-Agent header.

#define MLFLOWHA_VERSION_MAJOR 0
#define MLFLOWHA_VERSION_MINOR 1
#define MLFLOWHA_VERSION_PATCH 0
#define MLFLOWHA_VERSION_STRING "0.1.0"

#endif
