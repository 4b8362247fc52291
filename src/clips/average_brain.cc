// SPDX-License-Identifier: Apache-2.0
#include "clips/average_brain.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "clips/clip_store.h"
#include "core/error.h"
#include "core/half.h"
#include "core/safetensors.h"

namespace fs = std::filesystem;

namespace slim::clips {
namespace {

constexpr const char* kRuns = "slimbrain_runs";

TensorSpec spec_of(int64_t values) { return {.name = "average", .dtype = DType::F32, .shape = {values}}; }

/// Sum over the frames of a run of each voxel.
std::vector<double> sum_over_time(const ClipStore& store) {
  const auto voxels = static_cast<size_t>(store.frame_values());
  std::vector<double> sums(voxels, 0.0);
  std::vector<uint16_t> halves(voxels);
  std::vector<float> frame(voxels);
  for (int64_t t = 0; t < store.n_frames(); ++t) {
    store.read_frames(t, 1, halves);
    floats_from_halves(halves, frame);
    std::transform(frame.begin(), frame.end(), sums.begin(), sums.begin(),
                   [](float value, double sum) { return sum + static_cast<double>(value); });
  }
  return sums;
}

}  // namespace

AverageBrain average_brain(std::span<const fs::path> stores) {
  std::vector<double> sums;
  std::vector<int64_t> counts;
  for (const fs::path& path : stores) {
    const ClipStore store = ClipStore::open(path);
    const std::vector<double> run = sum_over_time(store);
    sums.resize(run.size(), 0.0);
    counts.resize(run.size(), 0);
    for (size_t v = 0; v < run.size(); ++v) {
      const bool valid = ((store.valid()[v / 8] >> (v % 8)) & 1U) != 0;
      sums[v] += valid ? run[v] / static_cast<double>(store.n_frames()) : 0.0;
      counts[v] += valid ? 1 : 0;
    }
  }
  AverageBrain brain{.values = std::vector<float>(sums.size()), .runs = static_cast<int64_t>(stores.size())};
  for (size_t v = 0; v < sums.size(); ++v) {
    brain.values[v] = static_cast<float>(counts[v] == 0 ? 0.0 : sums[v] / static_cast<double>(counts[v]));
  }
  return brain;
}

void write_average_brain(const fs::path& path, const AverageBrain& brain) {
  SafetensorsWriter writer(path, {spec_of(static_cast<int64_t>(brain.values.size()))},
                           {{kRuns, std::to_string(brain.runs)}});
  writer.append(std::as_bytes(std::span(brain.values)));
  writer.finish();
}

AverageBrain read_average_brain(const fs::path& path, int64_t values) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const TensorSpec wanted = spec_of(values);
  const TensorSpec* found = file.find(wanted.name);
  const auto runs = file.metadata().find(kRuns);
  if (found == nullptr || found->dtype != wanted.dtype || found->shape != wanted.shape ||
      runs == file.metadata().end()) {
    throw Error(message::kBadStore, "The file holds no average brain of the SLIM grid's tokens.",
                {.file = path.string()});
  }
  AverageBrain brain{.values = std::vector<float>(static_cast<size_t>(values))};
  const std::string& text = runs->second;
  std::from_chars(text.data(), text.data() + text.size(), brain.runs);
  const std::span<const std::byte> bytes = file.data(*found);
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(brain.values)).begin());
  return brain;
}

}  // namespace slim::clips
