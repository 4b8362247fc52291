// SPDX-License-Identifier: Apache-2.0
#include "pipelines/prep.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "bids/bids_dataset.h"
#include "bids/fingerprint.h"
#include "bids/motion.h"
#include "clips/clip_store.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "pipelines/sidecar.h"
#include "preproc/prepare_mni.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// Raised when the numbers of this stage change, so that older results become stale.
constexpr int kPrepEpoch = 1;

preproc::MniInput input_of(const bids::BoldRun& run, const Config& config) {
  const bids::BoldMetadata metadata = bids::bold_metadata(*run.metadata, run.image_uri);
  preproc::MniInput input;
  input.bold = run.image;
  input.mask = run.mask;
  input.metadata_tr_s = metadata.repetition_time_s;
  input.tr_override_s = config.input.repetition_time;
  input.start_time_s = metadata.start_time_s.value_or(0.0);
  input.dummy_frames = run.dummy_volumes;
  input.space = run.space;
  input.producer = run.dataset;
  input.denoised_by_name = run.denoised;
  return input;
}

/// URI -> fingerprint of every file that the result depends on.
nlohmann::json fingerprints_of(const bids::BoldRun& run) {
  nlohmann::json prints{{run.image_uri, bids::input_fingerprint(run.image)}};
  if (run.mask) {
    prints[run.mask_uri] = bids::input_fingerprint(*run.mask);
  }
  if (run.confounds) {
    prints[run.confounds_uri] = bids::input_fingerprint(*run.confounds);
  }
  return prints;
}

nlohmann::json sources_of(const nlohmann::json& fingerprints) {
  nlohmann::json sources = nlohmann::json::array();
  for (const auto& [uri, print] : fingerprints.items()) {
    sources.push_back(uri);
  }
  return sources;
}

/// A 3-D image on the SLIM grid.
bids::DerivativeFile image_file(const bids::BidsName& name, nlohmann::json sidecar, std::vector<float> values,
                                bool mask) {
  return {name, std::move(sidecar), [values = std::move(values), mask](const fs::path& path) {
            image::write_nifti(path, image::slim_grid(), values, {.form_code = 4, .as_uint8 = mask});
          }};
}

/// Everything that a prepared run becomes on disk, the clip store last.
std::vector<bids::DerivativeFile> files_of(const bids::BoldRun& run, preproc::PreparedRun prepared,
                                           const std::string& hash, const nlohmann::json& fingerprints) {
  nlohmann::json more{{"ZScore", prepared.metadata.at("zscore")},
                      {"SourceRepetitionTime", std::stod(prepared.metadata.at("source_repetition_time_s"))},
                      {"DummyVolumes", run.dummy_volumes}};
  if (run.confounds || run.movement_regressors) {
    more["Confounds"] = {{"Applied", false}, {"Source", run.confounds_uri}};
  }
  const nlohmann::json block = slimbrain_block({.stage = "prep",
                                                .epoch = kPrepEpoch,
                                                .hash = hash,
                                                .fingerprints = fingerprints,
                                                .more = std::move(more)});
  const nlohmann::json sources = sources_of(fingerprints);
  const bids::BidsName grid = grid_name(run);
  const auto sidecar = [&](const char* description) {
    return grid_sidecar(run, description, sources, block);
  };

  std::vector<bids::DerivativeFile> files;
  nlohmann::json mask = sidecar("Brain of this run on the SLIM grid.");
  mask["Type"] = "Brain";
  files.push_back(image_file(grid.with("desc", "brain").with_suffix("mask"), std::move(mask),
                             {prepared.mask.begin(), prepared.mask.end()}, true));
  nlohmann::json mean = sidecar("Mean over time, in the units of the input.");
  mean["SkullStripped"] = true;
  files.push_back(image_file(grid.with("stat", "mean").with_suffix("boldmap"), std::move(mean),
                             std::move(prepared.mean), false));
  nlohmann::json tsnr = sidecar("Mean over standard deviation in time.");
  tsnr["SkullStripped"] = true;
  files.push_back(image_file(grid.with("stat", "tsnr").with_suffix("boldmap"), std::move(tsnr),
                             std::move(prepared.tsnr), false));

  nlohmann::json store =
      sidecar("Run packed for the model: float16 z-scores of the brain tokens (docs/files-on-disk.md).");
  store["RepetitionTime"] = std::stod(prepared.metadata.at("repetition_time_s"));
  nlohmann::json qc = preproc::to_json(prepared.qc);
  for (const auto& [name, value] : bids::motion_numbers(run)) {
    qc[name] = value;
  }
  qc["Slimbrain"] = block;
  qc["warnings"] = prepared.warnings;
  files.push_back(
      {run.name.raw().with("desc", "slimprep").with_suffix("qc").with_extension(".json"), std::move(qc), {}});
  if (run.metadata->contains("TaskName")) {
    store["TaskName"] = run.metadata->at("TaskName");
  }
  prepared.metadata["configuration_hash"] = hash;
  auto shared = std::make_shared<const preproc::PreparedRun>(std::move(prepared));
  files.push_back({clip_store_name(run), std::move(store), [shared](const fs::path& path) {
                     clips::write_clip_store(path, {.n_frames = shared->bold.frames,
                                                    .bold = shared->bold.halves(),
                                                    .valid = shared->bold.valid_bits(),
                                                    .metadata = shared->metadata});
                   }});
  return files;
}

/// Sentences that were shown already: one that holds for every run (its template family, say) is a warning
/// only once.
class Shown {
 public:
  bool is_new(const std::string& sentence) {
    const std::lock_guard lock(mutex_);
    return sentences_.insert(sentence).second;
  }

 private:
  std::mutex mutex_;
  std::set<std::string> sentences_;
};

UnitReport prepare_run(const Job& job, const bids::BoldRun& run, const std::string& hash, Shown& shown,
                       const std::function<void(int64_t, int64_t)>& progress) {
  const nlohmann::json fingerprints = fingerprints_of(run);
  if (!job.config.run.force && is_current(job, clip_store_name(run), hash, fingerprints)) {
    return {Outcome::UpToDate};
  }
  job.output.remove_stale_partials(run.participant);
  preproc::PreparedRun prepared = preproc::prepare_mni(input_of(run, job.config), job.config.prep,
                                                       {.frames = progress, .stop = &job.stop});
  for (const std::string& warning : prepared.warnings) {
    const std::string text = unit_name(run.name) + ": " + warning;
    shown.is_new(warning) ? job.log.warn(text) : job.log.say(Level::Detail, text);
  }
  const std::string words =
      std::to_string(prepared.bold.frames) + " frames, " + std::to_string(prepared.qc.n_valid) + " voxels";
  job.output.commit_unit(files_of(run, std::move(prepared), hash, fingerprints));
  return {Outcome::Done, words};
}

/// As many runs at once as memory allows, and no more than keep the threads busy: inflating one file is one
/// thread's work.
int runs_at_once(const Job& job) {
  if (job.config.resources.runs_at_once) {
    return static_cast<int>(*job.config.resources.runs_at_once);
  }
  int64_t largest = 1;
  for (const bids::BoldRun& run : job.runs) {
    largest = std::max(largest, memory_for(run, job.config));
  }
  const int64_t by_memory = job.memory_bytes / largest;
  return static_cast<int>(std::clamp<int64_t>(by_memory, 1, std::max(1, job.threads / 2)));
}

}  // namespace

std::string prep_hash(const Config& config, const std::vector<Field>& fields) {
  nlohmann::json canonical{{"stage", "prep"},
                           {"epoch", kPrepEpoch},
                           {"settings", science_of(fields, "prep")},
                           {"tokens", packaged_token_set().order_sha256}};
  if (config.input.repetition_time) {
    canonical["repetition_time"] = *config.input.repetition_time;
  }
  return configuration_hash(canonical);
}

int64_t memory_for(const bids::BoldRun& run, const Config& config) {
  try {
    const image::NiftiHeader header = image::read_header(run.image);
    const preproc::MniInput input = input_of(run, config);
    const double tr =
        input.tr_override_s.value_or(input.metadata_tr_s.value_or(header.repetition_time_s.value_or(1.0)));
    return static_cast<int64_t>(preproc::estimate_memory_bytes(header, tr, config.prep));
  } catch (const Error&) {
    return 0;  // the unit itself will say what is wrong with the file
  }
}

void check_memory(const std::vector<bids::BoldRun>& runs, const Config& config, const Limit& memory) {
  for (const bids::BoldRun& run : runs) {
    const int64_t needed = memory_for(run, config);
    if (needed > memory.value) {
      throw Error(message::kNoMemory,
                  unit_name(run.name) + " needs about " + format_bytes(needed) + "; the limit is " +
                      format_bytes(memory.value) + " (" + memory.source + ").",
                  {.file = run.image.string(), .remedy = "ask for more memory, or leave this run out"});
    }
  }
}

void run_prep(const Job& job) {
  const std::string hash = prep_hash(job.config, job.fields);
  job.log.say(Level::Normal, "distortion is not corrected by slimbrain (SDC none)");
  Shown shown;
  for_each_run(job, "prep", runs_at_once(job), [&](const bids::BoldRun& run, const auto& progress) {
    return prepare_run(job, run, hash, shown, progress);
  });
}

}  // namespace slim::pipelines
