// SPDX-License-Identifier: Apache-2.0
// Targets of a group call: tables found, odd tables, datasets that agree or not, sessions.
#include "pipelines/group_splits.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/pipelines/group_call.h"

namespace slim::pipelines::test {
namespace {

class Targets : public ::testing::Test {
 protected:
  void runs(const std::vector<std::string>& labels, const std::string& dataset = "slimbrain") {
    for (const std::string& label : labels) {
      call_.add_run("sub-" + label + "_task-rest", dataset);
    }
  }
  GroupTarget target(const std::string& spec, const std::vector<std::string>& classes = {}) {
    call_.config.evaluate.target = spec;
    return group_target(call_.job(), classes);
  }
  std::string code(const std::string& spec) {
    return code_of([&] { target(spec); });
  }
  GroupCallByHand call_;
};

TEST_F(Targets, AnOddTableIsReadAndTheMissingAreListed) {
  runs({"01", "02", "03", "04", "05"});
  call_.write("raw/participants.tsv",
              "\xEF\xBB\xBFparticipant_id\tage\tgroup\r\nsub-01\t89+\tpatient\r\nsub-02\tn/a\tcontrol\r\n"
              "sub-03\t 31\tcontrol\r\nsub-04\t\tpatient\r\nsub-99\t12\tcontrol\r\n\r\n");
  call_.write("raw/participants.json", R"({"age": {"Units": "year", "Description": "Age"}})");
  EXPECT_EQ(code("age"), "SB2003") << "a blank in a number is not guessed away";
  call_.write("raw/participants.tsv",
              "\xEF\xBB\xBFparticipant_id\tage\tgroup\r\nsub-01\t89+\tpatient\r\nsub-02\tn/a\tcontrol\r\n"
              "sub-03\t31\tcontrol\r\nsub-04\t\tpatient\r\nsub-99\t12\tcontrol\r\n\r\n");
  const GroupTarget age = target("age");
  EXPECT_TRUE(age.classes.empty());
  EXPECT_EQ(age.units, "year");
  EXPECT_EQ(age.description, "Age");
  EXPECT_EQ(age.value_of,
            (std::map<std::string, double>{{"slimbrain/sub-01", 89}, {"slimbrain/sub-03", 31}}));
  EXPECT_EQ(age.missing,
            (std::vector<std::string>{"slimbrain/sub-02", "slimbrain/sub-04", "slimbrain/sub-05"}));
  const GroupTarget group = target("group");
  EXPECT_EQ(group.classes, (std::vector<std::string>{"control", "patient"}));
  EXPECT_EQ(group.value_of.size(), 4u);
}

TEST_F(Targets, LevelsGiveTheOrderAndClassesOfNobodyAreLeftOut) {
  runs({"01", "02"});
  call_.write("raw/participants.tsv", "participant_id\tdiagnosis_now\nsub-01\tHC\nsub-02\tSZ\n");
  call_.write("raw/participants.json",
              R"({"diagnosis_now": {"Levels": {"SZ": "a", "MDD": "b", "HC": "c"}}})");
  const GroupTarget found = target("diagnosis_now");
  EXPECT_EQ(found.label, "diagnosisnow");
  EXPECT_EQ(found.classes, (std::vector<std::string>{"SZ", "HC"}));
  EXPECT_EQ(found.value_of.at("slimbrain/sub-01"), 1);
  // The classes of a model stay as they are, and strangers are missing.
  const GroupTarget of_model = target("diagnosis_now", {"HC", "ADHD"});
  EXPECT_EQ(of_model.classes, (std::vector<std::string>{"HC", "ADHD"}));
  EXPECT_EQ(of_model.missing, (std::vector<std::string>{"slimbrain/sub-02"}));
}

TEST_F(Targets, WhatIsNotThereIsSaidWithACode) {
  runs({"01"});
  EXPECT_EQ(code("group"), "SB2101") << "no table at all";
  call_.write("raw/participants.tsv", "participant_id\tgroup\nsub-01\tn/a\n");
  EXPECT_EQ(code("gruop"), "SB1002") << "no such column";
  EXPECT_EQ(code("group"), "SB3002") << "nobody has a value";
  EXPECT_EQ(code(""), "SB1002");
  EXPECT_EQ(code("phenotype/x.tsv:iq"), "SB2101");
  call_.config.evaluate.targets_file = {"nobody=x.tsv"};
  EXPECT_EQ(code("group"), "SB1002") << "a table for a dataset that is not in the call";
  call_.config.evaluate.targets_file = {"x.tsv"};
  EXPECT_EQ(code("group"), "SB2101") << "a named table that is not there";
}

TEST_F(Targets, PhenotypeTablesAndGivenTablesAreFound) {
  runs({"01", "02"});
  call_.write("raw/phenotype/mood.tsv", "participant_id\tscore\n01\t3.5\nsub-02\t4\n");
  call_.write("raw/phenotype/mood.json", R"({"score": {"Units": "points"}})");
  EXPECT_EQ(target("phenotype/mood.tsv:score").value_of.at("slimbrain/sub-01"), 3.5);
  call_.write("raw/participants.tsv", "participant_id\tage\nsub-01\t20\nsub-02\t30\n");
  call_.write("given.tsv", "participant_id\tgroup\nsub-01\ta\nsub-02\tb\n");
  call_.config.evaluate.targets_file = {(call_.out.parent_path() / "given.tsv").string()};
  EXPECT_EQ(target("group").classes.size(), 2u);
  EXPECT_EQ(group_column(call_.job(), "age").at("slimbrain/sub-02"), "30")
      << "participants.tsv is still there";
}

TEST_F(Targets, TwoDatasetsAreReadAsOneOrRefused) {
  runs({"01", "02"});
  runs({"01"}, "other");
  call_.write("raw/participants.tsv", "participant_id\tsex\nsub-01\tF\nsub-02\tM\n");
  call_.write("otherraw/participants.tsv", "participant_id\tsex\nsub-01\tM\n");
  const GroupTarget sex = target("sex");
  EXPECT_EQ(sex.value_of.at("other/sub-01"), 1);
  EXPECT_EQ(sex.value_of.at("slimbrain/sub-01"), 0);
  call_.write("otherraw/participants.tsv", "participant_id\tsex\nsub-01\tmale\n");
  EXPECT_EQ(code("sex"), "SB2003") << "spelled otherwise";
  call_.write("otherraw/participants.tsv", "participant_id\tage\nsub-01\t40\n");
  EXPECT_EQ(code("sex"), "SB1002");
  EXPECT_EQ(group_column(call_.job(), "sex", false).size(), 2u) << "where it is not needed";
  call_.write("raw/participants.tsv", "participant_id\tage\nsub-01\t20\nsub-02\t30\n");
  call_.write("raw/participants.json", R"({"age": {"Units": "year"}})");
  call_.write("otherraw/participants.json", R"({"age": {"Units": "month"}})");
  EXPECT_EQ(code("age"), "SB2003") << "other units";
  call_.write("otherraw/participants.json", R"({"age": {"Levels": {"40": "forty"}}})");
  EXPECT_EQ(code("age"), "SB2003") << "units here, levels there";
}

TEST_F(Targets, SessionsThatDifferAreCasesOfTheirOwn) {
  for (const char* unit : {"sub-01_ses-a_task-rest", "sub-01_ses-b_task-rest", "sub-02_ses-a_task-rest"}) {
    call_.add_run(unit);
  }
  call_.write("raw/sub-01/sub-01_sessions.tsv", "session_id\tdrug\tsite\nses-a\toff\tx\nses-b\ton\tx\n");
  call_.write("raw/sub-02/sub-02_sessions.tsv", "session_id\tsite\tdrug\nses-a\ty\toff\nses-b\ty\tn/a\n");
  const GroupTarget site = target("sessions.tsv:site");
  EXPECT_FALSE(site.by_session);
  EXPECT_EQ(site.value_of, (std::map<std::string, double>{{"slimbrain/sub-01", 0}, {"slimbrain/sub-02", 1}}));
  const GroupTarget drug = target("sessions.tsv:drug");
  EXPECT_TRUE(drug.by_session);
  EXPECT_EQ(drug.value_of.size(), 3u);
  EXPECT_EQ(drug.value_of.at("slimbrain/sub-01/ses-b"), 1);
  EXPECT_EQ(drug.case_of(call_.runs()[1]), "slimbrain/sub-01/ses-b");

  const std::vector<evaluate::SplitItem> items = split_items(call_.job(), drug);
  ASSERT_EQ(items.size(), 2u) << "participants are divided, not sessions";
  EXPECT_EQ(items[0].key, "slimbrain/sub-01");
  evaluate::Splits splits = evaluate::hold_out(items, 1);
  splits.rows[0].role = evaluate::Role::Test;
  const evaluate::Splits cases = case_splits(splits, drug);
  ASSERT_EQ(cases.rows.size(), 3u);
  EXPECT_EQ(cases.rows[1].key, "slimbrain/sub-01/ses-b");
  EXPECT_EQ(cases.rows[1].role, evaluate::Role::Test);
  EXPECT_EQ(cases.rows[0].atom(), cases.rows[1].atom());
}

TEST_F(Targets, SplitsAreStratifiedAndGrouped) {
  std::string table = "participant_id\tgroup\tsex\tage\tfamily\n";
  for (int i = 10; i < 50; ++i) {
    runs({std::to_string(i)});
    table += "sub-" + std::to_string(i) + (i % 2 == 0 ? "\ta" : "\tb") + (i % 4 < 2 ? "\tF\t" : "\tM\t") +
             std::to_string(i + 10) + (i < 12 ? "\tf1\n" : "\tn/a\n");
  }
  call_.write("raw/participants.tsv", table);
  call_.config.evaluate.stratify = {"sex"};
  call_.config.evaluate.cv_group = "family";
  const std::vector<evaluate::SplitItem> items = split_items(call_.job(), target("group"));
  ASSERT_EQ(items.size(), 40u);
  EXPECT_EQ(items[0].group, "f1");
  EXPECT_EQ(items[5].group, "");
  EXPECT_EQ(items[0].stratum, "a|M");
  EXPECT_EQ(items[3].stratum, "b|F");
  call_.config.evaluate.stratify = {"age"};  // 20 to 59, one each: fifths
  const std::vector<evaluate::SplitItem> by_age = split_items(call_.job(), target("group"));
  EXPECT_EQ(by_age.front().stratum, "a|q1");
  EXPECT_EQ(by_age.back().stratum, "b|q5");
  call_.config.evaluate.stratify = {"handedness"};
  EXPECT_EQ(code_of([&] { split_items(call_.job(), target("group")); }), "SB1002");
}

}  // namespace
}  // namespace slim::pipelines::test
