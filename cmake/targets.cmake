# SPDX-License-Identifier: Apache-2.0
# The few functions that every folder's CMakeLists.txt uses.

add_library(slim_flags INTERFACE)
# No -ffast-math and no contraction: the same source gives the same bits with and without vector instructions.
target_compile_options(slim_flags INTERFACE -Wall -Wextra -Wconversion -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms of GCC 12 inside std::string and torch's headers.
  target_compile_options(slim_flags INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
target_include_directories(slim_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
if(DEFINED ENV{CI})
  target_compile_options(slim_flags INTERFACE -Werror)
endif()
if(SLIM_SANITIZE)
  target_compile_options(slim_flags INTERFACE -fsanitize=${SLIM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(slim_flags INTERFACE -fsanitize=${SLIM_SANITIZE})
endif()

# slim_library(NAME SOURCES a.cc ... [LINKS public...] [PRIVATE_LINKS ...]): a static library, one folder, one floor.
function(slim_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS;PRIVATE_LINKS")
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC slim_flags ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
endfunction()

# slim_program(NAME SOURCES ... LINKS ...)
function(slim_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS")
  add_executable(${name} ${arg_SOURCES})
  # libtorch_cuda needs libraries that a build machine may lack; they are looked for when the plugin loads.
  target_link_options(${name} PRIVATE -Wl,--allow-shlib-undefined)
  target_link_libraries(${name} PRIVATE slim_flags ${arg_LINKS})
endfunction()

# slim_together(TARGET...): files are compiled six at a time, for targets most of whose files include torch's headers: these
# take longer to read than the files themselves.
function(slim_together)
  set_target_properties(${ARGN} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
endfunction()

# slim_test(NAME SOURCES ... LINKS ... [LABELS unit] [TIMEOUT seconds] [ONE_PROCESS]): a GoogleTest program; each TEST is a
# CTest of the same name. ONE_PROCESS: the program is one CTest, for tests that share what takes long to make.
function(slim_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "ONE_PROCESS" "TIMEOUT" "SOURCES;LINKS;LABELS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  slim_program(${name} SOURCES ${arg_SOURCES} LINKS ${arg_LINKS} slim_gtest)
  target_compile_definitions(${name} PRIVATE SLIM_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SLIM_BINARY_DIR="${PROJECT_BINARY_DIR}")
  # Several tests run at a time: threads that wait must not keep a core from others.
  set(properties LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} ENVIRONMENT OMP_WAIT_POLICY=passive)
  if(arg_ONE_PROCESS)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES ${properties})
  else()
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES ${properties})
  endif()
endfunction()
