// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "bids/bold_run.h"
#include "bids/derivative.h"
#include "core/error.h"
#include "core/log.h"
#include "pipelines/config.h"
#include "pipelines/progress.h"
#include "pipelines/run_record.h"

namespace slim::pipelines {

/// What every stage of one call shares.
struct Job {
  const Config& config;
  const std::vector<Field>& fields;  // bound to config
  const std::vector<bids::BoldRun>& runs;
  const bids::DerivativeDataset& output;
  Log& log;
  RunRecord& record;
  ProgressStyle progress;
  const std::atomic<bool>& stop;
  int threads;
  int64_t memory_bytes;
  std::string device;  // settled: "cpu" or "cuda:N"
};

/// What a unit's work gives back: whether it was current already, and a few words for the log.
struct UnitReport {
  Outcome outcome = Outcome::Done;
  std::string words{};
};

/// The work of a stage on one run; `progress` takes (done, total) of frames or clips.
using UnitWork = std::function<UnitReport(const bids::BoldRun& run,
                                          const std::function<void(int64_t, int64_t)>& progress)>;

/// Does the work of a unit; what it throws becomes the outcome, after `tell` was given it.
UnitResult attempt(const std::string& stage, const std::string& unit,
                   const std::function<void(const Error&)>& tell, const std::function<UnitReport()>& work);

/// Does a stage's work on every run of the job, `workers` runs at a time, each under its participant's lock.
/// A failing run is recorded and the others go on. Returns early when the stop flag is raised.
void for_each_run(const Job& job, const std::string& stage, int workers, const UnitWork& work);

/// True when the unit's primary file exists and its sidecar's Slimbrain block has this hash and these input
/// fingerprints.
bool is_current(const Job& job, const bids::BidsName& primary, const std::string& hash,
                const nlohmann::json& fingerprints);

/// A run's name for people: sub-01_task-rest_run-1.
std::string unit_name(const bids::BidsName& run);

/// Names of what is made of a run; the space and resolution entities of the SLIM grid are added here.
bids::BidsName grid_name(const bids::BoldRun& run);
bids::BidsName clip_store_name(const bids::BoldRun& run);
bids::BidsName embedding_name(const bids::BoldRun& run, const std::string& model);

}  // namespace slim::pipelines
