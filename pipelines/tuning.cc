// SPDX-License-Identifier: Apache-2.0
#include "pipelines/tuning.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/json_file.h"
#include "model/checkpoint/model_tool.h"
#include "pipelines/group_splits.h"
#include "pipelines/model_choice.h"
#include "pipelines/model_history.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

constexpr int64_t kFewestNumbers = 5, kFewestOfClass = 2;

void check_words(const GroupJob& job) {
  const EvaluateOptions& options = job.config.evaluate;
  if (options.head != "linear" && options.head != "finetune") {
    throw Error(message::kBadValue, "--head " + options.head + " is not valid for stage finetune.",
                {.expected = "linear or finetune"});
  }
  if (options.class_weight != "none" && options.class_weight != "balanced") {
    throw Error(message::kBadValue, "--class-weight " + options.class_weight + " is not valid.",
                {.expected = "none or balanced"});
  }
  if (options.cv) {
    throw Error(message::kBadValue, "Stage finetune makes one model: --cv belongs to stage evaluate.",
                {.remedy = "leave --cv out, or give the parts with --splits FILE.tsv"});
  }
  if (job.config.train.seed < 0) {
    throw Error(message::kBadValue, "A seed is not negative.",
                {.found = std::to_string(job.config.train.seed)});
  }
}

/// Error SB1002 when a model of OUT_DIR predicts another column under the same label: their results would
/// have the same names.
void refuse_equal_labels(const fs::path& models, const GroupTarget& target) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(models, ignored)) {
    if (!fs::exists(entry.path() / "config.json", ignored)) {
      continue;
    }
    const nlohmann::json config = read_json(entry.path() / "config.json");
    const auto head = config.find("head");
    const bool has_target = head != config.end() && head->is_object() && head->contains("target") &&
                            head->at("target").is_object();
    if (has_target && head->at("target").value("name", "") == target.label &&
        head->at("target").value("column", target.column) != target.column) {
      throw Error(message::kBadValue, "Two targets would have the label " + target.label + " in file names.",
                  {.file = entry.path().string(),
                   .found = target.column + " and " + head->at("target").value("column", ""),
                   .remedy = "rename the column in a table for --targets-file"});
    }
  }
}

void refuse_existing(const GroupJob& job, const fs::path& folder, const fs::path& parent) {
  std::error_code ignored;
  if (fs::equivalent(folder, parent, ignored)) {
    throw Error(message::kBadValue, "A model cannot take the place of the one that it comes from.",
                {.file = folder.string(), .remedy = "choose another --model-name"});
  }
  if (fs::exists(folder, ignored) && !job.config.run.force) {
    throw Error(
        message::kCannotCreate, "There is a model of this name already.",
        {.file = folder.string(), .remedy = "choose another --model-name, or --force to make it anew"});
  }
}

/// Leaves out the cases of which no clip can be had.
std::vector<const StoredRun*> runs_of(const GroupJob& job, GroupTarget& target) {
  std::vector<const StoredRun*> runs;
  std::set<std::string> there;
  for (const StoredRun* run : usable_runs(job)) {
    if (target.value_of.contains(target.case_of(*run))) {
      runs.push_back(run);
      there.insert(target.case_of(*run));
    }
  }
  std::erase_if(target.value_of, [&](const auto& item) { return !there.contains(item.first); });
  return runs;
}

/// The one division of --splits, of those participants that are to be divided.
evaluate::Splits splits_given(const GroupJob& job, const std::vector<evaluate::SplitItem>& items) {
  std::vector<evaluate::Splits> divisions = given_splits(job, items);
  if (divisions.size() != 1 || divisions.front().folds > 0) {
    throw Error(message::kBadTable, "Stage finetune needs one hold-out: a column split and one seed.",
                {.file = job.config.evaluate.splits});
  }
  return std::move(divisions.front());
}

std::string counts_text(const TuningPlan& plan, const std::vector<std::string>& cases) {
  if (plan.target.classes.empty()) {
    return std::to_string(cases.size());
  }
  std::vector<int64_t> counts(plan.target.classes.size());
  for (const std::string& key : cases) {
    ++counts[static_cast<size_t>(plan.target.value_of.at(key))];
  }
  std::string text;
  for (size_t c = 0; c < counts.size(); ++c) {
    text += (c == 0 ? "" : ", ") + std::to_string(counts[c]) + " " + plan.target.classes[c];
  }
  return text;
}

/// Error SB3002 unless there is enough to learn from.
void check_enough(const TuningPlan& plan, bool only_training) {
  std::vector<std::string> cases = cases_of(plan, evaluate::Role::Train);
  if (!only_training) {
    const std::vector<std::string> more = cases_of(plan, evaluate::Role::Validation);
    cases.insert(cases.end(), more.begin(), more.end());
  }
  const std::string unit = plan.target.by_session ? "sessions" : "participants";
  const auto refuse = [&](const std::string& needed) {
    throw Error(message::kEmptySelection, "There is too little to learn " + plan.target.column + " from.",
                {.expected = needed,
                 .found = counts_text(plan, cases) + " to learn from",
                 .remedy = "prepare and embed more participants, or add output folders with -d NAME=PATH"});
  };
  if (plan.target.classes.empty() && static_cast<int64_t>(cases.size()) < kFewestNumbers) {
    refuse("at least " + std::to_string(kFewestNumbers) + " " + unit);
  }
  if (plan.target.classes.size() == 1) {
    refuse("at least 2 classes");
  }
  for (size_t c = 0; c < plan.target.classes.size(); ++c) {
    const auto n = std::count_if(cases.begin(), cases.end(), [&](const std::string& key) {
      return plan.target.value_of.at(key) == static_cast<double>(c);
    });
    if (n < kFewestOfClass) {
      refuse("at least " + std::to_string(kFewestOfClass) + " " + unit + " of each class");
    }
  }
}

void say_parts(const GroupJob& job, const TuningPlan& plan) {
  std::string text = "finetune: model " + plan.name + " of " + plan.parent.card.name;
  for (const evaluate::Role role :
       {evaluate::Role::Train, evaluate::Role::Validation, evaluate::Role::Test}) {
    const std::vector<std::string> cases = cases_of(plan, role);
    text += (role == evaluate::Role::Train ? "; " : ", ") + std::string(evaluate::name_of(role)) + " " +
            std::to_string(cases.size()) +
            (plan.target.classes.empty() || cases.empty() ? "" : " (" + counts_text(plan, cases) + ")");
  }
  job.log.say(Level::Normal, text + (plan.target.by_session ? " sessions" : " participants") +
                                 "; test ones are not looked at");
}

}  // namespace

std::vector<std::string> cases_of(const TuningPlan& plan, evaluate::Role role) {
  std::vector<std::string> cases;
  for (const evaluate::SplitRow& row : plan.problem.splits.rows) {
    if (row.role == role) {
      cases.push_back(row.key);
    }
  }
  return cases;
}

TuningPlan plan_tuning(const GroupJob& job) {
  check_words(job);
  TuningPlan plan{.name = {},
                  .folder = {},
                  .work = {},
                  .parent = model::open_model(find_model(job.config.embed.model, job.out_dir)),
                  .target = group_target(job),
                  .features = {},
                  .splits = {},
                  .problem = {}};
  const std::string& asked = job.config.train.model_name;
  plan.name = asked.empty() ? plan.parent.card.name + capitalised(plan.target.label) : asked;
  if (model::model_label(plan.name) != plan.name) {
    throw Error(message::kBadValue, "A model's name holds letters and digits only.", {.found = plan.name});
  }
  plan.folder = job.out_dir / "models" / ("model-" + plan.name);
  plan.work = job.out_dir / "models" / (".training-" + plan.name);
  refuse_equal_labels(job.out_dir / "models", plan.target);
  refuse_existing(job, plan.folder, plan.parent.path);
  const std::string note = model::untrained_note(plan.parent.card);
  if (!note.empty()) {
    job.log.warn(note);
  }
  const std::vector<const StoredRun*> runs = runs_of(job, plan.target);
  const ModelHistory history = model_history(plan.parent);
  const std::vector<evaluate::SplitItem> items = split_items(job, plan.target);
  plan.splits =
      job.config.evaluate.splits.empty()
          ? evaluate::hold_out(items, static_cast<uint64_t>(job.config.train.seed), {.kept = history.roles})
          : splits_given(job, items);
  plan.problem = {.class_names = plan.target.classes,
                  .truth = plan.target.value_of,
                  .splits = case_splits(plan.splits, plan.target),
                  .stratify = stratify_texts(job, plan.target)};
  evaluate::refuse_leakage(
      [&] {
        std::vector<std::string> tested;
        for (const evaluate::SplitRow& row : plan.splits.rows) {
          if (row.role == evaluate::Role::Test) {
            tested.push_back(row.key);
          }
        }
        return tested;
      }(),
      history.trained);
  say_parts(job, plan);
  check_enough(plan, job.config.evaluate.head == "finetune");
  plan.features = embedding_features(job, plan.parent, runs);
  return plan;
}

}  // namespace slim::pipelines
