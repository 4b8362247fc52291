// SPDX-License-Identifier: Apache-2.0
#include "evaluate/fingerprint.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/seed.h"

namespace slim::evaluate {
namespace {

Matrix noise(int64_t n, int64_t d, uint64_t index) {
  Stream stream(51, "fingerprint_test", 0, index);
  Matrix rows(n, d);
  for (double& value : rows.values) {
    value = stream.normal();
  }
  return rows;
}

TEST(Identify, CopiesAreAllFoundInBothDirections) {
  const Matrix rows = noise(30, 16, 0);
  for (const bool subtract : {false, true}) {
    const Identification result = identify(rows, rows, {.subtract_database_mean = subtract});
    EXPECT_NEAR(result.top1, 1, 1e-12);
    EXPECT_NEAR(result.top5, 1, 1e-12);
    EXPECT_NEAR(result.mean_rank, 1, 1e-12);
    EXPECT_EQ(result.first_to_second.rank, std::vector<int64_t>(30, 1));
    EXPECT_EQ(result.second_to_first.rank, std::vector<int64_t>(30, 1));
    EXPECT_EQ(result.n, 30);
    EXPECT_DOUBLE_EQ(result.chance, 1.0 / 30);
  }
}

TEST(Identify, NoiseIsFoundAsOftenAsChanceSays) {
  double top1 = 0, top5 = 0, rank = 0;
  constexpr int kRepeats = 200;
  for (uint64_t k = 0; k < kRepeats; ++k) {
    const Identification result = identify(noise(20, 12, 2 * k + 1), noise(20, 12, 2 * k + 2));
    top1 += result.top1 / kRepeats;
    top5 += result.top5 / kRepeats;
    rank += result.mean_rank / kRepeats;
  }
  EXPECT_NEAR(top1, 1.0 / 20, 0.015);  // SD of the mean: about 0.003
  EXPECT_NEAR(top5, 5.0 / 20, 0.03);
  EXPECT_NEAR(rank, 10.5, 0.5);
}

TEST(Identify, TiesAreMisses) {
  Matrix equal(4, 3);
  for (double& value : equal.values) {
    value = 1;
  }
  const Identification result = identify(equal, equal);
  EXPECT_EQ(result.top1, 0);
  EXPECT_EQ(result.mean_rank, 4);
  const Identification zeros = identify(Matrix(3, 2), Matrix(3, 2));
  EXPECT_EQ(zeros.top1, 0) << "embeddings of zeros are like nothing";
}

TEST(Identify, ASharedOffsetHidesPeopleUntilTheDatabasesMeanIsSubtracted) {
  Matrix first = noise(20, 8, 900), second = first;
  Stream stream(52, "offset");
  for (double& value : second.values) {
    value += 0.1 * stream.normal();
  }
  for (Matrix* rows : {&first, &second}) {
    for (int64_t i = 0; i < rows->rows; ++i) {
      for (int64_t j = 0; j < rows->columns; ++j) {
        (*rows)(i, j) = (*rows)(i, j) + (rows == &second && j % 2 == 0 ? 60 : 30);
      }
    }
  }
  EXPECT_LT(identify(first, second).top1, 0.6);
  // Each side has its own offset, so queries stay shifted; both on one offset are found.
  for (int64_t i = 0; i < 20; ++i) {
    for (int64_t j = 0; j < 8; j += 2) {
      second(i, j) -= 30;
    }
  }
  EXPECT_NEAR(identify(first, second, {.subtract_database_mean = true}).top1, 1.0, 1e-12);
}

TEST(Identify, DirectionsDiffer) {
  // Query 0 of the first session is nearest to row 0; row 1 of the first is nearer to row 0 as well.
  Matrix first(2, 2), second(2, 2);
  first.values = {1, 0, 1, 0.2};
  second.values = {1, 0.05, 0, 1};
  const Identification result = identify(first, second);
  EXPECT_EQ(result.first_to_second.rank, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(result.second_to_first.rank, (std::vector<int64_t>{1, 1}));
  EXPECT_DOUBLE_EQ(result.top1, 0.75);
}

TEST(Identify, RefusesOnePersonOtherShapesAndNan) {
  const auto code_of = [](const Matrix& a, const Matrix& b) {
    try {
      identify(a, b);
    } catch (const Error& error) {
      return std::string(error.code());
    }
    return std::string("none");
  };
  EXPECT_EQ(code_of(noise(1, 3, 1), noise(1, 3, 2)), "SB3002");
  EXPECT_EQ(code_of(noise(3, 3, 1), noise(4, 3, 2)), "SB9001");
  Matrix bad = noise(3, 3, 1);
  bad(1, 1) = std::nan("");
  EXPECT_EQ(code_of(bad, noise(3, 3, 2)), "SB2015");
}

struct Clips {
  std::vector<double> values;
  std::vector<int> person;
};

/// `clips` a person around a centre of its own; spread 0 = exact copies, large = noise.
Clips clips_of(int n, int clips, double spread, uint64_t session) {
  Clips result;
  const Matrix centres = noise(n, 10, 700);
  Stream stream(53, "clips", 0, session);
  for (int p = 0; p < n; ++p) {
    for (int c = 0; c < clips; ++c) {
      result.person.push_back(p);
      for (int64_t j = 0; j < 10; ++j) {
        result.values.push_back(centres(p, j) * (spread > 5 ? 0 : 1) + spread * stream.normal());
      }
    }
  }
  return result;
}

TEST(Recognise, PeopleAreKnownAgainAndNoiseIsNear1OverN) {
  const Clips a = clips_of(6, 5, 0.2, 1), b = clips_of(6, 4, 0.2, 2);
  const ClosedSet found = recognise({a.values, 10}, a.person, {b.values, 10}, b.person, 6);
  EXPECT_GE(*found.accuracy, 0.95);
  EXPECT_TRUE(found.penalty_chosen);
  EXPECT_EQ(found.n_samples, 24);
  EXPECT_DOUBLE_EQ(found.chance, 1.0 / 6);
  const Clips noise_a = clips_of(6, 5, 10, 3), noise_b = clips_of(6, 100, 10, 4);
  const ClosedSet lost =
      recognise({noise_a.values, 10}, noise_a.person, {noise_b.values, 10}, noise_b.person, 6);
  EXPECT_NEAR(*lost.accuracy, 1.0 / 6, 0.06);  // SD 0.015
}

TEST(Recognise, OneClipAPersonTakesTheMiddlePenaltyAndMissingPeopleAreRefused) {
  const Clips a = clips_of(4, 1, 0.1, 5), b = clips_of(4, 2, 0.1, 6);
  const ClosedSet result = recognise({a.values, 10}, a.person, {b.values, 10}, b.person, 4);
  EXPECT_FALSE(result.penalty_chosen);
  EXPECT_DOUBLE_EQ(result.lambda_per_column, 1);
  EXPECT_GE(*result.accuracy, 0.8);
  EXPECT_THROW(recognise({a.values, 10}, a.person, {b.values, 10}, b.person, 5), Error);
}

}  // namespace
}  // namespace slim::evaluate
