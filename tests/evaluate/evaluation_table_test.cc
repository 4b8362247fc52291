// SPDX-License-Identifier: Apache-2.0
#include "evaluate/evaluation_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "core/error.h"
#include "core/seed.h"
#include "evaluate/cross_predict.h"

namespace slim::evaluate {
namespace {

/// A cohort of which every tenth feature, from the first, carries the label as far as `effect` says; the
/// others are noise.
struct Cohort {
  Problem problem;
  FeatureTable features;
};

Cohort cohort(int n, int columns, double effect, int classes, uint64_t seed, int folds = 5) {
  Cohort result;
  Stream stream(71, "cohort", 0, seed);
  std::vector<double> truth;
  for (int c = 0; c < classes; ++c) {
    result.problem.class_names.push_back("class" + std::to_string(c));
  }
  for (int i = 0; i < n; ++i) {
    result.features.keys.push_back("D/sub-" + std::to_string(100 + i));
    truth.push_back(classes > 0 ? i % classes : 40 + 15 * stream.normal());
    result.problem.truth[result.features.keys.back()] = truth.back();
    for (int j = 0; j < columns; ++j) {
      const double signal = classes > 0 ? 2 * truth.back() : (truth.back() - 40) / 15;
      result.features.values.push_back(stream.normal() + (j % 10 == 0 ? effect * signal : 0));
    }
  }
  result.features.columns = columns;
  const std::vector<std::string> strata = target_strata(truth, result.problem.class_names);
  std::vector<SplitItem> items;
  for (size_t i = 0; i < strata.size(); ++i) {
    items.push_back({result.features.keys[i], "", strata[i]});
  }
  result.problem.splits = folds > 0 ? k_fold(items, folds, seed) : hold_out(items, seed);
  return result;
}

const EvaluationRow* row_of(const std::vector<EvaluationRow>& rows, const std::string& method,
                            const std::string& metric, const std::string& group = "all",
                            const std::string& units = "") {
  for (const EvaluationRow& row : rows) {
    if (row.method == method && row.metric == metric && row.group == group &&
        (units.empty() || row.units == units)) {
      return &row;
    }
  }
  throw std::runtime_error("no row " + method + " " + metric + " " + group);
}

TEST(CrossPredict, FindsAPlantedEffectAndPredictsEveryParticipantOnce) {
  for (const int columns : {4, 100}) {
    const Cohort c = cohort(60, columns, 3, 2, 1);
    const Predictions predictions = cross_predict(c.features, c.problem);
    EXPECT_EQ(predictions.rows.size(), 60u);
    EXPECT_EQ(predictions.classes, 2);
    std::vector<int32_t> all(60);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_GT(*metric_values(predictions, all)[3], 0.9) << columns << " columns";
  }
}

TEST(CrossPredict, PermutedLabelsAreAtChance) {
  const Cohort c = cohort(60, 5, 3, 2, 2);
  const std::vector<Method> methods{{"probe", {cross_predict(c.features, c.problem)}},
                                    {"majority", {cross_predict_baseline(c.problem)}}};
  const EvaluationOptions options{.draws = 200};
  const std::vector<EvaluationRow> table = evaluation_rows(methods, options);
  const std::vector<EvaluationRow> control = permutation_rows(
      [&](uint64_t k) { return cross_predict(c.features, permuted(c.problem, k)); }, 20, table, options);
  const EvaluationRow* auc = row_of(control, "permuted", "auc");
  EXPECT_NEAR(*auc->value, 0.5, 0.1);
  EXPECT_LE(*auc->ci_low, 0.5);
  EXPECT_GE(*auc->ci_high, 0.5);
  EXPECT_EQ(auc->chance, Value(0.5));
  EXPECT_GT(*row_of(table, "probe", "auc")->ci_low, *auc->ci_high);
}

TEST(CrossPredict, ShufflesMoveOnlyWhomTheirStrataLetMove) {
  Problem problem;
  problem.truth = {{"a", 0}, {"b", 1}, {"c", 0}, {"d", 0}, {"e", 1}};
  EXPECT_EQ(movable(problem).size(), 5u) << "one stratum of all";
  problem.stratify = {{"a", "east"}, {"b", "east"}, {"c", "west"}, {"d", "west"}, {"e", "north"}};
  EXPECT_EQ(movable(problem), (std::set<std::string>{"a", "b"}));
}

TEST(CrossPredict, UsesNothingOfTheTestedParticipants) {
  // Another truth and other features of those who are tested in fold 0 change no prediction for others in
  // fold 0.
  const Cohort c = cohort(40, 3, 1, 0, 3, 0);
  Cohort other = c;
  std::string changed;
  for (const SplitRow& row : c.problem.splits.rows) {
    if (*row.role == Role::Test && changed.empty()) {
      changed = row.key;
    }
  }
  other.problem.truth[changed] = 1e6;
  const size_t place = static_cast<size_t>(
      std::find(c.features.keys.begin(), c.features.keys.end(), changed) - c.features.keys.begin());
  other.features.values[place * 3] = -1e6;
  const Predictions a = cross_predict(c.features, c.problem),
                    b = cross_predict(other.features, other.problem);
  ASSERT_EQ(a.rows.size(), b.rows.size());
  EXPECT_EQ(a.rows.size(), 8u);
  for (size_t i = 0; i < a.rows.size(); ++i) {
    if (a.rows[i].key != changed) {
      EXPECT_EQ(a.rows[i].output, b.rows[i].output);
      EXPECT_EQ(a.rows[i].training_sd, b.rows[i].training_sd);
    }
  }
}

TEST(CrossPredict, ParticipantsWithoutFeaturesOrTruthAreLeftOutAndTwoRowsForOneRefused) {
  Cohort c = cohort(40, 2, 1, 2, 9);
  c.problem.truth.erase("D/sub-100");
  c.features.keys.pop_back();
  c.features.values.resize(c.features.values.size() - 2);
  const Predictions predictions = cross_predict(c.features, c.problem);
  EXPECT_EQ(predictions.rows.size(), 38u);
  EXPECT_EQ(predictions.rows.front().key, "D/sub-101");
  c.features.keys[5] = c.features.keys[6];
  EXPECT_THROW(cross_predict(c.features, c.problem), Error);
}

TEST(CrossPredict, AClassMissingFromATrainingFoldIsAnError) {
  Cohort c = cohort(20, 2, 1, 2, 4);
  bool kept = false;  // one member of class 1 stays: the fold that tests it trains without it
  for (auto& [key, truth] : c.problem.truth) {
    truth = truth == 1 && !kept ? (kept = true, 1) : 0;
  }
  try {
    cross_predict(c.features, c.problem);
    FAIL() << "a fold without class1 was fitted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB3002");
    EXPECT_NE(error.sentence().find("class1"), std::string::npos);
  }
}

TEST(EvaluationTable, HoldsAllMethodsWithIntervalsAndChanceFromTheSameCode) {
  const Cohort c = cohort(60, 4, 2, 3, 5);
  EvaluationOptions options{.seed = 3, .draws = 300};
  options.groups.push_back({"site=A", {c.features.keys.begin(), c.features.keys.begin() + 30}});
  const std::vector<Method> methods{{"majority", {cross_predict_baseline(c.problem)}},
                                    {"voxel_mean", {cross_predict(c.features, c.problem)}},
                                    {"motion", {}, "no confounds"}};
  const std::vector<EvaluationRow> rows = evaluation_rows(methods, options);
  EXPECT_EQ(rows.size(), 3u * 4 * 2);
  const EvaluationRow* accuracy = row_of(rows, "voxel_mean", "accuracy");
  EXPECT_EQ(accuracy->n, 60);
  EXPECT_LT(*accuracy->ci_low, *accuracy->value);
  EXPECT_GT(*accuracy->ci_high, *accuracy->value);
  EXPECT_EQ(accuracy->chance, row_of(rows, "majority", "accuracy")->value);
  EXPECT_EQ(row_of(rows, "majority", "auc")->value, Value(0.5));
  EXPECT_EQ(row_of(rows, "voxel_mean", "accuracy", "site=A")->n, 30);
  const EvaluationRow* absent = row_of(rows, "motion", "auc");
  EXPECT_FALSE(absent->value.has_value());
  EXPECT_EQ(absent->note, "no confounds");
  // The text: a header, a line a row, n/a where nothing is known.
  const std::string text = evaluation_tsv(rows);
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "method\tsplit\tgroup\tmetric\tvalue\tci_low\tci_high\tn\tchance\tunits");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 25);
  EXPECT_NE(text.find("motion\ttest\tall\tauc\tn/a\tn/a\tn/a\t0\t0.5\t1\n"), std::string::npos);
  EXPECT_EQ(text, evaluation_tsv(evaluation_rows(methods, options))) << "the same bytes again";
}

TEST(EvaluationTable, NumbersAreGivenInUnitsAndInSd) {
  const Cohort c = cohort(50, 3, 3, 0, 6);
  Cohort days = c;
  for (auto& [key, value] : days.problem.truth) {
    value *= 365.25;
  }
  const EvaluationOptions options{.target_units = "year", .chance_method = "mean", .draws = 50};
  EvaluationOptions in_days = options;
  in_days.target_units = "day";
  const auto rows_of = [](const Cohort& one, const EvaluationOptions& o) {
    const std::vector<Method> methods{{"mean", {cross_predict_baseline(one.problem)}},
                                      {"probe", {cross_predict(one.features, one.problem)}}};
    return evaluation_rows(methods, o);
  };
  const std::vector<EvaluationRow> a = rows_of(c, options), b = rows_of(days, in_days);
  ASSERT_EQ(a.size(), b.size());
  EXPECT_NEAR(
      *row_of(b, "probe", "mae", "all", "day")->value / *row_of(a, "probe", "mae", "all", "year")->value,
      365.25, 1e-6);
  EXPECT_NEAR(
      *row_of(b, "probe", "mse", "all", "day^2")->value / *row_of(a, "probe", "mse", "all", "year^2")->value,
      365.25 * 365.25, 1e-3);
  for (const char* metric : {"r2", "pearson_r"}) {
    EXPECT_NEAR(*row_of(b, "probe", metric)->value, *row_of(a, "probe", metric)->value, 1e-9);
  }
  EXPECT_NEAR(*row_of(b, "probe", "mae", "all", "SD")->value, *row_of(a, "probe", "mae", "all", "SD")->value,
              1e-9);
  EXPECT_LT(*row_of(a, "probe", "mae", "all", "SD")->value, *row_of(a, "mean", "mae", "all", "SD")->value);
  EXPECT_EQ(row_of(a, "mean", "pearson_r")->n, 50);
}

TEST(EvaluationTable, RepeatedSeedsAreAveragedAndTheirSpreadHasARow) {
  Method method{"probe", {}};
  double sum = 0;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const Cohort c = cohort(40, 4, 0.5, 2, 7);
    Problem problem = c.problem;
    std::vector<SplitItem> items;
    for (const SplitRow& row : c.problem.splits.rows) {
      items.push_back({row.key, "", row.stratum});
    }
    problem.splits = k_fold(items, 5, seed);
    method.repeats.push_back(cross_predict(c.features, problem));
    std::vector<int32_t> all(40);
    std::iota(all.begin(), all.end(), 0);
    sum += *metric_values(method.repeats.back(), all)[0];
  }
  const std::vector<EvaluationRow> rows = evaluation_rows(std::span(&method, 1), {.draws = 100});
  EXPECT_NEAR(*row_of(rows, "probe", "accuracy")->value, sum / 3, 1e-12);
  EXPECT_GE(*row_of(rows, "probe", "accuracy_sd_over_seeds")->value, 0);
  EXPECT_EQ(row_of(rows, "probe", "accuracy")->n, 40) << "participants, not predictions";
}

TEST(Differences, OfAMethodWithItselfAreZeroAndOfAGoodOneAreFound) {
  const Cohort good = cohort(60, 3, 4, 2, 8), bad = cohort(60, 3, 0, 2, 8);
  const std::vector<Method> methods{{"good", {cross_predict(good.features, good.problem)}},
                                    {"bad", {cross_predict(bad.features, good.problem)}},
                                    {"absent", {}, "not run"}};
  const std::vector<std::pair<std::string, std::string>> pairs{
      {"good", "bad"}, {"good", "good"}, {"good", "absent"}};
  const std::vector<DifferenceRow> rows = difference_rows(methods, pairs, {.draws = 400});
  ASSERT_EQ(rows.size(), 8u);
  EXPECT_GT(*rows[0].ci_low, 0.2);
  EXPECT_DOUBLE_EQ(*rows[0].p, 1.0 / 400);
  EXPECT_DOUBLE_EQ(*rows[0].p_holm, 8.0 / 400);
  for (size_t i = 4; i < 8; ++i) {
    EXPECT_EQ(*rows[i].value, 0);
    EXPECT_EQ(*rows[i].ci_low, 0);
    EXPECT_EQ(*rows[i].ci_high, 0);
    EXPECT_EQ(*rows[i].p, 1);
  }
  const std::string text = differences_tsv(rows);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 9);
}

TEST(FingerprintRows, GiveNAndChanceBesideEveryNumber) {
  Matrix rows(10, 6);
  Stream stream(72, "rows");
  for (double& value : rows.values) {
    value = stream.normal();
  }
  const std::vector<EvaluationRow> table =
      identification_rows(identify(rows, rows), "fingerprint", "all", {.draws = 100});
  ASSERT_EQ(table.size(), 9u);
  const EvaluationRow* top1 = row_of(table, "fingerprint", "top1");
  EXPECT_EQ(top1->value, Value(1.0));
  EXPECT_EQ(top1->chance, Value(0.1));
  EXPECT_EQ(top1->n, 10);
  EXPECT_EQ(row_of(table, "fingerprint", "top5_1_to_2")->chance, Value(0.5));
  EXPECT_EQ(row_of(table, "fingerprint", "mean_rank_2_to_1")->chance, Value(5.5));
}

TEST(Predictions, TwiceTheSameParticipantOrNanIsRefused) {
  Predictions twice{0, {{"a", "a", 0, 1, {1.0}, 1}, {"a", "a", 0, 1, {1.0}, 1}}};
  EXPECT_THROW(twice.finish(), Error);
  Predictions nan{0, {{"a", "a", 0, 1, {std::nan("")}, 1}}};
  EXPECT_THROW(nan.finish(), Error);
  Predictions short_row{3, {{"a", "a", 0, 1, {0.5, 0.5}, 1}}};
  EXPECT_THROW(short_row.finish(), Error);
  const std::vector<Method> mixed{{"a", {Predictions{2, {}}}}, {"b", {Predictions{3, {}}}}};
  EXPECT_THROW(evaluation_rows(mixed, {}), Error);
}

TEST(MeanByKey, AveragesTheRunsOfAParticipant) {
  const FeatureTable table = mean_by_key({2, {"b", "a", "b"}, {1, 2, 5, 6, 3, 4}});
  EXPECT_EQ(table.keys, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(table.values, (std::vector<double>{5, 6, 2, 3}));
}

}  // namespace
}  // namespace slim::evaluate
