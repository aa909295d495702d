#ifndef MLFLOWHA_TESTS_SUPPORT_SOURCE_DIR_HPP
#define MLFLOWHA_TESTS_SUPPORT_SOURCE_DIR_HPP

// Where the tests' files are. One function in one source file, so that no other object depends on the place of the
// checkout and a compiler cache serves every clone.

#include <filesystem>

namespace mlflowha_tests {

/// The folder `tests` of the checkout that this program was built from.
std::filesystem::path source_dir();

}  // namespace mlflowha_tests

#endif
