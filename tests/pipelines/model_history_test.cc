// SPDX-License-Identifier: Apache-2.0
// Who a model and its parents were trained on.
#include "pipelines/model_history.h"

#include <gtest/gtest.h>

#include "evaluate/splits_table.h"
#include "tests/pipelines/group_call.h"

namespace slim::pipelines::test {
namespace {

using evaluate::Role;

class History : public ::testing::Test {
 protected:
  model::ModelFolder model(const std::string& name) {
    create_folder(folder_ / name);
    return nominal_model(folder_ / name, name);
  }
  void splits(const model::ModelFolder& model, const std::vector<std::pair<std::string, Role>>& roles) {
    evaluate::Splits splits{.seed = 3};
    for (const auto& [key, role] : roles) {
      splits.rows.push_back({.key = key, .role = role});
    }
    write_text(model.path / "splits.tsv", evaluate::splits_tsv(std::span(&splits, 1)));
  }
  slim::test::TempFolder folder_;
};

TEST_F(History, AChildRemembersItsParents) {
  model::ModelFolder grandparent = model("base"), parent = model("baseage"), child = model("baseagesex");
  splits(grandparent, {{"a/sub-1", Role::Train}, {"a/sub-2", Role::Validation}, {"a/sub-3", Role::Test}});
  const ModelHistory first = model_history(grandparent);
  EXPECT_TRUE(first.was_pretrained("a/sub-2")) << "validation chose what was kept";
  EXPECT_FALSE(first.was_pretrained("a/sub-3"));

  write_text(parent.path / "parent_splits.tsv", parent_splits_tsv(grandparent));
  parent.card.tuning = tuning("linear");
  splits(parent, {{"a/sub-1", Role::Train}, {"a/sub-3", Role::Test}, {"b/sub-1", Role::Train}});
  write_text(child.path / "parent_splits.tsv", parent_splits_tsv(parent));
  child.card.tuning = tuning("finetune");
  splits(child, {{"c/sub-9", Role::Train}});
  const ModelHistory history = model_history(child);
  ASSERT_EQ(history.trained.size(), 3u);
  EXPECT_EQ(history.trained[0].model, "baseagesex");
  EXPECT_EQ(history.trained[1].model, "baseage");
  EXPECT_EQ(history.trained[2].keys, (std::vector<std::string>{"a/sub-1", "a/sub-2"}));
  EXPECT_EQ(history.roles.at("a/sub-3"), Role::Test);
  EXPECT_EQ(history.roles.at("b/sub-1"), Role::Train);
  EXPECT_FALSE(history.was_pretrained("c/sub-9")) << "only the head saw it";
  const std::vector<std::string> tested{"b/sub-1"};
  EXPECT_EQ(code_of([&] { evaluate::refuse_leakage(tested, history.trained); }), "SB7001");
}

TEST_F(History, WithoutSplitsNobodyIsKnownAndImportedWeightsSaySo) {
  model::ModelFolder random = model("random");
  EXPECT_TRUE(model_history(random).roles.empty());
  EXPECT_TRUE(model_history(random).known);
  random.card.source.emplace();
  EXPECT_FALSE(model_history(random).known);
  write_text(random.path / "parent_splits.tsv", parent_splits_tsv(random));
  EXPECT_TRUE(model_history(random).trained.empty());
}

TEST_F(History, ChangedTablesAreRefused) {
  model::ModelFolder changed = model("changed");
  splits(changed, {{"a/sub-1", Role::Train}, {"a/sub-2", Role::Test}});
  std::string text = read_text(changed.path / "splits.tsv");
  text.replace(text.find("test"), 4, "train");
  write_text(changed.path / "splits.tsv", text);
  EXPECT_EQ(code_of([&] { model_history(changed); }), "SB2003");
}

}  // namespace
}  // namespace slim::pipelines::test
