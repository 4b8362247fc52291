// SPDX-License-Identifier: Apache-2.0
#include "pipelines/pretrain_cohort.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>

#include "bids/fingerprint.h"
#include "clips/clip_store.h"
#include "core/error.h"
#include "core/sha256.h"
#include "core/slim_grid.h"

namespace slim::pipelines {
namespace {

std::string key_of(const StoredRun& run) { return run.dataset + "/" + run.cell("sub"); }

void check_one(const std::set<std::string>& values, const std::string& what) {
  if (values.size() > 1) {
    throw Error(message::kUnfitModel, "The clip stores are of more than one " + what + ".",
                {.found = *values.begin() + ", " + *values.rbegin(),
                 .remedy = "slimbrain - OUT_DIR group --stages index names them"});
  }
}

evaluate::Splits splits_of(const std::set<std::string>& keys, int64_t seed) {
  std::vector<evaluate::SplitItem> items;
  for (const std::string& key : keys) {
    items.push_back({.key = key});
  }
  evaluate::Splits splits = evaluate::hold_out(items, static_cast<uint64_t>(seed));
  const auto learnt = std::count_if(splits.rows.begin(), splits.rows.end(),
                                    [](const auto& row) { return row.role == evaluate::Role::Train; });
  if (learnt < 2) {
    throw Error(message::kEmptySelection, "Pre-training needs at least 2 participants to learn from.",
                {.found = std::to_string(keys.size()) + " participants with clip stores of at least " +
                          std::to_string(kClipFrames) + " frames, " + std::to_string(learnt) +
                          " of them to learn from",
                 .remedy = "prepare more participants, or add output folders with -d NAME=PATH"});
  }
  return splits;
}

clips::RoiMatrix matrix_of(const std::filesystem::path& path, const clips::RoiLabels& labels) {
  clips::RoiMatrix matrix = clips::roi_matrix(clips::ClipStore::open(path), labels);
  if (std::none_of(matrix.valid.begin(), matrix.valid.end(), [](uint8_t valid) { return valid != 0; })) {
    throw Error(message::kBadValues,
                "No region of parcellation " + labels.name + " holds a valid voxel of this run.",
                {.file = path.string()});
  }
  return matrix;
}

}  // namespace

evaluate::Role Cohort::role_of(const StoredRun& run) const {
  const std::string key = key_of(run);
  return *std::find_if(splits.rows.begin(), splits.rows.end(), [&](const auto& row) {
            return row.key == key;
          })->role;
}

std::vector<size_t> Cohort::runs_of(evaluate::Role role) const {
  std::vector<size_t> numbers;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (role_of(*runs[i]) == role) {
      numbers.push_back(i);
    }
  }
  return numbers;
}

std::string Cohort::grid_name(size_t run) const {
  const std::string file = std::filesystem::path(runs[run]->store).filename().string();
  const std::string text = bids::BidsName::parse(file).value().without("desc").build();
  return text.substr(0, text.rfind('_'));
}

Cohort cohort_of(const GroupJob& job) {
  Cohort cohort;
  std::set<std::string> keys;
  std::string prints;
  for (const StoredRun& run : job.runs) {
    if (run.store.empty()) {
      continue;
    }
    const clips::ClipStore store = clips::ClipStore::open(run.root / run.store);
    if (store.n_frames() < kClipFrames) {
      job.log.warn(run.unit() + " is left out: it has " + std::to_string(store.n_frames()) +
                   " frames, and a clip needs " + std::to_string(kClipFrames));
      continue;
    }
    cohort.runs.push_back(&run);
    cohort.frames.push_back(store.n_frames());
    cohort.zscores.insert(store.get("zscore"));
    cohort.families.insert(store.get("template_family"));
    cohort.repetition_times.insert(store.get("repetition_time_s"));
    keys.insert(key_of(run));
    prints += run.dataset + "/" + run.store + " " + bids::input_fingerprint(run.root / run.store) + "\n";
  }
  check_one(cohort.zscores, "z-score scope");
  check_one(cohort.families, "template family");
  cohort.fingerprint = sha256_hex(prints);
  cohort.splits = splits_of(keys, job.config.train.seed);
  return cohort;
}

const clips::RoiMatrix& CohortMatrices::at(size_t run) {
  if (matrices_.empty()) {
    load();
  }
  const auto found = matrices_.find(run);
  if (found == matrices_.end()) {
    throw Error(message::kBug, "A test participant's matrix was asked for.");
  }
  return found->second;
}

void CohortMatrices::load() {
  std::vector<size_t> runs = cohort_.runs_of(evaluate::Role::Train);
  const std::vector<size_t> more = cohort_.runs_of(evaluate::Role::Validation);
  runs.insert(runs.end(), more.begin(), more.end());
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (size_t i = next++; i < runs.size() && !job_.stop; i = next++) {
      try {
        clips::RoiMatrix matrix = matrix_of(cohort_.store_path(runs[i]), labels_);
        const std::scoped_lock lock(mutex);
        matrices_.emplace(runs[i], std::move(matrix));
        progress_.show(static_cast<int64_t>(matrices_.size()), static_cast<int64_t>(runs.size()),
                       "ROI x time matrices");
      } catch (...) {
        const std::scoped_lock lock(mutex);
        failure = std::current_exception();
        next = runs.size();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < job_.threads; ++i) {
      threads.emplace_back(work);
    }
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
  if (job_.stop) {
    throw Error(message::kStopped, "Stopped while the ROI x time matrices were computed.");
  }
}

}  // namespace slim::pipelines
