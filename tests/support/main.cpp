// main() of every test program: Catch2's runner, whichever Catch2 is installed.

#if !defined(__has_include) || !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "support/catch.hpp"

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
