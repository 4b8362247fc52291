// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "examples/toy_cohort.h"

namespace slim::toy {

/// Writes dataset_description.json, README.md and the participants' table; type is raw or derivative.
void write_dataset_files(const std::filesystem::path& root, const Options& options, const std::string& type,
                         const std::vector<Participant>& people);
/// Writes which voxel belongs to which network on the average brain, where signal is lost, and what was
/// planted.
void write_truth(const Options& options, const std::vector<Participant>& people,
                 const std::filesystem::path& folder);

}  // namespace slim::toy
