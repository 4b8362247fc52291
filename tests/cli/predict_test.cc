// SPDX-License-Identifier: Apache-2.0
// Predictions and saliency maps from the command line, by a tiny encoder with planted heads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "bids/tsv.h"
#include "clips/average_brain.h"
#include "clips/clip_store.h"
#include "core/atomic_file.h"
#include "image/nifti_io.h"
#include "model/checkpoint/model_folder.h"
#include "tests/cli/headed_model.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kVolatile{"logs/", ".slimbrain/"};

const model::HeadTarget kAge{.name = "age", .column = "age", .mean = 40.0, .sd = 12.0, .units = "year"};
const model::HeadTarget kGroup{.name = "group", .column = "group", .classes = {"control", "patient"}};
const model::HeadTarget kSite{.name = "site", .column = "site", .classes = {"A", "B", "C"}};

/// Clip stores and embeddings of two participants (made once a process), one clip each.
struct Prepared {
  TempFolder folder;
  fs::path out = folder / "out";
  Prepared() {
    write_headed_model(out / "models/model-aged", {.target = kAge});
    write_headed_model(out / "models/model-grouped", {.target = kGroup});
    write_headed_model(out / "models/model-sited", {.target = kSite});
    const ProgramResult result = slimbrain({small_cohort(), out, "participant", "--stages", "prep"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
};

class Predict : public ::testing::Test {
 protected:
  void SetUp() override {
    static const Prepared prepared;
    fs::copy(prepared.out, out_, fs::copy_options::recursive);
  }
  ProgramResult call(const std::string& model, const std::vector<std::string>& extra) {
    return slimbrain(joined({small_cohort(), out_, "participant", "--model", model, "--nprocs", "2",
                             "--device", "cpu", "--saliency-steps", "1", "--saliency-clips", "1"},
                            extra));
  }
  fs::path func(const std::string& participant) const { return out_ / ("sub-" + participant) / "func"; }
  /// The one file of a participant with this ending.
  fs::path file(const std::string& participant, const std::string& ending) const {
    fs::path found;
    for (const fs::directory_entry& entry : fs::directory_iterator(func(participant))) {
      if (entry.path().filename().string().ends_with(ending)) {
        EXPECT_TRUE(found.empty()) << found << " and " << entry.path();
        found = entry.path();
      }
    }
    EXPECT_FALSE(found.empty()) << "no " << ending << " of sub-" << participant;
    return found;
  }
  nlohmann::json sidecar(const std::string& participant, const std::string& ending) const {
    return nlohmann::json::parse(read_text(file(participant, ending)));
  }
  /// Outputs of the planted head for each row of the embedding table.
  std::vector<std::vector<double>> outputs(const std::string& participant, const std::string& model) const {
    const bids::Table embedding = bids::read_tsv(file(participant, "_desc-" + model + "_embedding.tsv"));
    const model::ModelFolder folder = model::open_model(out_ / "models" / ("model-" + model));
    const auto values = [&](const std::string& name) {
      const std::span<const std::byte> bytes = folder.weights.data(*folder.weights.find(name));
      std::vector<float> floats(bytes.size() / sizeof(float));
      std::memcpy(floats.data(), bytes.data(), bytes.size());
      return floats;
    };
    const std::vector<float> weight = values("head.projection.weight"), bias = values("head.projection.bias");
    const size_t width = weight.size() / bias.size(), first = *embedding.column("dim_0000");
    std::vector<std::vector<double>> rows;
    for (const auto& cells : embedding.rows) {
      rows.emplace_back();
      for (size_t o = 0; o < bias.size(); ++o) {
        double sum = bias[o];
        for (size_t i = 0; i < width; ++i) {
          sum += std::stod(cells[first + i]) * weight[o * width + i];
        }
        rows.back().push_back(sum);
      }
    }
    return rows;
  }
  TempFolder folder_;
  fs::path out_ = folder_ / "out";
};

double cell(const bids::Table& table, size_t row, const char* column) {
  return bids::to_number(*table.cell(row, column)).value_or(std::nan(""));
}

TEST_F(Predict, ByDefaultAModelWithAHeadPredictsAndExplainsAndTheSecondCallIsUpToDate) {
  const std::vector<std::string> words{"--participant-label", "01", "--saliency-spaces", "slim", "source"};
  const ProgramResult other = call("aged", {"--participant-label", "02", "--stages", "embed", "predict"});
  ASSERT_EQ(other.exit_code, 0) << other.err;
  const ProgramResult first = call("aged", words);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  for (const char* participant : {"01", "02"}) {
    const bids::Table table = bids::read_tsv(file(participant, "_desc-age_predictions.tsv"));
    EXPECT_EQ(table.columns, (std::vector<std::string>{"level", "clip", "onset", "duration", "prediction",
                                                       "sd", "split", "pretrained"}));
    const std::vector<std::vector<double>> expected = outputs(participant, "aged");
    ASSERT_EQ(table.rows.size(), expected.size());
    for (size_t row = 0; row < expected.size(); ++row) {
      EXPECT_NEAR(cell(table, row, "prediction"), 40.0 + 12.0 * expected[row][0], 1e-5) << row;
      EXPECT_EQ(*table.cell(row, "split"), std::string(participant) == "01" ? "train" : "none");
      EXPECT_EQ(*table.cell(row, "pretrained"), "false");
      EXPECT_EQ(*table.cell(row, "sd"), "n/a") << "one clip";
    }
    EXPECT_EQ(*table.cell(expected.size() - 1, "level"), "run");
    const nlohmann::json facts = sidecar(participant, "_desc-age_predictions.json");
    EXPECT_EQ(facts.at("prediction").at("Units"), "year");
    EXPECT_EQ(facts.at("Slimbrain").at("Target").at("SD"), 12.0);
    for (const std::string& column : table.columns) {
      EXPECT_TRUE(facts.contains(column)) << column;
    }
  }
  const nlohmann::json map = sidecar("01", "res-slim_stat-intgrad_desc-age_boldmap.json");
  const nlohmann::json clip = map.at("Slimbrain").at("Saliency").at("Clips").at(0);
  EXPECT_NEAR(clip.at("F"), outputs("01", "aged")[0][0], 1e-4) << "the scalar is the standardised number";
  if (const auto python = judges_python()) {
    for (const auto& [script, extra] :
         {std::pair<std::string, std::string>("judge_saliency.py", small_cohort()),
          {"judge_outputs.py", ""}}) {
      std::vector<std::string> words{(fs::path(SLIM_SOURCE_DIR) / "tests/cli" / script).string(), out_};
      if (!extra.empty()) {
        words.push_back(extra);
      }
      const ProgramResult verdict = run_program(*python, words);
      EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
    }
  }

  const auto before = tree_hashes(out_, kVolatile);
  const ProgramResult second = call("aged", words);
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_NE(second.last_line().find("0 done, 4 up to date"), std::string::npos) << second.last_line();
  EXPECT_EQ(tree_hashes(out_, kVolatile), before);

  fs::remove(file("01", "res-slim_stat-intgrad_desc-age_boldmap.nii.gz"));
  ASSERT_EQ(call("aged", words).exit_code, 0);
  EXPECT_EQ(tree_hashes(out_, kVolatile), before) << "the same bits when made anew";
}

TEST_F(Predict, ProbabilitiesAreTheSoftmaxOfTheLogits) {
  for (const auto& [model, target] : {std::pair("grouped", kGroup), std::pair("sited", kSite)}) {
    const ProgramResult result = call(model, {"--stages", "embed", "predict"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const bids::Table table = bids::read_tsv(file("02", "_desc-" + target.name + "_predictions.tsv"));
    const std::vector<std::vector<double>> logits = outputs("02", model);
    for (size_t row = 0; row < logits.size(); ++row) {
      double sum = 0;
      for (const double logit : logits[row]) {
        sum += std::exp(logit);
      }
      size_t best = 0;
      for (size_t c = 0; c < target.classes.size(); ++c) {
        EXPECT_NEAR(cell(table, row, ("probability_" + target.classes[c]).c_str()),
                    std::exp(logits[row][c]) / sum, 1e-6);
        best = logits[row][c] > logits[row][best] ? c : best;
      }
      EXPECT_EQ(*table.cell(row, "prediction"), target.classes[best]);
    }
  }
}

TEST_F(Predict, PredictionsWithoutAnEmbeddingTableAreTheSame) {
  ASSERT_EQ(call("grouped", {"--stages", "predict"}).exit_code, 0);
  const std::string alone = read_text(file("01", "_desc-group_predictions.tsv"));
  ASSERT_EQ(call("grouped", {"--stages", "embed"}).exit_code, 0);
  ASSERT_EQ(call("grouped", {"--stages", "predict", "--force"}).exit_code, 0);
  EXPECT_EQ(read_text(file("01", "_desc-group_predictions.tsv")), alone);
}

/// Sets the stored values of a run to 0 where the voxel lies on the right: world x = 94 - 2 * voxel > 0.
void silence_the_right(const fs::path& path) {
  const clips::ClipStore store = clips::ClipStore::open(path);
  const auto values = static_cast<size_t>(store.frame_values());
  std::vector<uint16_t> bold(values * static_cast<size_t>(store.n_frames()));
  store.read_frames(0, store.n_frames(), bold);
  const std::vector<TokenCell>& cells = packaged_token_set().cells;
  for (size_t i = 0; i < bold.size(); ++i) {
    const size_t value = i % values;
    const int x = 4 * cells[value / 64].d + static_cast<int>(value % 64 / 16);
    if (94 - 2 * x > 0) {
      bold[i] = 0;
    }
  }
  const std::vector<uint8_t> valid(store.valid().begin(), store.valid().end());
  const auto metadata = store.metadata();
  const int64_t frames = store.n_frames();
  fs::remove(path);
  clips::write_clip_store(path, {.n_frames = frames, .bold = bold, .valid = valid, .metadata = metadata});
}

TEST_F(Predict, APathFromTheAverageExplainsWhatDiffersFromIt) {
  // The average is the first participant's own: its map is what is left in the frames, the other's is more.
  const fs::path store = file("01", "_clips.safetensors");
  clips::write_average_brain(out_ / "models/model-grouped" / clips::kAverageBrainFile,
                             clips::average_brain(std::vector<fs::path>{store}));
  const auto mapped = [&](const std::string& participant, const std::vector<std::string>& extra) {
    const ProgramResult result =
        call("grouped", joined({"--stages", "saliency", "--participant-label", participant}, extra));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.last_line().find("1 done"), std::string::npos) << result.last_line();
    return sidecar(participant, "res-slim_stat-intgrad_desc-group_boldmap.json");
  };
  const auto clip = [](const nlohmann::json& map, const char* key) {
    return map.at("Slimbrain").at("Saliency").at("Clips").at(0).at(key).get<double>();
  };
  const nlohmann::json own = mapped("01", {}), other = mapped("02", {}),
                       zero = mapped("01", {"--saliency-baseline", "zero"});
  EXPECT_EQ(own.at("Slimbrain").at("Saliency").at("Baseline"),
            "the average of the runs that the head learnt from (1)");
  EXPECT_NE(zero.at("Method").get<std::string>().find("from 0"), std::string::npos);
  EXPECT_LT(clip(own, "SumAbsA"), clip(zero, "SumAbsA"));
  EXPECT_LT(clip(own, "SumAbsA"), clip(other, "SumAbsA"));
  EXPECT_NE(clip(own, "FAtBaseline"), clip(zero, "FAtBaseline"));
  EXPECT_NEAR(clip(own, "F"), clip(zero, "F"), 1e-5);
}

TEST_F(Predict, ASignalOnTheLeftIsExplainedOnTheLeft) {
  const auto python = judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  silence_the_right(file("01", "_clips.safetensors"));
  const ProgramResult result = call("grouped", {"--stages", "saliency", "--participant-label", "01"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const ProgramResult verdict = run_program(
      *python,
      {(fs::path(SLIM_SOURCE_DIR) / "tests/cli/judge_saliency.py").string(), out_.string(), "--left-only"});
  EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
}

TEST_F(Predict, TheExplainedClassIsTheParticipantsUnlessNamedAndGradientsAreAMethodOfTheirOwn) {
  const std::vector<std::string> fast{"--saliency-method", "gradxinput", "--participant-label", "01"};
  const auto explained = [&](const std::string& model, const std::string& target,
                             const std::vector<std::string>& more) {
    const ProgramResult result = call(model, joined(joined(fast, more), {"--stages", "predict", "saliency"}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return sidecar("01", "res-slim_stat-gradxinput_desc-" + target + "_boldmap.json").at("Function");
  };
  const auto predicted = [&] {
    const bids::Table table = bids::read_tsv(file("01", "_desc-site_predictions.tsv"));
    return *table.cell(table.rows.size() - 1, "prediction");
  };
  const nlohmann::json site = explained("sited", "site", {});
  EXPECT_EQ(site, "logit of " + predicted() + " minus the mean logit of the other classes");
  const std::string other = predicted() == "A" ? "B" : "A";
  EXPECT_EQ(explained("sited", "site", {"--saliency-class", other}),
            "logit of " + other + " minus the mean logit of the other classes");
  EXPECT_EQ(explained("grouped", "group", {}), "logit of patient minus logit of control");
  EXPECT_EQ(explained("grouped", "group", {"--saliency-class", "control"}),
            "logit of control minus logit of patient");
}

TEST_F(Predict, AggregateMakesMeanMapsOfEachSplitAndClassAndMixesNoModels) {
  write_headed_model(out_ / "models/model-fresh", {.target = kGroup, .learnt_from = {"sub-77"}});
  write_headed_model(out_ / "models/model-sites", {.target = kSite, .learnt_from = {"sub-77"}});
  const auto explain = [&](const std::string& model, const std::string& participant,
                           const std::vector<std::string>& more = {}) {
    const ProgramResult result = call(model, joined({"--stages", "saliency", "--saliency-method",
                                                     "gradxinput", "--participant-label", participant},
                                                    more));
    EXPECT_EQ(result.exit_code, 0) << result.err;
  };
  const std::string stem = "group_task-rest_space-MNI152NLin6Asym_res-slim_stat-gradxinput_desc-";
  const auto mean = [&](const std::string& label) {
    return image::read_volume(out_ / (stem + label + "_boldmap.nii.gz"));
  };
  for (const char* participant : {"01", "02"}) {
    explain("fresh", participant);
    explain("sites", participant, {"--saliency-class", participant == std::string("01") ? "A" : "C"});
  }
  const auto aggregate = [&] { return slimbrain({"-", out_, "group"}); };
  ASSERT_EQ(aggregate().exit_code, 0) << aggregate().err;
  const image::Volume both = mean("groupNone");
  EXPECT_EQ(both.grid, image::slim_grid());
  const auto map = [&](const std::string& participant, const std::string& target) {
    return image::read_volume(
        file(participant, "res-slim_stat-gradxinput_desc-" + target + "_boldmap.nii.gz"));
  };
  const image::Volume first = map("01", "group"), second = map("02", "group");
  double largest = 0;
  for (size_t v = 0; v < both.values.size(); ++v) {
    ASSERT_FLOAT_EQ(both.values[v],
                    static_cast<float>(
                        (static_cast<double>(first.values[v]) + static_cast<double>(second.values[v])) / 2));
    largest = std::max(largest, std::abs(static_cast<double>(both.values[v])));
  }
  EXPECT_GT(largest, 0);
  const nlohmann::json facts = nlohmann::json::parse(read_text(out_ / (stem + "groupNone_boldmap.json")));
  EXPECT_EQ(facts.at("Slimbrain").at("Participants"),
            (nlohmann::json{"slimbrain/sub-01", "slimbrain/sub-02"}));
  EXPECT_EQ(mean("siteANone").values, map("01", "site").values) << "one class each";
  EXPECT_EQ(mean("siteCNone").values, map("02", "site").values);
  if (const auto python = judges_python()) {
    const ProgramResult verdict = run_program(
        *python, {(fs::path(SLIM_SOURCE_DIR) / "tests/cli/judge_outputs.py").string(), out_.string()});
    EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
  }
  write_headed_model(out_ / "models/model-other", {.target = kGroup, .values = [](const TensorSpec& spec) {
                                                     return std::vector<float>(
                                                         static_cast<size_t>(spec.count()), 0.5F);
                                                   }});
  explain("other", "02");
  const ProgramResult mixed = aggregate();
  EXPECT_EQ(mixed.exit_code, 65) << mixed.err;
  EXPECT_NE(mixed.err.find("SB4002"), std::string::npos) << mixed.err;
}

TEST_F(Predict, TheSanityCheckGoesDownToTheEmbeddingAndIsWrittenDown) {
  const ProgramResult result = call("aged", {"--stages", "saliency", "--saliency-method", "gradxinput",
                                             "--saliency-sanity", "--participant-label", "01"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("the map correlates"), std::string::npos) << result.err;
  const nlohmann::json steps = sidecar("01", "res-slim_stat-gradxinput_desc-age_boldmap.json")
                                   .at("Slimbrain")
                                   .at("Saliency")
                                   .at("Sanity");
  ASSERT_EQ(steps.size(), 5u);
  EXPECT_EQ(steps.front().at("Randomised"), "head");
  for (const nlohmann::json& step : steps) {
    EXPECT_LE(std::abs(step.at("Spearman").get<double>()), 1.0);
  }
}

TEST_F(Predict, WhatCannotBeExplainedIsRefusedBeforeAnyWork) {
  write_headed_model(out_ / "models/model-nameless", {.target = kGroup, .tells_target = false});
  struct BadCall {
    std::string model;
    std::vector<std::string> words;
    int exit_code;
    const char *code, *says;
  };
  const std::vector<BadCall> calls{
      {toy_model(), {"--stages", "predict"}, 65, "SB4002", "finetune"},
      {toy_model(), {"--stages", "prep", "saliency"}, 65, "SB4002", "no head"},
      {"nameless", {"--stages", "predict"}, 65, "SB4002", "imported"},
      {"nobody", {"--stages", "saliency"}, 66, "SB4001", "nobody"},
      {"grouped", {"--saliency-class", "boss"}, 64, "SB1002", "control, patient"},
      {"aged", {"--saliency-class", "old"}, 64, "SB1002", "number"},
      {"aged", {"--saliency-method", "guess"}, 64, "SB1002", "intgrad"},
      {"aged", {"--saliency-baseline", "moon"}, 64, "SB1002", "average"},
      {"aged", {"--saliency-baseline", "average"}, 65, "SB4002", "carries no average"},
      {"aged", {"--saliency-spaces", "moon"}, 64, "SB1002", "source"}};
  const auto before = tree_hashes(out_, {});
  for (const BadCall& bad : calls) {
    const ProgramResult result = call(bad.model, bad.words);
    EXPECT_EQ(result.exit_code, bad.exit_code) << bad.says << "\n" << result.err;
    EXPECT_NE(result.err.find(bad.code), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(bad.says), std::string::npos) << result.err;
  }
  EXPECT_EQ(tree_hashes(out_, {}), before);
}

TEST_F(Predict, PrepComesBeforeWhateverNeedsItAndAHeadlessModelStillEmbedsAlone) {
  fs::remove_all(out_ / "sub-02");
  const ProgramResult result = call("grouped", {"--stages", "predict"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("prep is done first"), std::string::npos);
  EXPECT_TRUE(fs::exists(file("02", "_desc-group_predictions.tsv")));
  const ProgramResult embedded = call(toy_model(), {"--dry-run"});
  EXPECT_NE(embedded.out.find("stages: prep embed\n"), std::string::npos) << embedded.out;
  const ProgramResult planned = call("grouped", {"--dry-run"});
  EXPECT_NE(planned.out.find("stages: prep embed predict saliency\n"), std::string::npos) << planned.out;
}

}  // namespace
}  // namespace slim::test
