// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "model/checkpoint/encoder_config.h"
#include "model/global_mae_options.h"

namespace slim::model {

/// The stage-1 network and the regions that it reads.
struct Stage1Config {
  GlobalMaeOptions network{};
  std::string atlas;         // name of the parcellation; "grid" = the default cells
  std::string atlas_sha256;  // RoiLabels::sha256
};

/// What the outputs of a head stand for.
struct HeadTarget {
  std::string name;                    // letters and digits, for file names
  std::string column;                  // as --target named it: COLUMN or FILE.tsv:COLUMN
  std::vector<std::string> classes{};  // one logit each, in order; empty = one standardised number
  double mean = 0, sd = 1;             // of a number in the training split, in the target's units
  std::string units{};                 // of a number

  int64_t outputs() const { return classes.empty() ? 1 : static_cast<int64_t>(classes.size()); }
};

/// config.json: what the weights are weights of, and what input they expect. Absent = not known.
struct ModelConfig {
  EncoderOptions encoder{};
  bool fusion = false;
  std::optional<PredictorShape> predictor{};
  std::optional<int64_t> head_outputs{};
  std::optional<HeadTarget> head_target{};  // known for heads of ours
  std::optional<Stage1Config> stage1{};
  std::optional<std::string> objective{};  // jepa or mae, when known
  std::string background = "token";        // token, unit or none
  std::string grid;                        // kSlimGridName
  std::optional<std::string> token_mask_sha256{};
  std::optional<std::string> zscore{};  // run or voxel
  std::optional<double> repetition_time_s{};
};

/// Where imported weights came from.
struct ModelSource {
  std::string file;  // name without folders
  std::string sha256;
  std::string container;
  std::string state_key;
  std::optional<int64_t> epoch{};
  bool ema = false;
};

/// What a model of ours was trained on, and how it went.
struct ModelTraining {
  std::string objective;                // jepa or mae
  std::string encoder;                  // target (the moving average) or online
  std::vector<std::string> parents{};   // SHA-256 of the weights that it started from
  std::vector<std::string> datasets{};  // names of the output folders
  int64_t participants = 0, runs = 0;   // learnt from; splits.tsv names them
  int64_t epochs = 0, steps = 0, clips = 0;
  std::string clip_source;  // random, selected or mixed
  std::string verdict;      // healthy or narrow
};

/// How a head came onto a model: what it learnt from. splits.tsv names the participants; the splits of the
/// parents are in parent_splits.tsv.
struct ModelTuning {
  std::string method;                             // linear (encoder frozen) or finetune
  std::string parent;                             // SHA-256 of the weights that it started from
  std::vector<std::string> datasets{};            // names of the output folders
  std::string ranker;                             // which clips were seen
  int64_t participants = 0, runs = 0, clips = 0;  // learnt from
  int64_t epochs = 0, best_epoch = 0;             // of finetune, counted from 1; 0 for linear
  double lambda_per_column = 0;                   // of linear; 0 for finetune
  std::string metric{};                           // what was best, on whom: inner_folds_log_loss, ...
  std::optional<double> score{};                  // its value; absent where there was nobody to judge by
};

/// model.json: what is known about this very model.
struct ModelCard {
  std::string name;  // [0-9A-Za-z]+
  bool trained = false;
  std::string made_by;  // init, import, pretrain or finetune
  std::optional<uint64_t> seed{};
  std::optional<ModelSource> source{};
  std::optional<ModelTraining> training{};  // pre-training, also of the parent where a head came onto it
  std::optional<ModelTuning> tuning{};      // of finetune
  std::vector<std::string>
      initialised_tensors{};  // of an import: drawn at random, since the file lacked them
  int64_t tensors = 0;
  int64_t parameters = 0;
  std::string weights_sha256{};
};

/// A folder of weights.safetensors, config.json, model.json and README.md, opened for reading.
struct ModelFolder {
  std::filesystem::path path;
  ModelConfig config;
  ModelCard card;
  SafetensorsFile weights;
};

/// Opens and checks a model folder. Errors: SB4001 no such folder; SB2101 a file of it is missing; SB2019,
/// SB2020 a file cannot be parsed; SB4002 unknown, missing or impossible values, tensors other than the
/// configuration's, or weights whose SHA-256 is not the card's.
ModelFolder open_model(const std::filesystem::path& folder);

/// A tensor to be written and where its values come from; make() is called once, in the order of the list.
struct WeightSource {
  TensorSpec spec;
  std::function<std::vector<float>()> make;
};

/// Writes a model folder, whole or not at all; fills the card's counts and hash and returns it. The folder
/// must not exist or be empty: SB5001 otherwise. `more` adds further files to the folder it is given.
ModelCard write_model(const std::filesystem::path& folder, const ModelConfig& config, ModelCard card,
                      const std::vector<WeightSource>& weights,
                      const std::function<void(const std::filesystem::path&)>& more = {});

/// All tensors that a configuration calls for, sorted by name.
std::vector<TensorSpec> configured_tensors(const ModelConfig& config);

/// The letters and digits of a text, which is what a model's name may hold. Error SB1002 when there are none.
std::string model_label(const std::string& text);

}  // namespace slim::model
