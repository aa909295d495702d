# Install rules, the CMake package (find_package(mlflowha CONFIG)) and the pkg-config file.
#
# An export file each, so that a user needs only what he links: the compiled library, the header-only target (JSON and
# fmt at the user's compile time), durable logging (SQLite, libcrypto), the test doubles.

include(CMakePackageConfigHelpers)

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/mlflowha")

install(DIRECTORY include/mlflowha DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp" PATTERN "*.ipp")
install(TARGETS mlflowha EXPORT mlflowha-compiled)
install(TARGETS mlflowha_header_only EXPORT mlflowha-header_only)
install(EXPORT mlflowha-compiled NAMESPACE mlflowha:: DESTINATION ${_package_dir})
install(EXPORT mlflowha-header_only NAMESPACE mlflowha:: DESTINATION ${_package_dir})
if(TARGET mlflowha_logging)
  install(TARGETS mlflowha_logging EXPORT mlflowha-logging)
  install(TARGETS mlflowha_logging_header_only EXPORT mlflowha-logging_header_only)
  install(EXPORT mlflowha-logging NAMESPACE mlflowha:: DESTINATION ${_package_dir})
  install(EXPORT mlflowha-logging_header_only NAMESPACE mlflowha:: DESTINATION ${_package_dir})
endif()
if(TARGET mlflowha_cli)
  install(TARGETS mlflowha_cli)
endif()
if(TARGET mlflowha_testing)
  install(TARGETS mlflowha_testing EXPORT mlflowha-testing)
  install(TARGETS mlflowha_testing_header_only EXPORT mlflowha-testing_header_only)
  if(MLFLOWHA_PROGRAMS)
    install(TARGETS ${MLFLOWHA_PROGRAMS})
  endif()
  install(EXPORT mlflowha-testing NAMESPACE mlflowha:: DESTINATION ${_package_dir})
  install(EXPORT mlflowha-testing_header_only NAMESPACE mlflowha:: DESTINATION ${_package_dir})
endif()

configure_package_config_file(cmake/mlflowha-config.cmake.in mlflowha-config.cmake INSTALL_DESTINATION ${_package_dir})
write_basic_package_version_file(mlflowha-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/mlflowha-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/mlflowha-config-version.cmake" DESTINATION ${_package_dir})
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/mlflowha")

# pkg-config: paths follow the file, so the installed tree may be moved. Prefix-relative only when the directories are.
file(RELATIVE_PATH _prefix_from_pc "/p/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/p")
string(REGEX REPLACE "/$" "" _prefix_from_pc "${_prefix_from_pc}")
if(BUILD_SHARED_LIBS)
  set(_pc_requires_keyword "Requires.private")
  set(_pc_cflags "-DMLFLOWHA_SHARED")
else()
  set(_pc_requires_keyword "Requires") # there is only an archive, so its needs are the user's needs
  set(_pc_cflags "")
endif()
configure_file(cmake/mlflowha.pc.in mlflowha.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/mlflowha.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
