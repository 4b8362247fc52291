// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/seed.h"
#include "model/ops/cpu_kernels.h"

namespace slim::model::cpu {
namespace {

std::vector<float> random_values(int64_t count, uint64_t index, double scale = 1.0) {
  std::vector<float> values(static_cast<size_t>(count));
  Stream stream(1, "kernels", 0, index);
  for (float& value : values) {
    value = static_cast<float>(scale * stream.normal());
  }
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Runs `work` with all kernels of this machine; all must agree bit for bit. Gives the result.
template <class Work>
std::vector<float> with_all_kernels(Work&& work) {
  std::vector<float> first;
  for (const Kernels* kernels : supported_kernels()) {
    std::vector<float> result = work(*kernels);
    if (first.empty()) {
      first = std::move(result);
    } else {
      EXPECT_TRUE(same_bits(first, result)) << kernels->name;
    }
  }
  return first;
}

struct Product {
  int64_t m, k, n;
};

class CpuKernels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (supported_kernels().empty()) {
      GTEST_SKIP() << "this processor lacks AVX2 or FMA";
    }
  }
};

TEST_F(CpuKernels, ProductEqualsALoopInDouble) {
  for (const auto& [m, k, n] : std::vector<Product>{
           {1, 64, 16}, {6, 64, 64}, {7, 16, 48}, {96, 64, 192}, {13, 1100, 80}, {95, 513, 112}}) {
    const std::vector<float> a = random_values(m * k, 1), w = random_values(n * k, 2),
                             bias = random_values(n, 3);
    std::vector<float> panels(static_cast<size_t>(packed_size(k, n)));
    pack_weight(w.data(), k, n, panels.data());
    const Packed packed{.panels = panels.data(), .bias = bias.data(), .k = k, .n = n};
    const std::vector<float> start = random_values(m * n, 4);
    for (const Begin begin : {Begin::Bias, Begin::AddBias}) {
      const std::vector<float> c = with_all_kernels([&](const Kernels& kernels) {
        std::vector<float> out = start;
        kernels.gemm(a.data(), k, m, packed, out.data(), n, begin, End::Store);
        return out;
      });
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          const auto at = static_cast<size_t>(i * n + j);
          double sum = bias[static_cast<size_t>(j)] + (begin == Begin::AddBias ? start[at] : 0.0);
          for (int64_t p = 0; p < k; ++p) {
            sum += static_cast<double>(a[static_cast<size_t>(i * k + p)]) * w[static_cast<size_t>(j * k + p)];
          }
          ASSERT_NEAR(c[at], sum, 2e-6 * static_cast<double>(k)) << m << " " << k << " " << n;
        }
      }
    }
  }
}

TEST_F(CpuKernels, GeluIsExactEverywhere) {
  // A product with the identity applies the activation alone.
  std::vector<float> identity(16 * 16, 0.0F), bias(16, 0.0F), x, panels(16 * 16);
  for (size_t i = 0; i < 16; ++i) {
    identity[17 * i] = 1.0F;
  }
  for (int i = -800; i < 800; ++i) {
    x.push_back(static_cast<float>(i) / 50.0F);
  }
  pack_weight(identity.data(), 16, 16, panels.data());
  const Packed packed{.panels = panels.data(), .bias = bias.data(), .k = 16, .n = 16};
  const std::vector<float> y = with_all_kernels([&](const Kernels& kernels) {
    std::vector<float> out(x.size());
    kernels.gemm(x.data(), 16, static_cast<int64_t>(x.size()) / 16, packed, out.data(), 16, Begin::Bias,
                 End::Gelu);
    return out;
  });
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = 0.5 * x[i] * (1.0 + std::erf(x[i] / std::sqrt(2.0)));
    ASSERT_NEAR(y[i], exact, 1e-6 * std::max(1.0, std::abs(exact))) << x[i];
  }
}

TEST_F(CpuKernels, LayerNormEqualsALoopInDouble) {
  const int64_t m = 5, width = 48;
  std::vector<float> x = random_values(m * width, 5, 3.0);
  for (float& value : x) {
    value += 10.0F;
  }
  const std::vector<float> weight = random_values(width, 6), bias = random_values(width, 7);
  const std::vector<float> y = with_all_kernels([&](const Kernels& kernels) {
    std::vector<float> out(x.size());
    kernels.layer_norm(x.data(), width, m, width, weight.data(), bias.data(), 1e-6F, out.data());
    return out;
  });
  for (int64_t i = 0; i < m; ++i) {
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < width; ++j) {
      mean += x[static_cast<size_t>(i * width + j)] / static_cast<double>(width);
    }
    for (int64_t j = 0; j < width; ++j) {
      variance += std::pow(x[static_cast<size_t>(i * width + j)] - mean, 2) / static_cast<double>(width);
    }
    for (int64_t j = 0; j < width; ++j) {
      const auto at = static_cast<size_t>(i * width + j), c = static_cast<size_t>(j);
      ASSERT_NEAR(y[at], (x[at] - mean) / std::sqrt(variance + 1e-6) * weight[c] + bias[c], 5e-6);
    }
  }
}

struct Shape {
  int64_t queries, keys, head;
  double scale;
};

TEST_F(CpuKernels, AttentionEqualsALoopInDouble) {
  for (const auto& [nq, nk, head, scale] : std::vector<Shape>{{1, 1, 16, 1},
                                                              {48, 64, 64, 1},
                                                              {49, 333, 64, 1},
                                                              {7, 257, 16, 1},
                                                              {100, 1000, 48, 1},
                                                              {20, 300, 64, 12},
                                                              {3, 17, 32, 1}}) {
    const int64_t ld = 3 * head;
    const std::vector<float> q = random_values(nq * ld, 8, scale), kv = random_values(nk * ld, 9);
    std::vector<float> keys(static_cast<size_t>(packed_keys_size(nk, head))),
        values(static_cast<size_t>(nk * head));
    pack_keys_values(kv.data(), kv.data() + head, ld, nk, head, keys.data(), values.data());
    const std::vector<float> out = with_all_kernels([&](const Kernels& kernels) {
      std::vector<float> y(static_cast<size_t>(nq * head)), scratch(static_cast<size_t>(kAttentionScratch));
      kernels.attend(q.data(), ld, nq, keys.data(), values.data(), nk, head, y.data(), head, scratch.data());
      return y;
    });
    for (int64_t i = 0; i < nq; ++i) {
      std::vector<double> weight(static_cast<size_t>(nk)), sum(static_cast<size_t>(head), 0.0);
      double largest = -1e300, total = 0;
      for (int64_t j = 0; j < nk; ++j) {
        double score = 0;
        for (int64_t c = 0; c < head; ++c) {
          score +=
              static_cast<double>(q[static_cast<size_t>(i * ld + c)]) * kv[static_cast<size_t>(j * ld + c)];
        }
        weight[static_cast<size_t>(j)] = score / std::sqrt(static_cast<double>(head));
        largest = std::max(largest, weight[static_cast<size_t>(j)]);
      }
      for (double& value : weight) {
        value = std::exp(value - largest);
        total += value;
      }
      for (int64_t c = 0; c < head; ++c) {
        double expected = 0;
        for (int64_t j = 0; j < nk; ++j) {
          expected += weight[static_cast<size_t>(j)] / total * kv[static_cast<size_t>(j * ld + head + c)];
        }
        ASSERT_NEAR(out[static_cast<size_t>(i * head + c)], expected, 1e-5) << nq << " " << nk << " " << head;
      }
    }
  }
}

TEST_F(CpuKernels, HugeScoresStayFinite) {
  const int64_t nk = 70, head = 16;
  std::vector<float> q(16, 1e4F), kv = random_values(nk * 2 * head, 10, 1e4);
  std::vector<float> keys(static_cast<size_t>(packed_keys_size(nk, head))),
      values(static_cast<size_t>(nk * head));
  pack_keys_values(kv.data(), kv.data() + head, 2 * head, nk, head, keys.data(), values.data());
  const std::vector<float> out = with_all_kernels([&](const Kernels& kernels) {
    std::vector<float> y(16), scratch(static_cast<size_t>(kAttentionScratch));
    kernels.attend(q.data(), head, 1, keys.data(), values.data(), nk, head, y.data(), head, scratch.data());
    return y;
  });
  EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); }));
}

}  // namespace
}  // namespace slim::model::cpu
