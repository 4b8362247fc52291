// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evaluate/dense.h"
#include "evaluate/fit_linear.h"
#include "evaluate/metrics.h"

namespace slim::evaluate {

/// One direction: every query looks for its own row in the database.
struct Matching {
  std::vector<int64_t> rank{};  // 1 + the others at least as similar as the right one: ties count as misses
  double top1 = 0, top5 = 0, mean_rank = 0;
};

/// Identification between two sessions of the same N participants.
struct Identification {
  int64_t n = 0;
  double chance = 0;  // of top-1: 1 / N
  Matching first_to_second{}, second_to_first{};
  double top1 = 0, top5 = 0, mean_rank = 0;  // means of both directions
};

struct IdentificationOptions {
  bool subtract_database_mean = false;  // from queries and database
};

/// Matches rows of first [N, d] and second [N, d] (row i = participant i) by cosine; a row of zeros is like
/// nothing. Errors: SB3002 for fewer than two participants, SB2015 for values that are not finite, SB9001
/// when shapes differ.
Identification identify(const Matrix& first, const Matrix& second, const IdentificationOptions& options = {});

/// Closed-set recognition: a linear classifier of participants, fitted on clips of session 1, tested on clips
/// of session 2.
struct ClosedSet {
  int64_t n = 0, n_samples = 0;  // participants, tested clips
  double chance = 0;             // 1 / N
  Value accuracy{}, macro_f1{};  // over tested clips
  std::vector<double>
      hit_share{};  // [N] share of a participant's tested clips that were recognised; 0 without clips
  double lambda_per_column = 0;
  bool penalty_chosen =
      false;  // false: some participant has one clip only, so the penalty is that of the grid's middle
};

/// Clip features with the participant (0..N-1) of each; all N must occur in session 1. Inner folds deal each
/// participant's clips in turn. Error SB3002 when a participant has no clip in session 1 or N < 2.
ClosedSet recognise(const Samples& first, std::span<const int> first_person, const Samples& second,
                    std::span<const int> second_person, int n, const FitOptions& options = {});

}  // namespace slim::evaluate
