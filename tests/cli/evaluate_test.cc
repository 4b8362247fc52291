// SPDX-License-Identifier: Apache-2.0
// group --stages evaluate, from the command line: what the tables say and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "bids/tsv.h"
#include "core/atomic_file.h"
#include "tests/cli/evaluate_fixture.h"
#include "tests/cli/headed_model.h"
#include "tests/evaluate/sklearn_judge.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The toy model with a head on its first feature, which learnt from sub-01 and sub-02.
fs::path model_with_head(const fs::path& folder) {
  write_headed_model(folder,
                     {.target = {.name = "group", .column = "group", .classes = {"control", "patient"}},
                      .learnt_from = {"sub-01", "sub-02"},
                      .runs = 4,
                      .clips = 4,
                      .values = [](const TensorSpec& spec) {
                        std::vector<float> values(static_cast<size_t>(spec.count()));
                        if (spec.name == "head.projection.weight") {
                          values[0] = 3.0F;  // logit of control = 3 dim_0000
                        }
                        return values;
                      }});
  return folder;
}

double last_number(const fs::path& embedding) {
  const bids::Table table = bids::read_tsv(embedding);
  return std::stod(*table.cell(table.rows.size() - 1, "dim_0000"));
}

TEST_F(Evaluate, EveryMethodIsInTheTableShuffledLabelsAreAtChanceAndScikitLearnAgrees) {
  const ProgramResult result = evaluate(toy_model(), {"--target", "group", "--cv", "3"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto accuracy = cells("group_desc-group_metrics.tsv", "accuracy");
  for (const char* method :
       {"majority", "motion", "demographics", "voxel_mean", "connectome", "untrained", "probe", "permuted"}) {
    ASSERT_TRUE(accuracy.contains(method)) << method;
    EXPECT_NE(accuracy.at(method), "n/a") << method;
    EXPECT_NE(result.err.find(method), std::string::npos) << result.err;
  }
  EXPECT_EQ(accuracy.at("finetune"), "n/a");
  const json sidecar = json::parse(read_text(out_ / "group_desc-group_metrics.json"));
  EXPECT_NE(sidecar.at("Methods").at("finetune").at("NotAvailable").get<std::string>().find("no head"),
            std::string::npos);
  EXPECT_EQ(sidecar.at("Splits")[0].at("Hash"),
            *bids::read_tsv(out_ / "group_desc-group_splits.tsv").cell(0, "hash"));
  const bids::Table metrics = bids::read_tsv(out_ / "group_desc-group_metrics.tsv");
  bool found = false;
  for (size_t r = 0; r < metrics.rows.size(); ++r) {
    if (*metrics.cell(r, "method") == "permuted" && *metrics.cell(r, "metric") == "auc") {
      found = true;
      EXPECT_LE(std::stod(*metrics.cell(r, "ci_low")), 0.5);
      EXPECT_GE(std::stod(*metrics.cell(r, "ci_high")), 0.5);
    }
  }
  EXPECT_TRUE(found);
  const auto first = tree_hashes(out_, {"logs/", ".slimbrain/"});
  ASSERT_EQ(evaluate(toy_model(), {"--target", "group", "--cv", "3", "--nprocs", "1"}).exit_code, 0);
  EXPECT_EQ(tree_hashes(out_, {"logs/", ".slimbrain/"}), first);
  if (!judges_python()) {
    GTEST_SKIP() << "SLIM_JUDGES does not name a Python with the judges";
  }
  const bids::Table table = bids::read_tsv(out_ / "group_desc-group_predictions.tsv");
  std::vector<std::string> methods;
  json questions = json::array();
  for (const char* method : {"voxel_mean", "connectome", "untrained", "probe"}) {
    json truth = json::array(), probabilities = json::array();
    for (size_t r = 0; r < table.rows.size(); ++r) {
      if (*table.cell(r, "method") == method) {
        truth.push_back(*table.cell(r, "truth") == "patient" ? 1 : 0);
        probabilities.push_back(std::stod(*table.cell(r, "probability_control")));
        probabilities.push_back(std::stod(*table.cell(r, "probability_patient")));
      }
    }
    EXPECT_EQ(truth.size(), 12u) << "one prediction a participant";
    methods.emplace_back(method);
    questions.push_back({{"kind", "class_metrics"}, {"truth", truth}, {"probabilities", probabilities}});
  }
  const json answers = ask_sklearn(questions);
  ASSERT_EQ(answers.size(), methods.size());
  for (size_t i = 0; i < methods.size(); ++i) {
    for (const char* metric : {"accuracy", "balanced_accuracy", "macro_f1"}) {
      EXPECT_NEAR(std::stod(cells("group_desc-group_metrics.tsv", metric).at(methods[i])),
                  answers[i].at(metric).get<double>(), 1e-8)
          << methods[i] << " " << metric;
    }
  }
}

TEST_F(Evaluate, NumbersAreMeasuredInTheUnitsOfTheirTable) {
  const ProgramResult result = evaluate(toy_model(), {"--target", "age", "--cv", "3", "--seeds", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const bids::Table metrics = bids::read_tsv(out_ / "group_desc-age_metrics.tsv");
  std::set<std::string> units;
  for (size_t r = 0; r < metrics.rows.size(); ++r) {
    if (*metrics.cell(r, "metric") == "mae") {
      units.insert(*metrics.cell(r, "units"));
    }
  }
  EXPECT_EQ(units, (std::set<std::string>{"year", "SD"}));
  const bids::Table predictions = bids::read_tsv(out_ / "group_desc-age_predictions.tsv");
  std::map<std::string, double> error;
  std::map<std::string, int> rows;
  for (size_t r = 0; r < predictions.rows.size(); ++r) {
    if (*predictions.cell(r, "method") == "probe") {
      const std::string seed = *predictions.cell(r, "seed");
      error[seed] +=
          std::abs(std::stod(*predictions.cell(r, "truth")) - std::stod(*predictions.cell(r, "prediction")));
      ++rows[seed];
    }
  }
  ASSERT_EQ(rows, (std::map<std::string, int>{{"1", 12}, {"2", 12}}));
  for (size_t r = 0; r < metrics.rows.size(); ++r) {
    if (*metrics.cell(r, "method") == "probe" && *metrics.cell(r, "metric") == "mae" &&
        *metrics.cell(r, "units") == "year" && *metrics.cell(r, "group") == "all") {
      EXPECT_NEAR(std::stod(*metrics.cell(r, "value")), (error["1"] + error["2"]) / 24, 1e-6);
    }
  }
}

TEST_F(Evaluate, AHeadPredictsWhomNoTrainingSawAndFoldsOverTheOthersAreRefused) {
  const fs::path model = model_with_head(out_ / "models/model-headed");
  const ProgramResult refused = evaluate("headed", {"--target", "group", "--cv", "3"});
  EXPECT_EQ(refused.exit_code, 65) << refused.err;
  EXPECT_NE(refused.err.find("SB7001"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("sub-01"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(out_ / "group_desc-group_metrics.tsv"));
  const ProgramResult result = evaluate("headed", {"--target", "group", "--cv", "3", "--include-train"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const bids::Table table = bids::read_tsv(out_ / "group_desc-group_predictions.tsv");
  int predicted = 0;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    if (*table.cell(r, "method") != "linear") {
      continue;
    }
    const std::string subject = *table.cell(r, "participant_id");
    EXPECT_NE(subject, "sub-01");
    EXPECT_NE(subject, "sub-02");
    const double logit =
        3 * (last_number(embedding(subject, "ses-01")) + last_number(embedding(subject, "ses-02"))) / 2;
    EXPECT_NEAR(std::stod(*table.cell(r, "probability_control")), 1 / (1 + std::exp(-logit)), 1e-5);
    EXPECT_EQ(*table.cell(r, "n_runs"), "2");
    ++predicted;
  }
  EXPECT_EQ(predicted, 10);
  std::map<std::string, std::string> n;
  const bids::Table metrics = bids::read_tsv(out_ / "group_desc-group_metrics.tsv");
  for (size_t r = 0; r < metrics.rows.size(); ++r) {
    if (*metrics.cell(r, "method") == "probe" && *metrics.cell(r, "metric") == "accuracy") {
      n[*metrics.cell(r, "group")] = *metrics.cell(r, "n");
    }
  }
  EXPECT_EQ(n["all"], "10");
  EXPECT_EQ(n["pretrained=true"], "2");
}

TEST_F(Evaluate, FingerprintsFindCopiesAndMissSwappedPeople) {
  for (int i = 1; i <= 12; ++i) {
    const std::string subject = (i < 10 ? "sub-0" : "sub-") + std::to_string(i);
    fs::copy_file(embedding(subject, "ses-01"), embedding(subject, "ses-02"),
                  fs::copy_options::overwrite_existing);
  }
  ASSERT_EQ(evaluate(toy_model(), {"--head", "fingerprint"}).exit_code, 0);
  const std::string file = "group_desc-fingerprint_metrics.tsv";
  EXPECT_EQ(cells(file, "top1").at("identification"), "1");
  EXPECT_EQ(cells(file, "top1").at("identification_centred"), "1");
  EXPECT_EQ(cells(file, "accuracy").at("closed_set"), "1");
  const bids::Table table = bids::read_tsv(out_ / file);
  EXPECT_EQ(*table.cell(0, "n"), "12");
  EXPECT_EQ(*table.cell(0, "split"), "between_sessions");
  EXPECT_NEAR(std::stod(*table.cell(0, "chance")), 1.0 / 12, 1e-8);
  fs::copy_file(embedding("sub-01", "ses-01"), embedding("sub-02", "ses-02"),
                fs::copy_options::overwrite_existing);
  fs::copy_file(embedding("sub-02", "ses-01"), embedding("sub-01", "ses-02"),
                fs::copy_options::overwrite_existing);
  ASSERT_EQ(evaluate(toy_model(), {"--head", "fingerprint"}).exit_code, 0);
  EXPECT_NEAR(std::stod(cells(file, "top1").at("identification")), 10.0 / 12, 1e-8);
}

TEST_F(Evaluate, WhatIsMissingIsNamedBeforeAnyWork) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"--model", toy_model()}, "SB1002"},                                     // no target
      {{"--target", "group"}, "SB4001"},                                        // no model
      {{"--model", toy_model(), "--target", "grup"}, "group"},                  // the nearest column
      {{"--model", toy_model(), "--target", "group", "--cv", "2"}, "SB1002"},   // too few folds
      {{"--model", toy_model(), "--target", "group", "--cv", "13"}, "SB1002"},  // more folds than people
      {{"--model", toy_model(), "--head", "guess"}, "SB1002"}};
  for (const auto& [extra, expected] : cases) {
    const ProgramResult result = slimbrain(joined({"-", out_, "group", "--stages", "evaluate"}, extra));
    EXPECT_NE(result.exit_code, 0) << expected;
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
  }
  fs::remove(embedding("sub-05", "ses-02"));
  const ProgramResult missing = evaluate(toy_model(), {"--target", "group", "--cv", "3"});
  EXPECT_EQ(missing.exit_code, 66) << missing.err;
  EXPECT_NE(missing.err.find("participant --stages embed"), std::string::npos) << missing.err;
  for (const auto& entry : fs::directory_iterator(out_)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("group_desc")) << entry.path();
  }
}

/// A table of predictions as stage predict writes it.
void write_predictions(const fs::path& embedding, const std::vector<std::pair<double, double>>& clips) {
  std::string path = embedding.string();
  path.replace(path.rfind("desc-tiny_embedding.tsv"), std::string::npos, "desc-group_predictions");
  std::string text =
      "level\tclip\tonset\tduration\tprediction\tsd\tprobability_control\tprobability_patient\tsplit\t"
      "pretrained\n";
  for (size_t i = 0; i < clips.size(); ++i) {
    text += "clip\t" + std::to_string(i) + "\t0\t28.8\tcontrol\tn/a\t" + std::to_string(clips[i].first) +
            "\t" + std::to_string(clips[i].second) + "\ttest\tfalse\n";
  }
  text += "run\tn/a\t0\t28.8\tcontrol\tn/a\t0.5\t0.5\ttest\tfalse\n";
  write_text(path + ".tsv", text);
  json sidecar{{"Slimbrain",
                {{"Model", {{"Name", "headed"}, {"WeightsSHA256", "ab"}}},
                 {"Target", {{"Name", "group"}, {"Column", "group"}}}}}};
  for (const char* column : {"level", "clip", "onset", "duration", "prediction", "sd", "probability_control",
                             "probability_patient", "split", "pretrained"}) {
    sidecar[column] = {{"Description", "made for a test"}};
  }
  write_text(path + ".json", sidecar.dump());
}

TEST_F(Evaluate, PhenotypeHoldsTheMeanLogitOfAllClipsAndPleasesTheValidator) {
  write_predictions(embedding("sub-03", "ses-01"), {{0.9, 0.1}, {0.4, 0.6}});
  write_predictions(embedding("sub-03", "ses-02"), {{0.2, 0.8}});
  ASSERT_EQ(evaluate(toy_model(), {"--target", "group", "--cv", "3"}).exit_code, 0);
  const ProgramResult result = slimbrain({"-", out_, "group"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const bids::Table table = bids::read_tsv(out_ / "phenotype/slimbrain_desc-group_predictions.tsv");
  ASSERT_EQ(table.rows.size(), 1u);
  const double logit = (std::log(0.9 / 0.1) + std::log(0.4 / 0.6) + std::log(0.2 / 0.8)) / 3;
  const double control = 1 / (1 + std::exp(-logit));
  EXPECT_EQ(table.columns.front(), "participant_id");
  EXPECT_EQ(*table.cell(0, "participant_id"), "sub-03");
  EXPECT_NEAR(std::stod(*table.cell(0, "probability_control")), control, 1e-6);
  EXPECT_EQ(*table.cell(0, "group_prediction"), control > 0.5 ? "control" : "patient");
  EXPECT_EQ(*table.cell(0, "n_runs"), "2");
  EXPECT_EQ(*table.cell(0, "n_clips"), "3");
  EXPECT_EQ(*table.cell(0, "split"), "test");
  const bids::Table completeness = bids::read_tsv(out_ / "group_completeness.tsv");
  EXPECT_EQ(*completeness.cell(4, "predict"), "done");
  EXPECT_EQ(*completeness.cell(5, "predict"), "done");
  EXPECT_EQ(*completeness.cell(6, "predict"), "missing");
  EXPECT_NE(read_text(out_ / "descriptions.tsv").find("desc-tiny\t"), std::string::npos);
  const auto python = judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES does not name a Python with the judges";
  }
  const ProgramResult verdict = run_program(
      *python, {(fs::path(SLIM_SOURCE_DIR) / "tests/cli/judge_outputs.py").string(), out_.string()});
  EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
}

}  // namespace
}  // namespace slim::test
