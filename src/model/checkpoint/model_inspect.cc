// SPDX-License-Identifier: Apache-2.0
#include <sstream>

#include "core/error.h"
#include "model/checkpoint/key_match.h"
#include "model/checkpoint/model_tool.h"
#include "model/checkpoint/pth_reader.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

void line(std::ostream& out, const std::string& name, const std::string& value) {
  out << name << std::string(name.size() < 20 ? 20 - name.size() : 1, ' ') << value << "\n";
}

std::string or_unknown(const std::optional<std::string>& value) { return value.value_or("unknown"); }

std::string inspect_folder(const fs::path& path) {
  const ModelFolder model = open_model(path);
  const ModelCard& card = model.card;
  std::ostringstream out;
  line(out, "model", card.name);
  line(out, "trained", card.trained ? "yes" : "NO. " + untrained_note(card));
  line(out, "made by", card.made_by + (card.seed ? " (seed " + std::to_string(*card.seed) + ")" : ""));
  if (card.source) {
    line(out, "source", card.source->file + " (SHA-256 " + card.source->sha256 + ")");
    line(out, "source epoch", card.source->epoch ? std::to_string(*card.source->epoch) : "unknown");
  }
  line(out, "preset", model.config.encoder.preset);
  line(out, "tensors", std::to_string(card.tensors));
  line(out, "parameters", std::to_string(card.parameters));
  line(out, "feature width", std::to_string(model.config.encoder.width()));
  line(out, "fusion heads", model.config.fusion ? "yes" : "no");
  line(out, "predictor",
       model.config.predictor ? std::to_string(model.config.predictor->depth) + " x " +
                                    std::to_string(model.config.predictor->width)
                              : "no");
  line(out, "head",
       model.config.head_outputs ? std::to_string(*model.config.head_outputs) + " outputs" : "no");
  if (model.config.head_target) {
    line(out, "target", model.config.head_target->column);
  }
  line(out, "stage 1",
       model.config.stage1
           ? std::to_string(model.config.stage1->network.rois) + " regions of " + model.config.stage1->atlas
           : "no");
  line(out, "background", model.config.background);
  line(out, "grid", model.config.grid);
  line(out, "token mask", or_unknown(model.config.token_mask_sha256));
  line(out, "z-score", or_unknown(model.config.zscore));
  std::ostringstream tr;
  if (model.config.repetition_time_s) {
    tr << *model.config.repetition_time_s << " s";
  }
  line(out, "repetition time", tr.str().empty() ? "unknown" : tr.str());
  line(out, "weights SHA-256", card.weights_sha256);
  return out.str();
}

template <class Tensors, class Spec, class Type>
void list_tensors(std::ostream& out, const Tensors& tensors, Spec&& spec_of, Type&& type_of) {
  // Expanded views may count more than fits; the sum is for people.
  uint64_t count = 0;
  for (const auto& tensor : tensors) {
    count += static_cast<uint64_t>(spec_of(tensor).count());
  }
  line(out, "tensors", std::to_string(tensors.size()));
  line(out, "elements", std::to_string(count));
  for (const auto& tensor : tensors) {
    out << "  " << spec_of(tensor).name << "  " << type_of(tensor) << "  "
        << shape_text(spec_of(tensor).shape) << "\n";
  }
}

std::string inspect_pth(const fs::path& path) {
  const PthFile pth = PthFile::open(path);
  std::ostringstream out;
  line(out, "PyTorch checkpoint", pth.container());
  std::string keys;
  for (const std::string& key : pth.top_keys()) {
    keys += (keys.empty() ? "" : ", ") + key;
  }
  line(out, "outermost keys", keys);
  line(out, "state dict", pth.state_key().empty() ? "the outermost dict" : pth.state_key());
  line(out, "epoch", pth.epoch() ? std::to_string(*pth.epoch()) : "unknown");
  if (pth.says_untrained()) {
    line(out, "trained", "NO. The file says that its weights are random numbers.");
  }
  for (const std::string& name : pth.opaque_names()) {
    line(out, "not read", name);
  }
  const KeyMatch match = compare_keys(pth.tensors(), {});
  line(out, "fits preset",
       match.encoder.preset + (match.missing.empty() && match.misshapen.empty() && match.doubled.empty()
                                   ? ""
                                   : ", but not completely"));
  line(out, "target encoder", std::to_string(match.ema.size()) + " tensors");
  if (const std::string listing = match.listing(); !listing.empty()) {
    out << "    " << listing << "\n";
  }
  list_tensors(
      out, pth.tensors(), [](const StoredTensor& tensor) -> const TensorSpec& { return tensor.spec; },
      [](const StoredTensor& tensor) { return tensor.source_dtype; });
  return out.str();
}

std::string inspect_safetensors(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::ostringstream out;
  line(out, "safetensors", path.filename().string());
  for (const auto& [key, value] : file.metadata()) {
    line(out, key, value);
  }
  list_tensors(
      out, file.tensors(), [](const TensorSpec& spec) -> const TensorSpec& { return spec; },
      [](const TensorSpec& spec) { return name_of(spec.dtype); });
  return out.str();
}

}  // namespace

std::string inspect(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return inspect_folder(path);
  }
  return path.extension() == ".safetensors" ? inspect_safetensors(path) : inspect_pth(path);
}

}  // namespace slim::model
