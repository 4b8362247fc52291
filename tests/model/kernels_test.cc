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
    std::vector<float> keys(static_cast<size_t>(panels_size(nk, head))),
        values(static_cast<size_t>(nk * head));
    pack_panels(kv.data(), ld, nk, head, keys.data());
    pack_rows(kv.data() + head, ld, nk, head, values.data());
    const std::vector<float> out = with_all_kernels([&](const Kernels& kernels) {
      std::vector<float> y(static_cast<size_t>(nq * head)), scratch(static_cast<size_t>(kAttentionScratch));
      kernels.attend(q.data(), ld, nq, keys.data(), values.data(), nk, head, y.data(), head, nullptr,
                     scratch.data());
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

/// sum over queries and columns of gradient x attention, in double: what attend_back differentiates.
double attended(const std::vector<double>& q, const std::vector<double>& k, const std::vector<double>& v,
                const std::vector<float>& gradient, const Shape& shape) {
  const auto& [nq, nk, head, scale] = shape;
  double sum = 0;
  for (int64_t i = 0; i < nq; ++i) {
    std::vector<double> score(static_cast<size_t>(nk)), value(static_cast<size_t>(nk));
    for (int64_t j = 0; j < nk; ++j) {
      for (int64_t c = 0; c < head; ++c) {
        const auto column = static_cast<size_t>(j * head + c), row = static_cast<size_t>(i * head + c);
        score[static_cast<size_t>(j)] += q[row] * k[column] / std::sqrt(static_cast<double>(head));
        value[static_cast<size_t>(j)] += gradient[row] * v[column];
      }
    }
    const double largest = *std::max_element(score.begin(), score.end());
    double total = 0, weighted = 0;
    for (size_t j = 0; j < score.size(); ++j) {
      const double weight = std::exp(score[j] - largest);
      total += weight;
      weighted += weight * value[j];
    }
    sum += weighted / total;
  }
  return sum;
}

TEST_F(CpuKernels, GradientsOfAttentionEqualDifferencesInDouble) {
  for (const Shape& shape : std::vector<Shape>{
           {1, 1, 16, 1}, {50, 300, 16, 1}, {13, 65, 64, 1}, {49, 17, 48, 3}, {97, 130, 32, 1}}) {
    const auto& [nq, nk, head, scale] = shape;
    const int64_t width = panels_size(nk, 1);
    const std::vector<float> q = random_values(nq * head, 11, scale), k = random_values(nk * head, 12),
                             v = random_values(nk * head, 13), gradient = random_values(nq * head, 14);
    std::vector<float> key_panels(static_cast<size_t>(panels_size(nk, head))), value_panels(key_panels);
    pack_panels(k.data(), head, nk, head, key_panels.data());
    pack_panels(v.data(), head, nk, head, value_panels.data());
    const auto queries = static_cast<size_t>(nq * head), keys = static_cast<size_t>(nk * head);
    const std::vector<float> found = with_all_kernels([&](const Kernels& kernels) {
      std::vector<float> out(queries), log_sums(static_cast<size_t>(nq)), across(2 * key_panels.size()),
          scratch(static_cast<size_t>(kAttentionBackScratch)), result(queries + 2 * keys);
      kernels.attend(q.data(), head, nq, key_panels.data(), v.data(), nk, head, out.data(), head,
                     log_sums.data(), scratch.data());
      float *const dk = across.data(), *const dv = dk + width * head;
      kernels.attend_back({.q = q.data(),
                           .ldq = head,
                           .nq = nq,
                           .nk = nk,
                           .head = head,
                           .key_panels = key_panels.data(),
                           .keys = k.data(),
                           .value_panels = value_panels.data(),
                           .out = out.data(),
                           .dout = gradient.data(),
                           .ldo = head,
                           .log_sums = log_sums.data(),
                           .dq = result.data(),
                           .lddq = head,
                           .dk = dk,
                           .dv = dv},
                          scratch.data());
      unpack_across(dk, nk, head, result.data() + queries, head);
      unpack_across(dv, nk, head, result.data() + queries + keys, head);
      return result;
    });
    std::vector<double> x(q.begin(), q.end()), y(k.begin(), k.end()), z(v.begin(), v.end());
    const auto difference = [&](std::vector<double>& values, size_t at) {
      const double before = values[at], step = 1e-5;
      values[at] = before + step;
      const double above = attended(x, y, z, gradient, shape);
      values[at] = before - step;
      const double below = attended(x, y, z, gradient, shape);
      values[at] = before;
      return (above - below) / (2 * step);
    };
    for (size_t part = 0; part < 40; ++part) {  // values spread over rows and columns
      const size_t a = part * 7919 % queries, b = part * 7919 % keys;
      ASSERT_NEAR(found[a], difference(x, a), 2e-5) << "query value " << a << " of " << nq << " x " << nk;
      ASSERT_NEAR(found[queries + b], difference(y, b), 2e-5) << "key value " << b;
      ASSERT_NEAR(found[queries + keys + b], difference(z, b), 2e-5) << "value " << b;
    }
  }
}

TEST_F(CpuKernels, HugeScoresStayFinite) {
  const int64_t nk = 70, head = 16;
  std::vector<float> q(16, 1e4F), kv = random_values(nk * 2 * head, 10, 1e4);
  std::vector<float> keys(static_cast<size_t>(panels_size(nk, head))), values(static_cast<size_t>(nk * head));
  pack_panels(kv.data(), 2 * head, nk, head, keys.data());
  pack_rows(kv.data() + head, 2 * head, nk, head, values.data());
  const std::vector<float> out = with_all_kernels([&](const Kernels& kernels) {
    std::vector<float> y(16), scratch(static_cast<size_t>(kAttentionScratch));
    kernels.attend(q.data(), head, 1, keys.data(), values.data(), nk, head, y.data(), head, nullptr,
                   scratch.data());
    return y;
  });
  EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); }));
}

}  // namespace
}  // namespace slim::model::cpu
