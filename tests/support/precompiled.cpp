// Nothing: the file that the test programs' precompiled headers are built for (see tests/CMakeLists.txt).
