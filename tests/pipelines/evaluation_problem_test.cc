// SPDX-License-Identifier: Apache-2.0
// Who is predicted and who is fitted on.
#include "pipelines/evaluation_problem.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/pipelines/group_call.h"

namespace slim::pipelines {
namespace {

using test::code_of;
using test::GroupCallByHand;

std::string person(int i) { return (i < 10 ? "sub-0" : "sub-") + std::to_string(i); }

/// n participants of OUT_DIR and m of dataset `other`, classes a and b in turn.
GroupTarget two_classes(int n, int m = 0) {
  GroupTarget target{.label = "group", .column = "group", .classes = {"a", "b"}, .value_of = {}};
  for (int i = 0; i < n; ++i) {
    target.value_of["slimbrain/" + person(i)] = i % 2;
  }
  for (int i = 0; i < m; ++i) {
    target.value_of["other/" + person(i)] = i % 2;
  }
  return target;
}

/// A model that learnt from the first `learnt` of OUT_DIR.
ModelHistory history_of(int learnt) {
  ModelHistory history;
  evaluate::TrainedOn trained{"parent", {}};
  for (int i = 0; i < learnt; ++i) {
    trained.keys.push_back("slimbrain/" + person(i));
    history.roles[trained.keys.back()] = evaluate::Role::Train;
  }
  history.trained = history.pretrained = {trained};
  return history;
}

std::set<std::string> fitted_or_tested(const evaluate::Splits& splits, bool tested) {
  std::set<std::string> keys;
  for (const evaluate::SplitRow& row : splits.rows) {
    if ((row.role == evaluate::Role::Test) == tested) {
      keys.insert(row.key);
    }
  }
  return keys;
}

TEST(EvaluationProblem, FoldsOverLearntParticipantsAreRefusedUnlessAskedFor) {
  GroupCallByHand call;
  call.config.evaluate.cv = 4;
  EXPECT_EQ(code_of([&] { evaluation_problem(call.job(), two_classes(16), history_of(10)); }), "SB7001");
  call.config.evaluate.include_train = true;
  const EvaluationProblem problem = evaluation_problem(call.job(), two_classes(16), history_of(10));
  ASSERT_EQ(problem.parts.size(), 2u);
  EXPECT_EQ(problem.parts[0].name, "all");
  EXPECT_EQ(problem.parts[0].cases.size(), 6u);
  EXPECT_EQ(problem.parts[1].name, "pretrained=true");
  EXPECT_EQ(problem.parts[1].cases.size(), 10u);
  EXPECT_FALSE(problem.parts[0].cases.contains("slimbrain/sub-03"));
}

TEST(EvaluationProblem, AHoldOutTestsNobodyWhomTheModelLearntFrom) {
  GroupCallByHand call;
  const EvaluationProblem problem = evaluation_problem(call.job(), two_classes(40), history_of(12));
  ASSERT_EQ(problem.parts.size(), 1u);
  EXPECT_GE(problem.parts[0].cases.size(), 5u);
  for (int i = 0; i < 12; ++i) {
    EXPECT_FALSE(problem.parts[0].cases.contains("slimbrain/" + person(i)));
  }
}

TEST(EvaluationProblem, ADatasetThatTheModelNeverSawIsTestedAndNotFitted) {
  GroupCallByHand call;
  for (const bool folds : {false, true}) {
    call.config.evaluate.cv = folds ? std::optional<int64_t>(4) : std::nullopt;
    const EvaluationProblem problem = evaluation_problem(call.job(), two_classes(20, 6), history_of(0));
    ASSERT_EQ(problem.parts.size(), 2u);
    EXPECT_EQ(problem.parts[1].name, "dataset=other");
    EXPECT_EQ(problem.parts[1].cases.size(), 6u);
    const Division& division = problem.divisions.front();
    for (const evaluate::SplitRow& row : division.inner.splits.rows) {
      EXPECT_TRUE(row.key.starts_with("slimbrain/")) << row.key;
    }
    EXPECT_EQ(fitted_or_tested(division.outer.splits, true), problem.parts[1].cases);
    EXPECT_EQ(fitted_or_tested(division.outer.splits, false).size(), folds ? 20u : 16u);
  }
}

TEST(EvaluationProblem, ADatasetThatTheModelLearntFromIsNotExternal) {
  GroupCallByHand call;
  ModelHistory history;
  history.roles["other/sub-00"] = evaluate::Role::Train;
  const EvaluationProblem problem = evaluation_problem(call.job(), two_classes(20, 10), history);
  ASSERT_EQ(problem.parts.size(), 1u);
  EXPECT_EQ(problem.divisions.front().inner.splits.rows.size(), 30u);
  EXPECT_TRUE(problem.divisions.front().outer.splits.rows.empty());
}

TEST(EvaluationProblem, TooLittleIsRefusedWithCounts) {
  GroupCallByHand call;
  GroupTarget one = two_classes(6);
  one.classes = {"a"};
  EXPECT_EQ(code_of([&] { evaluation_problem(call.job(), one, {}); }), "SB3002");
  call.config.evaluate.cv = 2;
  EXPECT_EQ(code_of([&] { evaluation_problem(call.job(), two_classes(16), {}); }), "SB1002");
  call.config.evaluate.cv = 4;
  GroupTarget few = two_classes(16);
  for (auto& [key, value] : few.value_of) {
    value = key == "slimbrain/sub-00" || key == "slimbrain/sub-01" ? 1 : 0;
  }
  try {
    evaluation_problem(call.job(), few, {});
    FAIL() << "two of a class are too few";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB3002");
    EXPECT_EQ(error.details().found, "14 a, 2 b");
  }
}

TEST(EvaluationProblem, SeedsRepeatTheDivisionAndTheSameSeedGivesTheSame) {
  GroupCallByHand call;
  call.config.evaluate.cv = 5;
  call.config.evaluate.seeds = 3;
  const EvaluationProblem a = evaluation_problem(call.job(), two_classes(30), {}),
                          b = evaluation_problem(call.job(), two_classes(30), {});
  ASSERT_EQ(a.divisions.size(), 3u);
  EXPECT_EQ(a.divisions[2].participants.rows, b.divisions[2].participants.rows);
  EXPECT_NE(a.divisions[0].participants.rows, a.divisions[1].participants.rows);
}

TEST(EvaluationProblem, GivenSplitsAreTakenAndJudged) {
  GroupCallByHand call;
  std::string text = "participant_id\tsplit\n";
  for (int i = 0; i < 16; ++i) {
    text += person(i) + "\t" + (i < 12 ? "train" : "test") + "\n";
  }
  call.write("splits.tsv", text);
  call.config.evaluate.splits = (call.out.parent_path() / "splits.tsv").string();
  const EvaluationProblem problem = evaluation_problem(call.job(), two_classes(16), history_of(12));
  EXPECT_EQ(problem.parts.front().cases, (std::set<std::string>{"slimbrain/sub-12", "slimbrain/sub-13",
                                                                "slimbrain/sub-14", "slimbrain/sub-15"}));
  EXPECT_EQ(code_of([&] { evaluation_problem(call.job(), two_classes(16), history_of(13)); }), "SB7001");
}

}  // namespace
}  // namespace slim::pipelines
