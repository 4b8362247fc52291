// SPDX-License-Identifier: Apache-2.0
// Features from the tables that participant calls committed: whose they are, and what is refused.
#include "pipelines/embedding_features.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bids/fingerprint.h"
#include "pipelines/group_targets.h"
#include "tests/pipelines/group_call.h"

namespace slim::pipelines::test {
namespace {

const std::string kWeights(64, 'a'), kParent(64, 'b');

class Features : public ::testing::Test {
 protected:
  void SetUp() override { model_.card.weights_sha256 = kWeights; }
  /// A run with a store of some bytes and a table of two clips [v, 1] and [v + 2, 3].
  void add(const std::string& unit, double v, const std::string& weights = kWeights,
           const std::string& ranker = "all") {
    StoredRun& run = call_.add_run(unit);
    call_.write("out/" + run.store, "store of " + unit);
    const std::string table = unit + "_desc-m_embedding";
    run.embeddings["m"] = table + ".tsv";
    call_.write("out/" + table + ".tsv", "level\tclip\tframes\tdim_0000\tdim_0001\nclip\t0\t0-39\t" +
                                             std::to_string(v) + "\t1\nclip\t1\t40-79\t" +
                                             std::to_string(v + 2) + "\t3\nrun\tn/a\tn/a\t7\t7\n");
    const nlohmann::json sidecar{
        {"Slimbrain",
         {{"Model", {{"WeightsSHA256", weights}}},
          {"Ranker", ranker},
          {"Background", "token"},
          {"InputFingerprints", {{"bids::" + run.store, bids::input_fingerprint(call_.out / run.store)}}}}}};
    call_.write("out/" + table + ".json", sidecar.dump());
  }
  EmbeddingFeatures read() {
    std::vector<const StoredRun*> runs;
    for (const StoredRun& run : call_.runs()) {
      runs.push_back(&run);
    }
    return embedding_features(call_.job(), model_, runs);
  }
  std::string code() {
    return code_of([&] { read(); });
  }
  GroupCallByHand call_;
  model::ModelFolder model_ = nominal_model("m", "m");
};

TEST_F(Features, AParticipantIsTheMeanOverAllItsClips) {
  add("sub-01_task-rest_run-1", 1);
  add("sub-01_task-rest_run-2", 5);
  add("sub-02_task-rest_run-1", 10);
  const EmbeddingFeatures features = read();
  EXPECT_EQ(features.clips(), 6);
  EXPECT_EQ(features.run_of[3]->unit(), "sub-01_task-rest_run-2");
  EXPECT_EQ(features.frames[3], "40-79");
  EXPECT_EQ(features.ranker, "all");
  const evaluate::FeatureTable table = features.means(participant_key);
  EXPECT_EQ(table.keys, (std::vector<std::string>{"slimbrain/sub-01", "slimbrain/sub-02"}));
  EXPECT_EQ(table.values, (std::vector<double>{4, 2, 11, 2}));
  const evaluate::FeatureTable second = features.means(
      [](const StoredRun& run) { return run.cell("run") == "2" ? participant_key(run) : std::string(); });
  EXPECT_EQ(second.values, (std::vector<double>{6, 2}));
}

TEST_F(Features, ALinearHeadTakesTheTablesOfItsParent) {
  add("sub-01_task-rest", 1, kParent);
  EXPECT_EQ(code(), "SB2101");
  model_.card.tuning = tuning("linear", kParent);
  EXPECT_EQ(read().clips(), 2);
  model_.card.tuning->method = "finetune";
  EXPECT_EQ(code(), "SB2101") << "its encoder is another one";
}

TEST_F(Features, StaleTablesOtherRankersAndBrokenNumbersAreRefused) {
  add("sub-01_task-rest", 1);
  add("sub-02_task-rest", 1);
  EXPECT_EQ(code(), "none");
  call_.config.embed.ranker = "uniform";
  EXPECT_EQ(code(), "SB4002");
  call_.config.embed.ranker = "";
  call_.write("out/sub-02_task-rest_clips.safetensors", "prepared anew");
  EXPECT_EQ(code(), "SB2101");
  add("sub-03_task-rest", 1, kWeights, "uniform");
  call_.write("out/sub-02_task-rest_clips.safetensors", "store of sub-02_task-rest");
  EXPECT_EQ(code(), "SB4002");
  add("sub-03_task-rest", 1);
  call_.write("out/sub-03_task-rest_desc-m_embedding.tsv",
              "level\tclip\tframes\tdim_0000\tdim_0001\nclip\t0\t0-39\tn/a\t1\n");
  EXPECT_EQ(code(), "SB2003");
  call_.write("out/sub-03_task-rest_desc-m_embedding.tsv",
              "level\tclip\tframes\tdim_0000\nclip\t0\t0-39\t1\n");
  EXPECT_EQ(code(), "SB2003") << "another width";
}

TEST_F(Features, TheErrorNamesTheCallThatMakesThem) {
  call_.add_run("sub-01_task-rest");
  call_.write("out/sub-01_task-rest_clips.safetensors", "store");
  call_.config.embed.model = "tiny";
  try {
    read();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.details().remedy,
              "slimbrain BIDS_DIR " + call_.out.string() + " participant --stages embed --model tiny");
  }
}

}  // namespace
}  // namespace slim::pipelines::test
