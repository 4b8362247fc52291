// SPDX-License-Identifier: Apache-2.0
#include "preproc/options.h"

#include "core/error.h"

namespace slim::preproc {
namespace {

void require(bool good, const char* flag, const char* expected) {
  if (!good) {
    throw Error(message::kBadValue, std::string(flag) + " is not valid: expected " + expected + ".");
  }
}

}  // namespace

void check_options(const PrepOptions& options) {
  const double tr = options.time_grid.repetition_time_s;
  const auto [low, high] = options.time_grid.keep_between_s;
  require(tr >= 0.1 && tr <= 20.0, "--target-tr", "an interval of 0.1 to 20 s");
  require(low > 0.0 && low <= high, "--tr-keep", "LOW:HIGH with 0 < LOW <= HIGH, s");
  require(options.standardise.zscore == "run" || options.standardise.zscore == "voxel", "--zscore",
          "run or voxel");
  require(options.length.min_volumes >= 1, "--min-volumes", "a number of volumes, at least 1");
  require(options.length.min_acquired >= 2, "prep.length.min_acquired", "a number of volumes, at least 2");
}

}  // namespace slim::preproc
