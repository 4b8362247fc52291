// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include "clips/clip_store.h"
#include "core/error.h"
#include "core/json_file.h"
#include "core/sha256.h"
#include "pipelines/group.h"

namespace slim::pipelines {
namespace {

void check_one_kind(const std::map<std::string, std::string>& examples, const std::string& what,
                    const std::string& remedy) {
  if (examples.size() < 2) {
    return;
  }
  std::string found;
  for (const auto& [value, unit] : examples) {
    found += (found.empty() ? "" : "; ") + value + " (" + unit + ")";
  }
  throw Error(message::kUnfitModel, "The clip stores are of more than one " + what + ".",
              {.found = found, .remedy = remedy});
}

std::string mean_fd(const StoredRun& run) {
  const nlohmann::json qc = run.qc.empty() ? nlohmann::json::object() : read_json(run.root / run.qc);
  const auto value = qc.find("fd_mean_mm");
  return value == qc.end() || !value->is_number() ? "n/a" : value->dump();
}

}  // namespace

void run_index(const GroupJob& job) {
  GroupTable table{
      .file =
          bids::BidsName{.entities = {}, .suffix = "index", .extension = ".tsv", .prefix = "group"}.build(),
      .description = "Clip stores that group stages may use.",
      .columns = {{"dataset", "Output folder, slimbrain for OUT_DIR itself."},
                  {"participant_id", "Participant."},
                  {"session_id", "Session."},
                  {"task", "Task label."},
                  {"run", "Run label."},
                  {"unit", "Name of the run."},
                  {"file", "Clip store, relative to its output folder."},
                  {"n_frames", "Stored frames."},
                  {"repetition_time", "Sampling interval of the stored frames, s."},
                  {"source_repetition_time", "Sampling interval of the input, s."},
                  {"mean_fd", "Mean framewise displacement, mm; n/a: not known."},
                  {"space", "Template of the data."},
                  {"zscore", "Scope of the z-scores."},
                  {"input_fingerprint", "First 16 digits of the SHA-256 of the inputs' fingerprints."},
                  {"configuration_hash", "Hash of the prep settings."},
                  {"status", "done: complete."}}};
  std::map<std::string, std::string> families, scopes;
  for (const StoredRun& run : job.runs) {
    if (run.store.empty()) {
      continue;
    }
    const clips::ClipStore store = clips::ClipStore::open(run.root / run.store);
    std::filesystem::path sidecar = run.root / run.store;
    sidecar.replace_extension(".json");
    const nlohmann::json json = read_json(sidecar);
    const nlohmann::json prints = json.value("Slimbrain", nlohmann::json::object())
                                      .value("InputFingerprints", nlohmann::json::object());
    families.emplace(store.get("template_family"), run.unit());
    scopes.emplace(store.get("zscore"), run.unit());
    table.rows.push_back({run.dataset, run.cell("sub"), run.cell("ses"), run.cell("task"), run.cell("run"),
                          run.unit(), run.store, std::to_string(store.n_frames()),
                          store.get("repetition_time_s"), store.get("source_repetition_time_s"), mean_fd(run),
                          store.get("space"), store.get("zscore"), sha256_hex(prints.dump()).substr(0, 16),
                          store.get("configuration_hash"), "done"});
  }
  if (table.rows.empty()) {
    throw Error(
        message::kEmptySelection, "There is no clip store to index.",
        {.file = job.out_dir.string(), .remedy = "slimbrain BIDS_DIR OUT_DIR participant --stages prep"});
  }
  check_one_kind(families, "template family",
                 "prepare all runs from images of one template family (--space)");
  check_one_kind(scopes, "z-score scope", "prepare all runs with the same --zscore");
  write_group_table(job.out_dir, table);
  job.log.say(Level::Normal, "index: " + std::to_string(table.rows.size()) + " clip stores in " + table.file);
}

}  // namespace slim::pipelines
