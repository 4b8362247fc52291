// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace slim::evaluate {

/// A number, or nothing where it is undefined (written n/a).
using Value = std::optional<double>;

/// The class of greatest probability in each row of [n, classes]; ties go to the lowest index.
std::vector<int> predicted_classes(std::span<const double> probabilities, int classes);

/// Share of equal labels; undefined for no samples.
Value accuracy(std::span<const int> truth, std::span<const int> predicted);
/// Mean recall over the classes that occur in the truth.
Value balanced_accuracy(std::span<const int> truth, std::span<const int> predicted);
/// Mean over classes in truth or prediction of 2TP / (2TP + FP + FN).
Value macro_f1(std::span<const int> truth, std::span<const int> predicted);

/// Area under the ROC curve by mid-ranks: the chance that a positive (1) scores above a negative (0), ties
/// half. Undefined when one side is empty.
Value auc(std::span<const int> positive, std::span<const double> score);
/// AUC of class probabilities [n, classes]. Two classes: that of class 1; more: mean of one-versus-rest over
/// the classes that have both sides. With folds (one a sample, or empty) each class's AUC is taken inside
/// folds and weighted by n1 n0, since scores of different fits are not comparable.
Value auc_of_probabilities(std::span<const int> truth, std::span<const double> probabilities, int classes,
                           std::span<const int> fold = {});

Value mean_absolute_error(std::span<const double> truth, std::span<const double> predicted);
Value mean_squared_error(std::span<const double> truth, std::span<const double> predicted);
/// 1 - SSE / SST about the mean of the truth; undefined when the truth is constant or has one value.
Value r_squared(std::span<const double> truth, std::span<const double> predicted);
/// Pearson's r; undefined when either side is constant.
Value pearson_r(std::span<const double> truth, std::span<const double> predicted);

/// One bin (low, high] of the top probability; the first holds its lower edge too.
struct ReliabilityBin {
  double low = 0, high = 0;
  int64_t n = 0;
  Value confidence, accuracy;  // means over the bin's samples
};
/// Ten equal-width bins of the greatest probability of each row of [n, classes].
std::vector<ReliabilityBin> reliability(std::span<const int> truth, std::span<const double> probabilities,
                                        int classes);

/// Mean over the values that are defined; undefined when none is.
Value mean_of_defined(std::span<const Value> values);

}  // namespace slim::evaluate
