// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "model/global_mae.h"

namespace slim::model {

struct ScoringOptions {
  int64_t passes_at_once = 8;  // changes scores by less than 1e-6
  /// Called between batches of passes with (done, total); may throw to stop.
  std::function<void(int64_t, int64_t)> watch{};
};

/// Errors between the windows of one piece: at(i, j) = mean |x - reconstruction| over the existing entries of
/// window j when only window i is visible; 0 on the diagonal.
struct PairMatrix {
  int64_t windows = 0;
  std::vector<double> errors{};  // [windows][windows]
  double at(int64_t i, int64_t j) const { return errors[static_cast<size_t>(i * windows + j)]; }
};

/// Pair matrix of a batch of one piece on the network's device, in W passes of evaluation mode. Sums in
/// float64.
PairMatrix pair_matrix(const GlobalMae& network, const RoiBatch& piece, const ScoringOptions& options = {});

/// -mean_j E[i][j]: how well window i explains the others. High = chosen, in all scores.
std::vector<double> mutual_source(const PairMatrix& errors);
/// mean_j E[j][i]: how badly the others explain window i.
std::vector<double> mutual_target(const PairMatrix& errors);
/// z(mutual_source) + z(mutual_target); z by population SD over the windows, 0 where it is below 1e-12.
std::vector<double> mutual_sum(const PairMatrix& errors);

/// Error of each window when it alone is masked, in W passes.
std::vector<double> leave_one_out(const GlobalMae& network, const RoiBatch& piece,
                                  const ScoringOptions& options = {});

/// Scores by the ranker's name: mutual_source, mutual_target, mutual_sum, leave_one_out. Another name is
/// Error SB1002.
std::vector<double> window_scores(std::string_view ranker, const GlobalMae& network, const RoiBatch& piece,
                                  const ScoringOptions& options = {});

}  // namespace slim::model
