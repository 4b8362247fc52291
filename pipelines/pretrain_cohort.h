// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "clips/roi_matrix.h"
#include "evaluate/splits.h"
#include "pipelines/group.h"

namespace slim::pipelines {

/// The group's clip stores, as far as one model can learn from them.
struct Cohort {
  std::vector<const StoredRun*> runs{};
  std::vector<int64_t> frames{};  // of each run
  std::set<std::string> zscores{}, families{}, repetition_times{};
  std::string fingerprint{};  // SHA-256 over names and contents
  evaluate::Splits splits{};

  evaluate::Role role_of(const StoredRun& run) const;
  /// Numbers of the runs of one role.
  std::vector<size_t> runs_of(evaluate::Role role) const;
  std::filesystem::path store_path(size_t run) const { return runs[run]->root / runs[run]->store; }
  /// The run's name on the SLIM grid, <g>.
  std::string grid_name(size_t run) const;
};

/// Holds participants out 70/10/20 by --seed; runs with less than a clip are left out with a warning. Errors
/// SB3002 with fewer than 2 participants to learn from, SB4002 where the stores are of more than one kind.
Cohort cohort_of(const GroupJob& job);

/// ROI x time matrices of the training and validation runs of a cohort: computed when the first one is asked
/// for, on all of the job's threads, and kept. What it is made of must outlive it.
class CohortMatrices {
 public:
  CohortMatrices(const GroupJob& job, Progress& progress, const Cohort& cohort,
                 const clips::RoiLabels& labels)
      : job_(job), progress_(progress), cohort_(cohort), labels_(labels) {}
  /// The matrix of a run. Errors of the clip stores; SB2015 for a run in which no region holds a voxel;
  /// SB6001 when stopped; SB9001 for a test participant's run.
  const clips::RoiMatrix& at(size_t run);

 private:
  void load();

  const GroupJob& job_;
  Progress& progress_;
  const Cohort& cohort_;
  const clips::RoiLabels& labels_;
  std::map<size_t, clips::RoiMatrix> matrices_;
};

}  // namespace slim::pipelines
