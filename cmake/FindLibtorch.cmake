# SPDX-License-Identifier: Apache-2.0
# Input: SLIM_TORCH_ROOT (folder holding include/, lib/, share/), SLIM_CUDA.
# Output: slim::torch_cpu, slim::c10 [slim::torch_cuda, slim::c10_cuda].
# Why not find_package(Torch): its configuration of a CUDA build searches CUDA by a removed module, overrides
# architectures, and links every CUDA library into every consumer.
file(STRINGS "${SLIM_TORCH_ROOT}/share/cmake/Torch/TorchConfigVersion.cmake" line REGEX "PACKAGE_VERSION \"[0-9]")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" Libtorch_VERSION "${line}")
set(wanted c10 torch_cpu)
if(SLIM_CUDA)
  list(APPEND wanted c10_cuda torch_cuda)
endif()
set(found "")
foreach(name IN LISTS wanted)
  find_library(Libtorch_${name} ${name} PATHS "${SLIM_TORCH_ROOT}/lib" NO_DEFAULT_PATH)
  mark_as_advanced(Libtorch_${name})
  list(APPEND found Libtorch_${name})
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch REQUIRED_VARS ${found} VERSION_VAR Libtorch_VERSION)
foreach(name IN LISTS wanted)
  add_library(slim::${name} SHARED IMPORTED)
  set_target_properties(slim::${name} PROPERTIES IMPORTED_LOCATION "${Libtorch_${name}}" INTERFACE_COMPILE_FEATURES cxx_std_20)
  target_include_directories(slim::${name} SYSTEM INTERFACE "${SLIM_TORCH_ROOT}/include"
    "${SLIM_TORCH_ROOT}/include/torch/csrc/api/include")
endforeach()
target_link_libraries(slim::torch_cpu INTERFACE slim::c10)
