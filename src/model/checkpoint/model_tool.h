// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/checkpoint/model_folder.h"

namespace slim::model {

struct ImportOptions {
  std::string name{};                        // empty: letters and digits of the folder's name
  std::vector<std::string> allow_partial{};  // beginnings of encoder keys that may be missing
  bool import_ema = false;                   // the target (EMA) encoder's tensors instead of the online ones
  uint64_t seed = 1;                         // for tensors that allow_partial admits
};

/// A model that was made, and sentences worth a word to the user.
struct ModelMade {
  ModelCard card;
  std::vector<std::string> warnings{};
};

/// Makes a model folder of a PyTorch checkpoint; nothing in the file is executed. The training's token mask
/// and normalisation are not in such a file: config.json says background `unit` and leaves them unknown.
/// Errors SB2021, SB4002 (which lists every missing, unexpected and mis-shaped key), SB5001, SB5002.
ModelMade import_pth(const std::filesystem::path& file, const std::filesystem::path& folder,
                     const ImportOptions& options = {});

/// Writes the tensors with official names as {epoch, model_state_dict}, for Python's torch.load. Returns
/// their number.
int64_t export_pth(const std::filesystem::path& folder, const std::filesystem::path& file);

/// Makes a model folder of random weights, marked as untrained. Presets: tiny, base.
ModelMade init_model(const std::filesystem::path& folder, const std::string& preset, uint64_t seed,
                     const std::string& name = {});

/// Describes a model folder, a .pth or a .safetensors file, as lines of text.
std::string inspect(const std::filesystem::path& path);

/// The sentence that everything made with an untrained model must carry; empty for a trained one.
std::string untrained_note(const ModelCard& card);

}  // namespace slim::model
