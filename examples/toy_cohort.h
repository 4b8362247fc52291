// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "image/voxel_grid.h"

namespace slim::toy {

/// What the cohort is; equal options give equal bytes.
struct Options {
  std::filesystem::path out;
  int64_t subjects = 4, sessions = 0, frames = 60, dummies = 0;
  double tr_s = 2.0, voxel_mm = 2.0, raw_voxel_mm = 3.0, t1w_voxel_mm = 1.5;
  double noise = 0.01, motion_mm = 0.05, effect = 1.0, age_effect = 0.3, variation = 1.0, loss = 0.0;
  uint64_t seed = 1;
  std::string orientation = "LAS", form = "both", task = "rest";
  int64_t threads = 2;

  bool raw() const { return form != "mni"; }
  bool mni() const { return form != "raw"; }
  /// All that decides the content: everything but the place and the threads.
  nlohmann::ordered_json science() const;
};

/// A person of the cohort and what is planted: the amplitude of the left temporal network, and the share of
/// the BOLD signal that is lost around it.
struct Participant {
  uint64_t index = 0;
  std::string label, sex, group;
  int age = 0;
  double planted = 1.0, loss = 0.0;
  image::Affine mni_from_t1w{};
};
Participant make_participant(const Options& options, int64_t index);

/// Writes all images and tables of a participant below the cohort's root.
void write_participant(const Options& options, const Participant& person, const std::filesystem::path& root);

}  // namespace slim::toy
