// SPDX-License-Identifier: Apache-2.0
#include "pipelines/baseline_features.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <set>

#include "clips/clip_store.h"
#include "clips/roi_matrix.h"
#include "core/error.h"
#include "core/half.h"
#include "core/json_file.h"
#include "evaluate/connectome.h"
#include "evaluate/targets.h"
#include "pipelines/atlas.h"
#include "pipelines/evaluation_problem.h"

namespace slim::pipelines {
namespace {

/// Cases and their runs, both in a fixed order.
std::vector<std::pair<std::string, std::vector<const StoredRun*>>> runs_by_case(
    const GroupTarget& target, std::span<const StoredRun* const> runs) {
  std::map<std::string, std::vector<const StoredRun*>> cases;
  for (const StoredRun* run : runs) {
    if (const std::string key = target.case_of(*run); target.value_of.contains(key)) {
      cases[key].push_back(run);
    }
  }
  return {cases.begin(), cases.end()};
}

/// The numbers about motion that a run's QC may hold.
std::map<std::string, double> motion_numbers(const StoredRun& run) {
  std::map<std::string, double> numbers;
  if (run.qc.empty()) {
    return numbers;
  }
  const nlohmann::json qc = read_json(run.root / run.qc);
  for (const char* key : {"fd_mean_mm", "fd_sd_mm", "fd_perc", "dvars_std_mean", "trans_x_sd_mm",
                          "trans_y_sd_mm", "trans_z_sd_mm", "rot_x_sd_rad", "rot_y_sd_rad", "rot_z_sd_rad"}) {
    if (const auto value = qc.find(key); value != qc.end() && value->is_number()) {
      numbers[key] = value->get<double>();
    }
  }
  return numbers;
}

std::vector<double> voxel_means(const clips::ClipStore& store) {
  evaluate::VoxelMean mean(store.frame_values(), store.valid());
  std::vector<uint16_t> halves(static_cast<size_t>(store.frame_values()));
  std::vector<float> frame(halves.size());
  for (int64_t t = 0; t < store.n_frames(); ++t) {
    store.read_frames(t, 1, halves);
    std::transform(halves.begin(), halves.end(), frame.begin(), float_from_half);
    mean.add(frame);
  }
  return mean.features();
}

/// Features of one run by each method: voxel_mean, then the connectome of each parcellation.
std::vector<std::vector<double>> features_of_run(const StoredRun& run,
                                                 const std::vector<clips::RoiLabels>& parcellations) {
  const clips::ClipStore store = clips::ClipStore::open(run.root / run.store);
  std::vector<std::vector<double>> features{voxel_means(store)};
  for (const clips::RoiLabels& labels : parcellations) {
    const clips::RoiSeries series = clips::roi_series(store, labels);
    features.push_back(evaluate::connectome_features(series.means, series.rows, series.frames));
  }
  return features;
}

/// Adds b to a, or takes it over where a is empty.
void add(std::vector<double>& a, std::vector<double>&& b) {
  if (a.empty()) {
    a = std::move(b);
    return;
  }
  std::transform(a.begin(), a.end(), b.begin(), a.begin(), [](double x, double y) { return x + y; });
}

std::string column_of(const std::string& target) { return target.substr(target.rfind(':') + 1); }

}  // namespace

RowFeatures motion_features(const GroupTarget& target, std::span<const StoredRun* const> runs) {
  RowFeatures row{.method = "motion",
                  .description =
                      "Linear fit on head motion: framewise displacement, DVARS, SD of the six "
                      "parameters, as far as known."};
  std::vector<std::pair<std::string, std::map<std::string, double>>> known;
  std::map<std::string, size_t> counts;
  for (const StoredRun* run : runs) {
    std::map<std::string, double> numbers = motion_numbers(*run);
    if (!numbers.contains("fd_mean_mm")) {
      continue;
    }
    for (const auto& [key, value] : numbers) {
      ++counts[key];
    }
    known.emplace_back(target.case_of(*run), std::move(numbers));
  }
  if (known.empty()) {
    row.why_absent = "no run's QC has numbers about motion: its producer gave no confounds";
    return row;
  }
  evaluate::FeatureTable samples;
  for (const auto& [key, count] : counts) {
    samples.columns += count == known.size() ? 1 : 0;
  }
  for (const auto& [key, numbers] : known) {
    samples.keys.push_back(key);
    for (const auto& [name, value] : numbers) {
      if (counts.at(name) == known.size()) {
        samples.values.push_back(value);
      }
    }
  }
  row.table = evaluate::mean_by_key(samples);
  return row;
}

RowFeatures demographic_features(const GroupJob& job, const GroupTarget& target) {
  RowFeatures row{.method = "demographics", .description = "Linear fit on age and sex of participants.tsv."};
  const auto texts_of = [&](const std::string& name) {
    return column_of(target.column) == name ? std::map<std::string, std::string>()
                                            : group_column(job, name, false);
  };
  const std::map<std::string, std::string> ages = texts_of("age"), sexes = texts_of("sex");
  std::set<std::string> all_sexes;
  for (const auto& [key, text] : sexes) {
    all_sexes.insert(text);
  }
  row.table.columns = static_cast<int64_t>((ages.empty() ? 0 : 1) + all_sexes.size());
  if (row.table.columns == 0) {
    row.why_absent = "participants.tsv has neither age nor sex besides the target";
    return row;
  }
  for (const auto& [key, value] : target.value_of) {
    std::vector<double> cells;
    if (const auto text = ages.find(participant_of(key)); text != ages.end()) {
      if (const std::optional<double> age = evaluate::number_in(text->second)) {
        cells.push_back(*age);
      }
    }
    if (const auto text = sexes.find(participant_of(key)); text != sexes.end()) {
      for (const std::string& sex : all_sexes) {
        cells.push_back(sex == text->second ? 1 : 0);
      }
    }
    if (static_cast<int64_t>(cells.size()) == row.table.columns) {
      row.table.keys.push_back(key);
      row.table.values.insert(row.table.values.end(), cells.begin(), cells.end());
    }
  }
  return row;
}

std::vector<RowFeatures> signal_features(const GroupJob& job, const GroupTarget& target,
                                         std::span<const StoredRun* const> runs) {
  std::vector<RowFeatures> rows{
      {.method = "voxel_mean",
       .description = "Linear fit on the temporal mean of each token over its valid voxels."},
      {.method = "connectome",
       .description = "Linear fit on the correlations (atanh) of all pairs of cells of the grid."}};
  std::vector<clips::RoiLabels> parcellations{clips::grid_parcellation()};
  for (Atlas& atlas : job.config.embed.atlas.empty() ? std::vector<Atlas>() : atlases_of(job.config)) {
    rows.push_back(
        {.method = "connectome_" + atlas.labels.name,
         .description = "Linear fit on the correlations (atanh) of all pairs of regions of atlas " +
                        atlas.labels.name + "."});
    parcellations.push_back(std::move(atlas.labels));
  }
  const auto cases = runs_by_case(target, runs);
  std::vector<std::vector<std::vector<double>>> features(cases.size());  // [case][method][column]
  Progress progress(job.log, job.progress, "evaluate");
  std::atomic<int64_t> done{0};
  tbb::task_arena arena(job.threads);
  arena.execute([&] {
    tbb::parallel_for(size_t{0}, cases.size(), [&](size_t i) {
      features[i].resize(rows.size());
      for (const StoredRun* run : cases[i].second) {
        if (job.stop) {
          throw Error(message::kStopped, "Stopped between two runs.");
        }
        std::vector<std::vector<double>> of_run = features_of_run(*run, parcellations);
        for (size_t m = 0; m < rows.size(); ++m) {
          add(features[i][m], std::move(of_run[m]));
        }
      }
      progress.show(++done, static_cast<int64_t>(cases.size()), "voxel means and connectomes");
    });
  });
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto n = static_cast<double>(cases[i].second.size());
    for (size_t m = 0; m < rows.size(); ++m) {
      evaluate::FeatureTable& table = rows[m].table;
      table.columns = static_cast<int64_t>(features[i][m].size());
      table.keys.push_back(cases[i].first);
      for (const double sum : features[i][m]) {
        table.values.push_back(sum / n);
      }
      features[i][m] = {};
    }
  }
  return rows;
}

}  // namespace slim::pipelines
