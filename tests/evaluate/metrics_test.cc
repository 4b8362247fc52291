// SPDX-License-Identifier: Apache-2.0
#include "evaluate/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/seed.h"
#include "tests/evaluate/sklearn_judge.h"

namespace slim::evaluate {
namespace {

using nlohmann::json;

struct ClassCase {
  std::vector<int> truth;
  std::vector<double> probabilities;
  int classes;
};

/// `step` rounds probabilities (ties); 0 leaves them.
ClassCase random_classes(int n, int classes, double step, int true_classes, uint64_t index) {
  Stream stream(11, "metrics_test", 0, index);
  ClassCase result{{}, {}, classes};
  for (int i = 0; i < n; ++i) {
    result.truth.push_back(static_cast<int>(stream.bounded(static_cast<uint64_t>(true_classes))));
    for (int c = 0; c < classes; ++c) {
      const double value = stream.uniform() + (c == result.truth.back() ? 0.3 : 0);
      result.probabilities.push_back(step > 0 ? step * std::round(value / step) : value);
    }
  }
  return result;
}

void expect_same(const Value& ours, const json& theirs, const std::string& what) {
  EXPECT_EQ(ours.has_value(), !theirs.is_null()) << what;
  if (ours && !theirs.is_null()) {
    EXPECT_NEAR(*ours, theirs.get<double>(), 1e-9) << what;
  }
}

TEST(Metrics, OfClassesEqualScikitLearnWithTiesAndOneClass) {
  if (!test::judges_python()) {
    GTEST_SKIP() << "SLIM_JUDGES is not set";
  }
  std::vector<ClassCase> cases;
  uint64_t index = 0;
  for (const int classes : {2, 3, 5}) {
    for (const double step : {0.0, 0.25, 10.0}) {  // no ties, many, all equal
      for (const int n : {2, 7, 200}) {
        cases.push_back(random_classes(n, classes, step, classes, index++));
      }
    }
    cases.push_back(random_classes(20, classes, 0.0, 1, index++));            // one class in the truth
    cases.push_back(random_classes(30, classes, 0.5, classes - 1, index++));  // one class only predicted
  }
  json questions;
  for (const ClassCase& one : cases) {
    questions.push_back(
        {{"kind", "class_metrics"}, {"truth", one.truth}, {"probabilities", one.probabilities}});
  }
  const json answers = test::ask_sklearn(questions);
  ASSERT_EQ(answers.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const ClassCase& one = cases[i];
    const std::vector<int> predicted = predicted_classes(one.probabilities, one.classes);
    const std::string what = "case " + std::to_string(i);
    expect_same(accuracy(one.truth, predicted), answers[i]["accuracy"], what + " accuracy");
    expect_same(balanced_accuracy(one.truth, predicted), answers[i]["balanced_accuracy"],
                what + " balanced accuracy");
    expect_same(macro_f1(one.truth, predicted), answers[i]["macro_f1"], what + " macro F1");
    expect_same(auc_of_probabilities(one.truth, one.probabilities, one.classes), answers[i]["auc"],
                what + " AUC");
  }
}

TEST(Metrics, OfNumbersEqualScikitLearnWithConstants) {
  if (!test::judges_python()) {
    GTEST_SKIP() << "SLIM_JUDGES is not set";
  }
  std::vector<std::pair<std::vector<double>, std::vector<double>>> cases;
  for (const double offset : {0.0, 1000.0}) {
    for (const int n : {2, 3, 50, 500}) {
      Stream stream(12, "numbers", 0, static_cast<uint64_t>(n));
      std::vector<double> truth, predicted;
      for (int i = 0; i < n; ++i) {
        truth.push_back(offset + 10 * stream.normal());
        predicted.push_back(0.5 * truth.back() + 3 * stream.normal());
      }
      cases.emplace_back(truth, predicted);
      cases.emplace_back(truth, std::vector<double>(truth.size(), 0.1));
      cases.emplace_back(std::vector<double>(truth.size(), 0.1), predicted);
    }
  }
  json questions;
  for (const auto& [truth, predicted] : cases) {
    questions.push_back({{"kind", "number_metrics"}, {"truth", truth}, {"predicted", predicted}});
  }
  const json answers = test::ask_sklearn(questions);
  ASSERT_EQ(answers.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& [truth, predicted] = cases[i];
    const std::string what = "case " + std::to_string(i);
    expect_same(mean_absolute_error(truth, predicted), answers[i]["mae"], what + " MAE");
    const double mse =
        answers[i]["mse"].get<double>();  // of the order 1e5 here: compared relative to its size
    EXPECT_NEAR(mean_squared_error(truth, predicted).value_or(-1) / mse, 1.0, 1e-9) << what;
    if (answers[i]["r2"].is_number()) {
      const double r2 = answers[i]["r2"].get<double>();
      EXPECT_NEAR(r_squared(truth, predicted).value_or(9), r2, 1e-9 * std::max(1.0, std::abs(r2))) << what;
    } else {
      EXPECT_FALSE(r_squared(truth, predicted).has_value()) << what;
    }
    expect_same(pearson_r(truth, predicted), answers[i]["pearson_r"], what + " r");
  }
}

TEST(Metrics, ReliabilityEqualsScikitLearn) {
  if (!test::judges_python()) {
    GTEST_SKIP() << "SLIM_JUDGES is not set";
  }
  Stream stream(13, "reliability");
  std::vector<int> truth;
  std::vector<double> probabilities;
  for (int i = 0; i < 300; ++i) {
    const double p = stream.uniform();
    truth.push_back(stream.uniform() < p ? 1 : 0);
    probabilities.insert(probabilities.end(), {1 - p, p});
  }
  const json answer = test::ask_sklearn(
      json::array({{{"kind", "reliability"}, {"truth", truth}, {"probabilities", probabilities}}}));
  const std::vector<ReliabilityBin> bins = reliability(truth, probabilities, 2);
  ASSERT_EQ(bins.size(), 10u);
  int64_t n = 0;
  size_t filled = 0;
  for (const ReliabilityBin& bin : bins) {
    n += bin.n;
    EXPECT_EQ(bin.confidence.has_value(), bin.n > 0);
    if (bin.n > 0) {
      ASSERT_LT(filled, answer[0]["accuracy"].size());
      EXPECT_NEAR(*bin.accuracy, answer[0]["accuracy"][filled].get<double>(), 1e-9);
      EXPECT_NEAR(*bin.confidence, answer[0]["confidence"][filled].get<double>(), 1e-9);
      ++filled;
    }
  }
  EXPECT_EQ(n, 300);
  EXPECT_EQ(filled, answer[0]["accuracy"].size());
}

TEST(Metrics, AreUndefinedWithoutSamplesOrWithOneClass) {
  const std::vector<int> none;
  const std::vector<double> no_numbers;
  EXPECT_FALSE(accuracy(none, none));
  EXPECT_FALSE(balanced_accuracy(none, none));
  EXPECT_FALSE(macro_f1(none, none));
  EXPECT_FALSE(auc(none, no_numbers));
  EXPECT_FALSE(mean_absolute_error(no_numbers, no_numbers));
  EXPECT_FALSE(mean_squared_error(no_numbers, no_numbers));
  EXPECT_FALSE(r_squared(no_numbers, no_numbers));
  const std::vector<int> ones{1, 1};
  const std::vector<double> score{0.1, 0.9};
  EXPECT_FALSE(auc(ones, score));
  const std::vector<double> one{3.0};
  EXPECT_FALSE(r_squared(one, one));
  EXPECT_FALSE(pearson_r(one, one));
  EXPECT_FALSE(mean_of_defined(std::vector<Value>{std::nullopt, std::nullopt}));
}

TEST(Metrics, AucIsTakenInsideFoldsSoThatShiftedScoresOfFoldsDoNoHarm) {
  // Both folds order their samples rightly; the second one's scores are all lower.
  const std::vector<int> truth{0, 1, 0, 1, 0, 1}, fold{0, 0, 1, 1, 1, 1};
  const std::vector<double> score{0.8, 0.9, 0.1, 0.2, 0.15, 0.3};
  std::vector<double> probabilities;
  for (const double s : score) {
    probabilities.insert(probabilities.end(), {1 - s, s});
  }
  EXPECT_LT(*auc_of_probabilities(truth, probabilities, 2), 1.0);
  EXPECT_EQ(*auc_of_probabilities(truth, probabilities, 2, fold), 1.0);
  // Weighted by n1 n0: fold 0 right (weight 1), fold 1 wrong (weight 4).
  const std::vector<double> wrong{0.2, 0.8, 0.9, 0.1, 0.8, 0.2};
  probabilities.clear();
  for (const double s : wrong) {
    probabilities.insert(probabilities.end(), {1 - s, s});
  }
  EXPECT_DOUBLE_EQ(*auc_of_probabilities(truth, probabilities, 2, fold), 0.2);
}

TEST(Metrics, TiesOfProbabilitiesGoToTheLowestClass) {
  const std::vector<double> probabilities{0.25, 0.5, 0.5, 0.4, 0.4, 0.2};
  EXPECT_EQ(predicted_classes(probabilities, 3), (std::vector<int>{1, 0}));
}

}  // namespace
}  // namespace slim::evaluate
