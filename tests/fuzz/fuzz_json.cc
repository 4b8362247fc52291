// SPDX-License-Identifier: Apache-2.0
// Inputs are JSON texts; what parses is tried as a sidecar, a filter file, a model's configuration and card.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "bids/bids_dataset.h"
#include "bids/filter.h"
#include "core/error.h"
#include "core/json_file.h"
#include "model/checkpoint/model_json.h"
#include "tests/fuzz/fuzz.h"

namespace {

template <class Fn>
void refusing(Fn&& fn) {
  try {
    fn();
  } catch (const slim::Error&) {
    // A coded refusal is the right answer to most inputs.
  }
}

}  // namespace

FuzzCorpus fuzz_corpus() {
  slim::model::ModelConfig config;
  config.grid = "slim96-2mm";
  config.predictor = slim::model::PredictorShape{};
  slim::model::ModelCard card;
  card.name = "a";
  card.made_by = "import";
  card.source = slim::model::ModelSource{
      .file = "x", .sha256 = std::string(64, '0'), .container = "zip", .state_key = ""};
  card.weights_sha256 = std::string(64, '1');
  return {
      .seeds =
          {R"({"RepetitionTime": 0.72, "TaskName": "rest", "SkullStripped": true, "StartTime": 0.5})",
           R"({"VolumeTiming": [0, 2, 4.0005], "SliceTiming": [0.0, 1.0], "EchoTime": 3e-2})",
           R"({"bold": {"task": ["rest", "nback"], "run": 1, "session": null}, "t1w": {"acquisition": "*"}})",
           R"([1, -2.5e10, "\u00e9\n", true, null, {"a": {"b": []}}])", slim::model::config_text(config),
           slim::model::card_text(card)},
      .words = {"{\"", "\":", "[[", "]]", "null", "true", "1e999", "-0", "\\ud800", "\\u0000",
                "18446744073709551616", "\"RepetitionTime\"", "\"VolumeTiming\"", "\"bold\"", "\"session\"",
                "\"format\"", "\"encoder\"", "\xff"}};
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  refusing([&] {
    const nlohmann::json json = slim::parse_json(text, "fuzz.json");
    refusing([&] { slim::bids::bold_metadata(json, "fuzz.json"); });
    refusing([&] { slim::bids::filter_rules(json, "bold", "fuzz.json"); });
    refusing([&] { slim::model::config_text(slim::model::config_from(json, "fuzz.json")); });
    refusing([&] { slim::model::card_text(slim::model::card_from(json, "fuzz.json")); });
    if (slim::parse_json(json.dump(), "fuzz.json") != json) {
      std::abort();
    }
  });
  return 0;
}
