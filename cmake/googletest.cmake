# SPDX-License-Identifier: Apache-2.0
# GoogleTest from sources (SLIM_VENDOR/googletest or Debian's package googletest), built with our flags.
include(GoogleTest)
find_path(SLIM_GTEST_SOURCES googletest/src/gtest-all.cc HINTS ${SLIM_VENDOR}/googletest /usr/src/googletest REQUIRED)
mark_as_advanced(SLIM_GTEST_SOURCES)
add_library(slim_gtest STATIC ${SLIM_GTEST_SOURCES}/googletest/src/gtest-all.cc ${SLIM_GTEST_SOURCES}/googletest/src/gtest_main.cc)
target_include_directories(slim_gtest SYSTEM PUBLIC ${SLIM_GTEST_SOURCES}/googletest/include PRIVATE ${SLIM_GTEST_SOURCES}/googletest)
target_link_libraries(slim_gtest PUBLIC Threads::Threads)
if(SLIM_SANITIZE)
  target_compile_options(slim_gtest PUBLIC -fsanitize=${SLIM_SANITIZE})
endif()
