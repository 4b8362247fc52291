// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/encoder_config.h"
#include "model/checkpoint/pth_reader.h"

namespace slim::model {

/// A key without the wrappers that training code puts before it.
struct CleanKey {
  std::string name;
  bool ema = false;  // it stood under target_encoder., target_ or ema.
  bool operator==(const CleanKey&) const = default;
};
/// Strips module., backbone., encoder. (repeatedly) and recognises target encoders.
CleanKey clean_key(std::string_view key);

struct MatchOptions {
  /// Beginnings of encoder keys that may be missing ("encoder_norm", "blocks.23."); they are then
  /// initialised.
  std::vector<std::string> allow_partial{};
  /// Takes the EMA (target) encoder's tensors where the file has them.
  bool import_ema = false;
};

/// A tensor that the model folder will hold; no source: the file lacks it and allow_partial admits that.
struct MatchedTensor {
  TensorSpec spec;
  const StoredTensor* source = nullptr;
};

/// How a checkpoint's keys fit the model.
struct KeyMatch {
  EncoderOptions encoder;
  std::vector<MatchedTensor> tensors;   // encoder, then complete fusion heads, predictor, head; each sorted
  std::vector<std::string> missing;     // encoder keys that the file lacks
  std::vector<std::string> misshapen;   // "key: 4 x 64 expected, 4 x 32 found"
  std::vector<std::string> doubled;     // two keys that mean the same tensor
  std::vector<std::string> unexpected;  // keys as they stand in the file
  std::vector<std::string> ema;         // keys of a target encoder, as they stand in the file
  std::vector<std::string> warnings;    // sentences: parts left out
  bool fusion = false;
  std::optional<PredictorShape> predictor{};
  std::optional<int64_t> head_outputs{};

  /// Every missing, unexpected, mis-shaped and doubled key, one a line; empty when there is none.
  std::string listing() const;
};

/// Compares without judging. The preset is the one that fits best. `tensors` must outlive the result.
KeyMatch compare_keys(const std::vector<StoredTensor>& tensors, const MatchOptions& options);

/// Compares and refuses what cannot be imported: Error SB4002 with the listing when the encoder is incomplete
/// (beyond allow_partial), mis-shaped or ambiguous, or when import_ema finds no target encoder.
KeyMatch match_keys(const std::vector<StoredTensor>& tensors, const std::filesystem::path& file,
                    const MatchOptions& options);

}  // namespace slim::model
