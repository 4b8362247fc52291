// SPDX-License-Identifier: Apache-2.0
// Every kernel that may be taken, on the shapes that the `base` encoder really has, against plain attention.
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/rand.h>

#include <set>
#include <tuple>

#include "generated.h"
#include "gpu.h"
#include "model/device/attention_backend.h"
#include "model/encoder_options.h"
#include "model/mask_unit_attention.h"

namespace slim::model {
namespace {

using testing::relative_difference;

class AttentionOnGpu : public slim::testing::OnGpu {};

/// The shapes of all blocks of a preset for the full token set of two clips; each once.
std::vector<AttentionShape> real_shapes(const std::string& preset) {
  const EncoderOptions options = encoder_preset(preset);
  const TokenLayout layout({.clips = 2});
  std::set<std::tuple<int64_t, int64_t, int64_t, int64_t>> seen;
  std::vector<AttentionShape> shapes;
  for (const BlockShape& block : block_shapes(options)) {
    const auto slabs = [&](int level) {
      return block.in_mask_units ? layout.mask_unit_slabs(level) : layout.clip_slabs();
    };
    const std::vector<Slab> queries = slabs(block.level_out), keys = slabs(block.level_in);
    for (size_t i = 0; i < queries.size(); ++i) {
      if (seen.emplace(queries[i].groups, block.heads, queries[i].rows, keys[i].rows).second) {
        shapes.push_back({.batch = queries[i].groups,
                          .heads = block.heads,
                          .queries = queries[i].rows,
                          .keys = keys[i].rows,
                          .head_size = block.dim_out / block.heads});
      }
    }
  }
  return shapes;
}

TEST_F(AttentionOnGpu, EveryKernelAgreesWithPlainAttentionOnEveryRealShape) {
  for (const char* preset : {"base", "tiny"}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const at::SDPBackend backend : fused_backends(type, false)) {
        for (const AttentionShape& shape : real_shapes(preset)) {
          EXPECT_LE(attention_error(backend, shape, gpu, type), attention_tolerance(type))
              << name_of(backend) << ", " << at::toString(type) << ": " << shape.batch << " x " << shape.heads
              << " x " << shape.queries << " x " << shape.keys << " x " << shape.head_size;
        }
      }
    }
  }
}

TEST_F(AttentionOnGpu, TheChosenKernelStoresNoScores) {
  // Plain attention would store 8.6 GB of scores here, more than once.
  const int64_t groups = 256;
  const at::Tensor rows = at::rand({groups * 4096, 192}, at::TensorOptions(gpu).dtype(at::kBFloat16));
  const std::vector<at::Tensor> parts = rows.split(64, 1);
  const std::vector<Slab> slabs{{0, groups, 4096}};
  cuda_plugin().api->take_peak_bytes(gpu.index());
  const at::Tensor y = grouped_attention(parts[0], parts[1], parts[2], slabs, slabs, 1);
  EXPECT_TRUE(y.isfinite().all().item<bool>());
  EXPECT_LT(cuda_plugin().api->take_peak_bytes(gpu.index()), uint64_t{4} << 30);
}

TEST_F(AttentionOnGpu, AShapeThatNoKernelTakesIsAnError) {
  const at::Tensor x = at::rand({2, 2, 8, 16}, at::TensorOptions(gpu));
  for (const at::SDPBackend backend : fused_backends(at::kFloat, false)) {
    const OnlyBackend only(backend);
    EXPECT_EQ(at::_fused_sdp_choice(x, x, x), static_cast<int64_t>(backend));
  }
  const at::Tensor five = x.unsqueeze(0);
  EXPECT_THROW(fused_attention(five, five, five), c10::Error);
}

TEST_F(AttentionOnGpu, MoreGroupsThanOneCallTakesEqualTheCpu) {
  const int64_t groups = 70000;
  const at::Tensor q = testing::generated("q", {groups * 2, 32}, 1.0),
                   kv = testing::generated("kv", {groups * 6, 64}, 1.0);
  const auto run = [&](at::Device device) {
    const std::vector<at::Tensor> parts = kv.to(device).split(32, 1);
    return grouped_attention(q.to(device), parts[0], parts[1], {{0, groups, 2}}, {{0, groups, 6}}, 2).cpu();
  };
  EXPECT_LE(relative_difference(run(gpu), run(at::kCPU)), 1e-4);
}

TEST_F(AttentionOnGpu, MaskedKeysCountForNothing) {
  const at::Tensor x = at::rand({3, 2, 50, 16}, at::TensorOptions(gpu));
  at::Tensor mask = at::ones({3, 1, 1, 50}, at::TensorOptions(gpu).dtype(at::kBool));
  mask.narrow(3, 41, 9).fill_(false);
  const at::Tensor seen = x.narrow(2, 0, 41);
  EXPECT_LE(relative_difference(fused_attention(x, x, x, mask).cpu(), fused_attention(x, seen, seen).cpu()),
            1e-4);
}

}  // namespace
}  // namespace slim::model
