// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "bids/bold_run.h"

namespace slim::bids {

/// How the head moved during a run after its dummy volumes, by the names of the QC file: fd_mean_mm, fd_sd_mm
/// (framewise displacement), fd_perc (share of volumes beyond 0.5 mm, percent), dvars_std_mean, and SD of the
/// parameters, trans_{x,y,z}_sd_mm and rot_{x,y,z}_sd_rad. From fMRIPrep's confounds, or HCP's
/// Movement_Regressors.txt (FD after Power: 50 mm a radian). What is not known is absent. Errors of read_tsv.
std::map<std::string, double> motion_numbers(const BoldRun& run);

}  // namespace slim::bids
