// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evaluate/bootstrap.h"
#include "evaluate/fingerprint.h"
#include "evaluate/predictions.h"

namespace slim::evaluate {

/// A row of group_desc-<target>_metrics.tsv.
struct EvaluationRow {
  std::string method, split, group, metric;
  Value value, ci_low, ci_high;
  int64_t n = 0;  // participants
  Value chance;
  std::string units;
  std::string note{};  // why there is no value; goes into the JSON, not into the TSV
};

/// A method's predictions, one set for each split seed; none and a reason when it could not be run.
struct Method {
  std::string name;
  std::vector<Predictions> repeats;
  std::string why_absent{};
};

/// Participants that form a part of the table ("site=A", "pretrained=true", "dataset=B").
struct Group {
  std::string name;
  std::vector<std::string> keys;
};

struct EvaluationOptions {
  std::string split = "test";
  std::string target_units{};
  std::string chance_method = "majority";  // or mean: its value is the column `chance` of all
  std::vector<Group> groups{};             // besides "all"
  uint64_t seed = 0;
  int64_t draws = 2000;
};

/// All metrics of all methods in "all" and in each group, with bootstrap intervals over atoms (Note
/// [Bootstrap]); the value is the mean over repeats, and with several repeats a row <metric>_sd_over_seeds
/// follows. Error SB9001 when methods differ in their classes.
std::vector<EvaluationRow> evaluation_rows(std::span<const Method> methods, const EvaluationOptions& options);

/// A comparison of two methods over the participants that both predict.
struct DifferenceRow {
  std::string method, versus, split, group, metric;
  Value value, ci_low, ci_high, p, p_holm;
  int64_t n = 0;
  std::string units;
};
/// value(method) - value(versus) for pairs of names, in "all", over paired draws; p corrected after Holm over
/// all rows. Pairs with an absent method are left out.
std::vector<DifferenceRow> difference_rows(std::span<const Method> methods,
                                           std::span<const std::pair<std::string, std::string>> pairs,
                                           const EvaluationOptions& options);

/// Rows of a control: mean over permutations and the 2.5 and 97.5 percentiles among them. predict(k) gives
/// the predictions for permutation k of the labels.
std::vector<EvaluationRow> permutation_rows(const std::function<Predictions(uint64_t)>& predict,
                                            int permutations, std::span<const EvaluationRow> table,
                                            const EvaluationOptions& options);

/// top1, top5, mean_rank of both directions and their mean, with intervals over participants (the database
/// stays whole), chance 1/N, 5/N, (N+1)/2. `method` is for example "fingerprint" or "fingerprint_centred".
std::vector<EvaluationRow> identification_rows(const Identification& result, const std::string& method,
                                               const std::string& group, const EvaluationOptions& options);
/// accuracy and macro_f1 of closed-set recognition; the interval of accuracy is that of the mean share of
/// hits.
std::vector<EvaluationRow> closed_set_rows(const ClosedSet& result, const std::string& method,
                                           const std::string& group, const EvaluationOptions& options);

/// A number as tables write it: %.9g, n/a when undefined.
std::string cell_text(const Value& value);
/// method split group metric value ci_low ci_high n chance units
std::string evaluation_tsv(std::span<const EvaluationRow> rows);
/// method versus split group metric value ci_low ci_high p p_holm n units
std::string differences_tsv(std::span<const DifferenceRow> rows);

}  // namespace slim::evaluate
