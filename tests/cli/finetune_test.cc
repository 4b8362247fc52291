// SPDX-License-Identifier: Apache-2.0
// Heads put on a model from the command line: who is learnt from, what comes out, what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "bids/tsv.h"
#include "clips/average_brain.h"
#include "core/atomic_file.h"
#include "core/safetensors.h"
#include "core/token_set.h"
#include "evaluate/splits_table.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;
using evaluate::Role;

/// 10 participants of one clip each, embedded by a tiny model with random weights (made once a process).
const ToyStudy& embedded() {
  static const ToyStudy all(
      {"--subjects", "10", "--frames", "40", "--tr", "0.72", "--form", "mni", "--voxel-mm", "4"},
      {"--stages", "prep,embed", "--model", toy_model()});
  return all;
}

class Finetune : public ::testing::Test {
 protected:
  void SetUp() override {
    // The link to the cohort is relative: the copy lies as deep as the original.
    fs::copy(embedded().cohort / "participants.tsv", folder_ / "participants.tsv");
    fs::copy(embedded().out, out_, fs::copy_options::recursive);
  }
  ProgramResult finetune(const std::vector<std::string>& extra = {}, const fs::path& model = toy_model()) {
    return slimbrain(joined({"-", out_, "group", "--stages", "finetune", "--model", model, "--targets-file",
                             table_, "--nprocs", "2", "--device", "cpu"},
                            extra));
  }
  /// A copy of the toy model that says that it learnt from participants 1-5, chose by 6 and 7, and kept 8-10.
  fs::path model_with_splits() {
    evaluate::Splits splits{.seed = 1};
    for (int i = 1; i <= 10; ++i) {
      splits.rows.push_back({.key = key(i),
                             .role = i <= 5   ? Role::Train
                                     : i <= 7 ? Role::Validation
                                              : Role::Test});
    }
    const fs::path model = folder_ / "model-split";
    fs::copy(toy_model(), model, fs::copy_options::recursive);
    write_text(model / "splits.tsv", evaluate::splits_tsv(std::span(&splits, 1)));
    return model;
  }
  static std::string key(int i) {
    return "slimbrain/sub-" + std::string(i < 10 ? "0" : "") + std::to_string(i);
  }
  /// A table with a column y.
  void write_table(const std::function<std::string(int)>& value) {
    std::string text = "participant_id\ty\n";
    for (int i = 1; i <= 10; ++i) {
      text += key(i).substr(10) + "\t" + value(i) + "\n";
    }
    write_text(table_, text);
  }
  nlohmann::json json(const std::string& model, const std::string& file) const {
    return nlohmann::json::parse(read_text(out_ / "models" / model / file));
  }
  fs::path store_of(const std::string& participant) const {
    for (const fs::directory_entry& entry : fs::directory_iterator(out_ / participant / "func")) {
      if (entry.path().string().ends_with("_clips.safetensors")) {
        return entry.path();
      }
    }
    ADD_FAILURE() << "no clip store of " << participant;
    return {};
  }
  SafetensorsFile weights(const std::string& model) const {
    return SafetensorsFile::open(out_ / "models" / model / "weights.safetensors");
  }

  TempFolder folder_;
  fs::path out_ = folder_ / "out", table_ = folder_ / "participants.tsv";
};

bool same_bytes(const SafetensorsFile& a, const SafetensorsFile& b, const std::string& name) {
  const auto of_a = a.data(*a.find(name)), of_b = b.data(*b.find(name));
  return std::equal(of_a.begin(), of_a.end(), of_b.begin(), of_b.end());
}

TEST_F(Finetune, ALinearHeadLeavesTheEncoderAndItsWordAlone) {
  const ProgramResult result = finetune({"--target", "group"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto card = json("model-tinyGroup", "model.json"),
             head = json("model-tinyGroup", "config.json")["head"];
  EXPECT_EQ(card.at("trained"), false) << "the encoder is as random as before";
  EXPECT_EQ(card.at("made_by"), "finetune");
  EXPECT_EQ(card.at("tuning").at("method"), "linear");
  EXPECT_EQ(card.at("tuning").at("participants"), 8) << "training and validation";
  EXPECT_EQ(head.at("outputs"), 2);
  EXPECT_EQ(head.at("target").at("classes"), nlohmann::json({"control", "patient"}));
  const SafetensorsFile parent = SafetensorsFile::open(toy_model() / "weights.safetensors"),
                        child = weights("model-tinyGroup");
  EXPECT_EQ(child.tensors().size(), parent.tensors().size() + 2);
  for (const TensorSpec& spec : parent.tensors()) {
    EXPECT_TRUE(same_bytes(parent, child, spec.name)) << spec.name;
  }
  const bids::Table splits = bids::read_tsv(out_ / "models/model-tinyGroup/splits.tsv");
  EXPECT_EQ(splits.rows.size(), 10u);
  std::vector<fs::path> learnt;
  for (size_t row = 0; row < splits.rows.size(); ++row) {
    if (*splits.cell(row, "split") != "test") {
      learnt.push_back(store_of(*splits.cell(row, "participant_id")));
    }
  }
  EXPECT_EQ(clips::read_average_brain(out_ / "models/model-tinyGroup" / clips::kAverageBrainFile,
                                      packaged_token_set().size() * kTokenVoxels)
                .values,
            clips::average_brain(learnt).values);
  EXPECT_NE(result.err.find("untrained"), std::string::npos);
  EXPECT_EQ(finetune({"--target", "group"}).exit_code, 73) << "a model of that name is there";
  EXPECT_EQ(finetune({"--target", "group", "--force"}).exit_code, 0);
  // A head may follow a head; the first model's participants are remembered.
  const ProgramResult second =
      finetune({"--target", "age", "--target-type", "number"}, out_ / "models/model-tinyGroup");
  ASSERT_EQ(second.exit_code, 0) << second.err;
  const bids::Table parents = bids::read_tsv(out_ / "models/model-tinyGroupAge/parent_splits.tsv");
  EXPECT_EQ(parents.rows.size(), 10u);
  EXPECT_EQ(*parents.cell(0, "model"), "tinyGroup");
  EXPECT_GT(json("model-tinyGroupAge", "config.json")["head"]["target"]["sd"], 1.0);
}

TEST_F(Finetune, RolesOfTheModelStayAndTestParticipantsAreNeverLookedAt) {
  const fs::path model = model_with_splits();
  write_table([](int i) { return i % 2 == 0 ? "a" : "b"; });
  ASSERT_EQ(finetune({"--target", "y", "--model-name", "one"}, model).exit_code, 0);
  const bids::Table splits = bids::read_tsv(out_ / "models/model-one/splits.tsv");
  for (size_t r = 0; r < splits.rows.size(); ++r) {
    EXPECT_EQ(*splits.cell(r, "split"), r < 5 ? "train" : r < 7 ? "validation" : "test");
  }
  EXPECT_EQ(bids::read_tsv(out_ / "models/model-one/parent_splits.tsv").rows.size(), 10u);
  // Other labels of the test participants change nothing.
  write_table([](int i) { return (i % 2 == 0) != (i > 7) ? "a" : "b"; });
  ASSERT_EQ(finetune({"--target", "y", "--model-name", "two"}, model).exit_code, 0);
  const SafetensorsFile one = weights("model-one"), two = weights("model-two");
  EXPECT_TRUE(same_bytes(one, two, "head.projection.weight"));
  // Others' do.
  write_table([](int i) { return (i % 2 == 0) != (i == 2) ? "a" : "b"; });
  ASSERT_EQ(finetune({"--target", "y", "--model-name", "three"}, model).exit_code, 0);
  EXPECT_FALSE(same_bytes(one, weights("model-three"), "head.projection.weight"));
  // A table of splits that tests someone the model learnt from is refused.
  std::string text = "participant_id\tsplit\n";
  for (int i = 1; i <= 10; ++i) {
    text += key(i).substr(10) + (i < 3 ? "\ttest\n" : "\ttrain\n");
  }
  write_text(folder_ / "splits.tsv", text);
  const ProgramResult leaking = finetune(
      {"--target", "y", "--model-name", "four", "--splits", (folder_ / "splits.tsv").string()}, model);
  EXPECT_EQ(leaking.exit_code, 65) << leaking.err;
  EXPECT_NE(leaking.err.find("SB7001"), std::string::npos) << leaking.err;
}

TEST_F(Finetune, EncoderAndHeadLearnTogether) {
  write_table([](int i) { return i > 6 ? "n/a" : i % 2 == 0 ? "a" : "b"; });  // 4 clips to learn from
  const ProgramResult result =
      finetune({"--target", "y", "--head", "finetune", "--epochs", "1", "--class-weight", "balanced"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto card = json("model-tinyY", "model.json");
  EXPECT_EQ(card.at("trained"), true);
  EXPECT_EQ(card.at("tuning").at("method"), "finetune");
  EXPECT_EQ(card.at("tuning").at("best_epoch"), 1);
  EXPECT_EQ(bids::read_tsv(out_ / "models/model-tinyY/history.tsv").rows.size(), 1u);
  EXPECT_FALSE(fs::exists(out_ / "models/.training-tinyY"));
  const SafetensorsFile parent = SafetensorsFile::open(toy_model() / "weights.safetensors");
  EXPECT_FALSE(same_bytes(parent, weights("model-tinyY"), "blocks.0.mlp.fc1.weight"));
}

TEST_F(Finetune, WhatCannotBeLearntIsRefusedWithARemedy) {
  const auto refused = [&](const std::vector<std::string>& words, int exit_code, const std::string& what) {
    const ProgramResult result = finetune(words);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_NE(result.err.find(what), std::string::npos) << result.err;
  };
  refused({}, 64, "--target");
  refused({"--target", "gruop"}, 64, "group");
  refused({"--target", "group", "--head", "fingerprint"}, 64, "linear or finetune");
  refused({"--target", "group", "--cv", "5"}, 64, "--cv");
  refused({"--target", "group", "--model-name", "a b"}, 64, "letters and digits");
  refused({"--target", "group", "--ranker", "uniform"}, 65, "ranker");
  write_table([](int i) { return i == 1 ? "rare" : "usual"; });
  refused({"--target", "y"}, 66, "1 rare");
  fs::remove(out_ / "sub-01/func/sub-01_task-rest_space-MNI152NLin6Asym_res-slim_desc-tiny_embedding.tsv");
  write_table([](int i) { return i % 2 == 0 ? "a" : "b"; });
  refused({"--target", "y"}, 66, "participant --stages embed --model");
  EXPECT_FALSE(fs::exists(out_ / "models"));
}

}  // namespace
}  // namespace slim::test
