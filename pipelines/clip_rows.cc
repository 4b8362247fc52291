// SPDX-License-Identifier: Apache-2.0
#include "pipelines/clip_rows.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace slim::pipelines {

std::string number_cell(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string time_cells(const clips::ClipStore& store, const clips::ClipFrames& clip) {
  const double tr = store.repetition_time_s(), start = std::stod(store.get("first_frame_s"));
  const int64_t first = clip.empty() ? 0 : clip.front().first;
  const int64_t last = clip.empty() ? store.n_frames() : clip.back().last;
  return number_cell(start + static_cast<double>(first) * tr) + "\t" +
         number_cell(static_cast<double>(last - first) * tr);
}

nlohmann::json clip_column_descriptions(const std::string& run) {
  return {{"level",
           {{"Description", "What the row stands for."},
            {"Levels", {{"clip", "one 40-frame clip"}, {"run", run}}}}},
          {"clip", {{"Description", "Number of the clip in time order, from 0."}}},
          {"onset",
           {{"Description", "Start of the clip's first frame, from the first volume of the input file."},
            {"Units", "s"}}},
          {"duration",
           {{"Description", "From the clip's first frame to the end of its last one."}, {"Units", "s"}}}};
}

}  // namespace slim::pipelines
