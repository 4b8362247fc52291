// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/key_match.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "model/checkpoint/float_tensor.h"

namespace slim::model {
namespace {

/// Clean name -> tensor, and which of them a part of the model has taken.
class Candidates {
 public:
  Candidates(const std::vector<StoredTensor>& tensors, bool import_ema, KeyMatch& match) {
    std::map<std::string, const StoredTensor*> online, ema;
    for (const StoredTensor& tensor : tensors) {
      CleanKey key = clean_key(tensor.spec.name);
      if (key.ema) {
        match.ema.push_back(tensor.spec.name);
      }
      // Heads of other scripts.
      for (const std::string_view other : {"head.0.", "head."}) {
        if (key.name == std::string(other) + "weight" || key.name == std::string(other) + "bias") {
          key.name = "head.projection." + key.name.substr(other.size());
        }
      }
      const auto [place, is_new] = (key.ema ? ema : online).emplace(key.name, &tensor);
      if (!is_new && (!key.ema || import_ema)) {
        match.doubled.push_back(place->second->spec.name + " and " + tensor.spec.name);
      }
    }
    by_name_ = std::move(online);
    if (import_ema) {
      for (const auto& [name, tensor] : ema) {
        by_name_[name] = tensor;
      }
    }
  }

  const StoredTensor* find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }
  const StoredTensor* take(const std::string& name) {
    taken_.insert(name);
    return find(name);
  }
  std::vector<std::string> left_over() const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : by_name_) {
      if (!taken_.contains(name)) {
        names.push_back(tensor->spec.name);
      }
    }
    return names;
  }
  /// The largest j of names `prefix`j.rest, plus 1.
  int64_t depth(std::string_view prefix) const {
    int64_t depth = 0;
    for (const auto& [name, tensor] : by_name_) {
      int64_t j = -1;
      if (name.starts_with(prefix)) {
        std::from_chars(name.data() + prefix.size(), name.data() + name.size(), j);
      }
      depth = std::max(depth, j < 1000 ? j + 1 : 0);
    }
    return depth;
  }

 private:
  std::map<std::string, const StoredTensor*> by_name_;
  std::set<std::string> taken_;
};

struct PartMatch {
  std::vector<MatchedTensor> tensors;
  std::vector<std::string> missing, misshapen;
  bool complete() const { return missing.empty() && misshapen.empty(); }
};

PartMatch match_part(Candidates& candidates, const std::vector<TensorSpec>& expected) {
  PartMatch part;
  for (const TensorSpec& spec : expected) {
    const StoredTensor* found = candidates.take(spec.name);
    if (found == nullptr) {
      part.missing.push_back(spec.name);
    } else if (found->spec.shape != spec.shape) {
      part.misshapen.push_back(spec.name + ": " + shape_text(spec.shape) + " expected, " +
                               shape_text(found->spec.shape) + " found");
    } else if (!is_floating(found->spec.dtype)) {
      part.misshapen.push_back(spec.name + ": a floating type expected, " + found->source_dtype + " found");
    }
    part.tensors.push_back({.spec = spec, .source = found});
  }
  return part;
}

/// An optional part is taken whole or not at all.
bool take_optional(KeyMatch& match, Candidates& candidates, const std::vector<TensorSpec>& expected,
                   const std::string& what) {
  const bool present = std::any_of(expected.begin(), expected.end(), [&](const TensorSpec& spec) {
    return candidates.find(spec.name) != nullptr;
  });
  if (!present) {
    return false;
  }
  PartMatch part = match_part(candidates, expected);
  if (!part.complete()) {
    std::string keys;
    for (const auto* list : {&part.missing, &part.misshapen}) {
      for (const std::string& key : *list) {
        keys += (keys.empty() ? "" : "; ") + key;
      }
    }
    match.warnings.push_back("The " + what +
                             " is left out, because it does not fit or is incomplete: " + keys + ".");
    return false;
  }
  match.tensors.insert(match.tensors.end(), part.tensors.begin(), part.tensors.end());
  return true;
}

std::optional<PredictorShape> predictor_shape(const Candidates& candidates) {
  const StoredTensor* embed = candidates.find("decoder_embed.weight");
  const StoredTensor* output = candidates.find("decoder_pred.weight");
  if (embed == nullptr || output == nullptr || embed->spec.shape.size() != 2 ||
      output->spec.shape.size() != 2) {
    return std::nullopt;
  }
  const PredictorShape shape{.width = embed->spec.shape[0],
                             .depth = candidates.depth("decoder_blocks."),
                             .output = output->spec.shape[0]};
  constexpr int64_t kMostWidth = 1 << 20;
  if (shape.width < 1 || shape.width > kMostWidth || shape.output < 1) {
    return std::nullopt;
  }
  return shape;
}

void append(std::string& text, const char* kind, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    text += (text.empty() ? "" : "\n    ") + std::string(kind) + ": " + key;
  }
}

KeyMatch compare_with(const std::vector<StoredTensor>& tensors, const MatchOptions& options,
                      const EncoderOptions& encoder) {
  KeyMatch match;
  match.encoder = encoder;
  Candidates candidates(tensors, options.import_ema, match);
  PartMatch part = match_part(candidates, encoder_tensors(encoder));
  match.tensors = std::move(part.tensors);
  match.missing = std::move(part.missing);
  match.misshapen = std::move(part.misshapen);
  match.fusion = take_optional(match, candidates, fusion_tensors(encoder), "set of fusion heads");
  if (const std::optional<PredictorShape> shape = predictor_shape(candidates)) {
    if (take_optional(match, candidates, predictor_tensors(encoder, *shape), "predictor")) {
      match.predictor = shape;
    }
  }
  const StoredTensor* head = candidates.find("head.projection.weight");
  if (head != nullptr && head->spec.shape.size() == 2) {
    const int64_t outputs = head->spec.shape[0];
    const std::vector<TensorSpec> expected{
        {.name = "head.projection.bias", .dtype = DType::F32, .shape = {outputs}},
        {.name = "head.projection.weight", .dtype = DType::F32, .shape = {outputs, encoder.width()}}};
    if (take_optional(match, candidates, expected, "head")) {
      match.head_outputs = outputs;
    }
  }
  match.unexpected = candidates.left_over();
  return match;
}

}  // namespace

CleanKey clean_key(std::string_view key) {
  bool ema = false;
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix :
         {"module.", "backbone.", "encoder.", "target_encoder.", "target_", "ema."}) {
      if (key.starts_with(prefix) && key.size() > prefix.size()) {
        key.remove_prefix(prefix.size());
        ema = ema || prefix.starts_with("target_") || prefix == "ema.";
        again = true;
      }
    }
  }
  return {.name = std::string(key), .ema = ema};
}

std::string KeyMatch::listing() const {
  std::string text;
  append(text, "missing", missing);
  append(text, "mis-shaped", misshapen);
  append(text, "doubled", doubled);
  append(text, "unexpected", unexpected);
  return text;
}

KeyMatch compare_keys(const std::vector<StoredTensor>& tensors, const MatchOptions& options) {
  const auto defects = [](const KeyMatch& match) { return match.missing.size() + match.misshapen.size(); };
  KeyMatch base = compare_with(tensors, options, encoder_preset("base"));
  if (defects(base) == 0) {
    return base;
  }
  KeyMatch tiny = compare_with(tensors, options, encoder_preset("tiny"));
  return defects(tiny) < defects(base) ? tiny : base;
}

KeyMatch match_keys(const std::vector<StoredTensor>& tensors, const std::filesystem::path& file,
                    const MatchOptions& options) {
  KeyMatch match = compare_keys(tensors, options);
  const auto refuse = [&](const std::string& sentence, std::string remedy) {
    throw Error(message::kUnfitModel, sentence,
                {.file = file.string(), .found = match.listing(), .remedy = std::move(remedy)});
  };
  if (options.import_ema && match.ema.empty()) {
    refuse("The checkpoint holds no target (EMA) encoder.", "import it without --ema");
  }
  const bool all_allowed =
      std::all_of(match.missing.begin(), match.missing.end(), [&](const std::string& key) {
        return std::any_of(options.allow_partial.begin(), options.allow_partial.end(),
                           [&](const std::string& part) { return !part.empty() && key.starts_with(part); });
      });
  const size_t expected = encoder_tensors(match.encoder).size();
  if (!all_allowed || !match.misshapen.empty() || !match.doubled.empty() ||
      match.missing.size() == expected) {
    refuse("The checkpoint's encoder does not fit preset " + match.encoder.preset + ": of " +
               std::to_string(expected) + " tensors " + std::to_string(match.missing.size()) +
               " are missing and " + std::to_string(match.misshapen.size()) + " mis-shaped; " +
               std::to_string(match.doubled.size()) + " keys are doubled, " +
               std::to_string(match.unexpected.size()) + " unexpected.",
           match.misshapen.empty() && match.doubled.empty() && match.missing.size() < expected
               ? "if a part may be initialised at random, name it with --allow-partial"
               : "");
  }
  return match;
}

}  // namespace slim::model
