// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "generated.h"
#include "model/device/attention_backend.h"
#include "model/mask_unit_attention.h"

namespace slim::model {
namespace {

using at::SDPBackend;
using testing::generated;
using testing::relative_difference;

TEST(AttentionBackend, TheFirstThatAgreesIsTaken) {
  const std::vector<SDPBackend> both{SDPBackend::flash_attention, SDPBackend::efficient_attention};
  std::vector<SDPBackend> asked;
  const auto all_agree = [&](SDPBackend backend) {
    asked.push_back(backend);
    return 1e-3;
  };
  EXPECT_EQ(first_that_agrees(both, 2e-2, all_agree), SDPBackend::flash_attention);
  EXPECT_EQ(asked.size(), 1U) << "nothing is tried once one agrees";
  const auto flash_is_off = [](SDPBackend b) { return b == SDPBackend::flash_attention ? 0.5 : 1e-3; };
  EXPECT_EQ(first_that_agrees(both, 2e-2, flash_is_off), SDPBackend::efficient_attention);
  const auto flash_refuses = [](SDPBackend b) {
    TORCH_CHECK(b != SDPBackend::flash_attention, "No available kernel.");
    return 1e-3;
  };
  EXPECT_EQ(first_that_agrees(both, 2e-2, flash_refuses), SDPBackend::efficient_attention);
}

TEST(AttentionBackend, WhenNoneAgreesTheErrorNamesEachWithItsReason) {
  const auto none = [](SDPBackend b) {
    TORCH_CHECK(b != SDPBackend::flash_attention, "No available kernel.");
    return 0.25;
  };
  try {
    first_that_agrees({SDPBackend::flash_attention, SDPBackend::efficient_attention}, 2e-2, none);
    FAIL() << "a kernel was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), message::kNoDevice.code);
    for (const char* part : {"flash: No available kernel.", "efficient: differs by 0.25"}) {
      EXPECT_NE(error.details().found.find(part), std::string::npos) << error.details().found;
    }
  }
  EXPECT_THROW(first_that_agrees({SDPBackend::flash_attention}, 2e-2, [](SDPBackend) { return NAN; }), Error);
}

TEST(AttentionBackend, NoKernelOfANetworkStoresAllScores) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const bool masked : {false, true}) {
      for (const SDPBackend backend : fused_backends(type, masked)) {
        EXPECT_NE(backend, SDPBackend::math);
        EXPECT_FALSE(masked && backend == SDPBackend::flash_attention) << "flash takes no mask";
      }
    }
  }
  EXPECT_EQ(fused_backends(at::kBFloat16, false).front(), SDPBackend::flash_attention);
}

TEST(AttentionBackend, AnotherShapeIsAnErrorWhileOneKernelIsAllowed) {
  const at::Tensor x = generated("x", {2, 2, 8, 16}, 1.0);
  const auto choice = [](const at::Tensor& q) { return at::_fused_sdp_choice(q, q, q); };
  EXPECT_EQ(choice(x.unsqueeze(0)), static_cast<int64_t>(SDPBackend::math)) << "five dimensions";
  {
    const OnlyBackend only(SDPBackend::flash_attention);
    EXPECT_EQ(choice(x), static_cast<int64_t>(SDPBackend::flash_attention));
    EXPECT_THROW(at::scaled_dot_product_attention(x.unsqueeze(0), x.unsqueeze(0), x.unsqueeze(0)),
                 c10::Error);
  }
  EXPECT_TRUE(at::globalContext().userEnabledMathSDP()) << "the choice is put back";
  EXPECT_NO_THROW(at::scaled_dot_product_attention(x.unsqueeze(0), x.unsqueeze(0), x.unsqueeze(0)));
}

TEST(AttentionBackend, TheComparisonMeasuresResultAndGradients) {
  const AttentionShape pooled{.batch = 3, .heads = 2, .queries = 6, .keys = 48, .head_size = 16};
  for (const SDPBackend backend : {SDPBackend::flash_attention, SDPBackend::math}) {
    const double fine = attention_error(backend, pooled, at::kCPU, at::kFloat);
    const double coarse = attention_error(backend, pooled, at::kCPU, at::kBFloat16);
    EXPECT_LE(fine, 1e-5) << name_of(backend);
    EXPECT_LE(coarse, attention_tolerance(at::kBFloat16)) << name_of(backend);
    EXPECT_GT(coarse, 1e-4) << "bfloat16 cannot be that exact: " << name_of(backend);
  }
  EXPECT_THROW(attention_error(SDPBackend::cudnn_attention, pooled, at::kCPU, at::kFloat), c10::Error);
}

TEST(AttentionBackend, MaskedKeysCountForNothing) {
  const at::Tensor q = generated("q", {2, 2, 5, 16}, 1.0), k = generated("k", {2, 2, 7, 16}, 1.0),
                   v = generated("v", {2, 2, 7, 16}, 1.0);
  at::Tensor mask = at::ones({2, 1, 1, 7}, at::kBool);
  mask.narrow(3, 4, 3).fill_(false);
  EXPECT_LE(relative_difference(fused_attention(q, k, v, mask),
                                fused_attention(q, k.narrow(2, 0, 4), v.narrow(2, 0, 4))),
            1e-5);
}

TEST(GroupedAttention, ASlabAboveTheBatchLimitEqualsTheUnsplitOne) {
  // Slabs of 5, 1 and 3 groups; queries pooled to a quarter of the keys. In double, which torch's kernels
  // take: ours, in float, have no such limit.
  const std::vector<Slab> keys{{0, 5, 8}, {40, 1, 12}, {52, 3, 4}};
  const std::vector<Slab> queries{{0, 5, 2}, {10, 1, 3}, {13, 3, 1}};
  for (const int64_t heads : {1, 2}) {
    const auto run = [&](int64_t limit) {
      const at::Tensor q = generated("q", {16, 32}, 1.0).to(at::kDouble).requires_grad_(true);
      const at::Tensor kv = generated("kv", {64, 64}, 1.0).to(at::kDouble).requires_grad_(true);
      const std::vector<at::Tensor> parts = kv.split(32, 1);
      const at::Tensor y = grouped_attention(q, parts[0], parts[1], queries, keys, heads, limit);
      (y * generated("weights", {16, 32}, 1.0)).sum().backward();
      return std::array{y.detach(), q.grad(), kv.grad()};
    };
    const auto whole = run(kLargestFoldedBatch);
    for (const int64_t limit : {1, 2, 3, 5, 9}) {
      const auto split = run(limit);
      for (size_t i = 0; i < whole.size(); ++i) {
        EXPECT_LE(relative_difference(split[i], whole[i]), 1e-6) << heads << " heads, limit " << limit;
      }
    }
  }
}

/// Result and gradients of grouped attention of three views of a wider matrix, as a network's are.
std::vector<at::Tensor> attention_and_gradients(const std::vector<Slab>& queries,
                                                const std::vector<Slab>& keys, int64_t width, int64_t heads,
                                                at::ScalarType type) {
  const int64_t query_rows = queries.back().first_row + queries.back().groups * queries.back().rows,
                key_rows = keys.back().first_row + keys.back().groups * keys.back().rows;
  const auto leaf = [&](const char* name, int64_t rows, int64_t columns) {
    return generated(name, {rows, columns}, 1.0).to(type).requires_grad_(true);
  };
  const at::Tensor q = leaf("q", query_rows, 2 * width), kv = leaf("kv", key_rows, 3 * width);
  const at::Tensor y = grouped_attention(q.narrow(1, width, width), kv.narrow(1, 0, width),
                                         kv.narrow(1, 2 * width, width), queries, keys, heads);
  (y * generated("weights", {query_rows, width}, 1.0).to(type)).sum().backward();
  return {y.detach(), q.grad(), kv.grad()};
}

TEST(GroupedAttention, ResultAndGradientsInFloatEqualThoseInDouble) {
  const std::vector<Slab> keys{{0, 2, 300}, {600, 1, 64}, {664, 3, 7}};
  const std::vector<Slab> pooled{{0, 2, 100}, {200, 1, 50}, {250, 3, 1}};
  for (const std::vector<Slab>& queries : {keys, pooled}) {
    // Heads of 16, 32 and 64 values take our own kernel where the processor has AVX2, heads of 24 and 96
    // torch's.
    for (const auto& [width, heads] :
         std::vector<std::pair<int64_t, int64_t>>{{16, 1}, {64, 4}, {64, 2}, {128, 2}, {48, 2}, {96, 1}}) {
      const auto found = attention_and_gradients(queries, keys, width, heads, at::kFloat),
                 expected = attention_and_gradients(queries, keys, width, heads, at::kDouble);
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_LE(relative_difference(found[i], expected[i]), 2e-6) << width << " / " << heads << ", " << i;
      }
    }
  }
}

TEST(GroupedAttention, ThreadsChangeNoBit) {
  const std::vector<Slab> slabs{{0, 3, 333}, {999, 2, 70}};
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = attention_and_gradients(slabs, slabs, 64, 4, at::kFloat);
  at::set_num_threads(4);
  const auto together = attention_and_gradients(slabs, slabs, 64, 4, at::kFloat);
  at::set_num_threads(before);
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_TRUE(at::equal(alone[i], together[i])) << i;
  }
}

}  // namespace
}  // namespace slim::model
