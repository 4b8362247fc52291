# SPDX-License-Identifier: Apache-2.0
# slim::nifti2 (layouts and algebra of NIfTI headers) and slim::isal (inflates voxels).
# Why not Debian's and Ubuntu's own NIFTIConfig.cmake: it fails where the command line tools of another package are not
# installed, and it names libniftiio beside libnifti2, whose functions have the same names and other signatures.
find_path(Nifti_INCLUDE nifti2_io.h PATH_SUFFIXES nifti)
find_path(Nifti_znz_INCLUDE znzlib.h HINTS "${Nifti_INCLUDE}" PATH_SUFFIXES nifti)
find_library(Nifti_LIBRARY nifti2)
find_path(Isal_INCLUDE isa-l/igzip_lib.h)
find_library(Isal_LIBRARY isal)
mark_as_advanced(Nifti_INCLUDE Nifti_znz_INCLUDE Nifti_LIBRARY Isal_INCLUDE Isal_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Nifti
  REQUIRED_VARS Nifti_INCLUDE Nifti_znz_INCLUDE Nifti_LIBRARY Isal_INCLUDE Isal_LIBRARY
  REASON_FAILURE_MESSAGE "Debian and Ubuntu have them in libnifti2-dev, libznz-dev and libisal-dev")
if(Nifti_FOUND AND NOT TARGET slim::nifti2)
  add_library(slim::nifti2 UNKNOWN IMPORTED)
  set_target_properties(slim::nifti2 PROPERTIES IMPORTED_LOCATION "${Nifti_LIBRARY}")
  target_include_directories(slim::nifti2 SYSTEM INTERFACE "${Nifti_INCLUDE}" "${Nifti_znz_INCLUDE}")
  add_library(slim::isal UNKNOWN IMPORTED)
  set_target_properties(slim::isal PROPERTIES IMPORTED_LOCATION "${Isal_LIBRARY}")
  target_include_directories(slim::isal SYSTEM INTERFACE "${Isal_INCLUDE}")
endif()
