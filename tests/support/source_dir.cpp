#include "support/source_dir.hpp"

std::filesystem::path mlflowha_tests::source_dir() { return MLFLOWHA_TESTS_SOURCE_DIR; }
