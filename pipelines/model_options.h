// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"

namespace slim::pipelines {

struct EmbedOptions {
  std::string model{};
  std::string ranker{}, background{};
  std::vector<std::string> atlas{};
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("model", &EmbedOptions::model,
          "model folder, or a name looked up in OUT_DIR/models and $SLIMBRAIN_MODELS", Role::Run);
    visit("ranker", &EmbedOptions::ranker,
          "which clips: all (every non-overlapping 40-frame clip), or one clip a piece of the run from the "
          "best 8 windows of 5 frames by mutual_source, mutual_target, mutual_sum or leave_one_out (these "
          "need a model with stage-1 weights), variance, uniform, random or first (empty: mutual_source for "
          "a model with stage-1 weights, else all)");
    visit("background", &EmbedOptions::background, "token, unit or none (empty: the model's own)");
    visit("atlas", &EmbedOptions::atlas,
          "NAME=FILE: label image whose regions stage 1 and region tables use, nearest neighbour (FILE.tsv "
          "beside it names regions; default: cells of 16 mm)");
  }
};

struct SaliencyOptions {
  std::string saliency_method = "intgrad";
  std::string saliency_baseline{};
  std::vector<std::string> saliency_spaces{"slim"};
  std::optional<int64_t> saliency_steps{};
  int64_t saliency_clips = 2;
  std::string saliency_class{};
  bool saliency_sanity = false;
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("saliency_method", &SaliencyOptions::saliency_method,
          "intgrad (integrated gradients) or gradxinput");
    visit("saliency_baseline", &SaliencyOptions::saliency_baseline,
          "where integrated gradients begin: average (of the runs that the head learnt from) or zero (empty: "
          "average where the model has one)");
    visit("saliency_spaces", &SaliencyOptions::saliency_spaces,
          "slim, and source for a map in the run's own grid too, where the transform is known");
    visit("saliency_steps", &SaliencyOptions::saliency_steps,
          "steps of integrated gradients, exactly (default: tiny 12, base 32, doubled up to 128 while "
          "incomplete)");
    visit("saliency_clips", &SaliencyOptions::saliency_clips, "most clips of a run, evenly spaced");
    visit("saliency_class", &SaliencyOptions::saliency_class,
          "class whose logit is explained (empty: the predicted one; of two classes the second)");
    visit("saliency_sanity", &SaliencyOptions::saliency_sanity,
          "also compare the map with those of randomised weights");
  }
};

struct TrainOptions {
  std::string preset = "tiny", model_name{}, objective = "jepa", clips{};
  std::optional<int64_t> epochs{}, clips_per_step{}, stage1_epochs{};
  std::optional<double> learning_rate{};
  bool recompute = false;
  int64_t seed = 1;
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("preset", &TrainOptions::preset, "tiny or base: size of the model and recipe of its training");
    visit("model_name", &TrainOptions::model_name,
          "letters and digits: the model goes to OUT_DIR/models/model-NAME (empty: the preset's name; of "
          "finetune the model's and the target's)",
          Role::Run);
    visit("objective", &TrainOptions::objective, "jepa or mae");
    visit("epochs", &TrainOptions::epochs,
          "passes over the training runs (default: pretrain tiny 6, base 40; finetune 30)");
    visit("stage1_epochs", &TrainOptions::stage1_epochs,
          "passes of stage 1, the window ranker (default: tiny 30, base 100; 0: no stage 1)");
    visit("clips_per_step", &TrainOptions::clips_per_step,
          "clips of an optimiser step (default: pretrain tiny 2, base 32; finetune tiny 8, base 32); "
          "--batch-size of them at once");
    visit("learning_rate", &TrainOptions::learning_rate,
          "peak rate of the optimiser (default: pretrain, stage 2: tiny 0.001, base 0.0002; finetune, the "
          "encoder: tiny 0.0001, base 0.00001, and ten times as much for the head)");
    visit("clips", &TrainOptions::clips,
          "random (40 frames from anywhere), selected (the ranker's windows) or mixed (a coin a visit; "
          "default: tiny mixed, base selected)");
    visit("recompute", &TrainOptions::recompute,
          "compute activations twice instead of keeping them: less memory, slower", Role::Run);
    visit("seed", &TrainOptions::seed, "of weights, order, clips, masks and splits");
  }
};

struct EvaluateOptions {
  std::string target{}, target_type = "auto", head = "linear", splits{}, cv_group{}, class_weight = "none";
  std::vector<std::string> targets_file{}, stratify{};
  std::optional<int64_t> cv{};
  int64_t seeds = 1;
  bool include_train = false;
  template <class Visit>
  static void fields(Visit&& visit) {
    visit("target", &EvaluateOptions::target,
          "what to predict: COLUMN of participants.tsv, or FILE.tsv:COLUMN (sessions.tsv, "
          "phenotype/FILE.tsv)");
    visit("target_type", &EvaluateOptions::target_type,
          "auto (by the column's Levels or Units, then its values), class or number");
    visit("targets_file", &EvaluateOptions::targets_file,
          "[NAME=]FILE.tsv: table of targets of a dataset (default: the tables of the raw dataset that its "
          "dataset_description.json links)");
    visit("head", &EvaluateOptions::head,
          "linear (frozen encoder), finetune (encoder learns too) or fingerprint (evaluate: who is who "
          "between two sessions; needs no target)");
    visit("class_weight", &EvaluateOptions::class_weight, "none, or balanced: rare classes weigh more");
    visit("splits", &EvaluateOptions::splits, "FILE.tsv with participant_id and split or fold");
    visit("cv", &EvaluateOptions::cv, "evaluate: K folds instead of the model's own test participants");
    visit("cv_group", &EvaluateOptions::cv_group,
          "column of participants.tsv whose values (site, family) are never divided");
    visit("stratify", &EvaluateOptions::stratify,
          "columns of participants.tsv balanced among the parts, beside the target (numbers by fifths)");
    visit("seeds", &EvaluateOptions::seeds, "repeats with seed, seed + 1, ...");
    visit("include_train", &EvaluateOptions::include_train,
          "also evaluate participants that the model was trained on, as rows of their own");
  }
};

}  // namespace slim::pipelines
