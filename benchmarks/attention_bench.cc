// SPDX-License-Identifier: Apache-2.0
// How long do attention and its gradients take in the blocks of an encoder on the CPU, beside torch's own
// kernel and the counted operations at this machine's matrix-product rate?
#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <cstdio>
#include <functional>

#include "benchmarks/machine_rate.h"
#include "model/mask_unit_attention.h"

namespace {

using namespace slim;
using namespace slim::benchmarks;

using Attention = std::function<at::Tensor(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v)>;

/// One call of torch's kernel a slab.
at::Tensor by_torch(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const std::vector<model::Slab>& slabs, int64_t heads) {
  std::vector<at::Tensor> parts;
  for (const model::Slab& slab : slabs) {
    const auto folded = [&](const at::Tensor& x) {
      return x.narrow(0, slab.first_row, slab.groups * slab.rows)
          .view({slab.groups, slab.rows, heads, -1})
          .transpose(1, 2);
    };
    parts.push_back(at::scaled_dot_product_attention(folded(q), folded(k), folded(v))
                        .transpose(1, 2)
                        .reshape({slab.groups * slab.rows, -1}));
  }
  return at::cat(parts);
}

/// Median seconds of 5 passes forward and backward, after one that warms up.
double seconds_of_training(const Attention& attention, const at::Tensor& qkv) {
  std::vector<double> seconds;
  for (int repeat = 0; repeat < 6; ++repeat) {
    const at::Tensor leaf = qkv.detach().requires_grad_(true);
    seconds.push_back(seconds_of([&] {
      const std::vector<at::Tensor> parts = leaf.chunk(3, 1);
      const at::Tensor y = attention(parts[0], parts[1], parts[2]);
      y.backward(at::ones_like(y));
    }));
  }
  seconds.erase(seconds.begin());
  return median(seconds);
}

}  // namespace

int main() {
  const double rate = product_rate();
  std::printf(
      "threads %d, one clip, all tokens, forward and backward, medians of 5; ratio = seconds / (GFLOP / "
      "%.1f)\n",
      at::get_num_threads(), rate);
  std::printf("%-6s %-9s %6s %9s %9s %8s %11s %11s\n", "preset", "level", "heads", "GFLOP", "seconds",
              "ratio", "torch s", "torch ratio");
  const model::TokenLayout layout(model::LayoutOptions{.clips = 1});
  for (const auto& [preset, head] : {std::pair{"tiny", 16L}, std::pair{"base", 64L}}) {
    for (const auto& [level, heads] : {std::pair{0, 1L}, std::pair{1, 2L}, std::pair{2, 4L}}) {
      const std::vector<model::Slab> slabs = level < 2 ? layout.mask_unit_slabs(level) : layout.clip_slabs();
      const at::Tensor qkv = at::randn({layout.rows(level), 3 * heads * head});
      double products = 0;
      for (const model::Slab& slab : slabs) {
        products += static_cast<double>(slab.groups * slab.rows * slab.rows * heads * head);
      }
      const double gflop = 14.0 * products / 1e9;  // 4 forward and 10 backward
      const double ours = seconds_of_training(
          [&](const auto& q, const auto& k, const auto& v) {
            return model::grouped_attention(q, k, v, slabs, slabs, heads);
          },
          qkv);
      const double torch = seconds_of_training(
          [&](const auto& q, const auto& k, const auto& v) { return by_torch(q, k, v, slabs, heads); }, qkv);
      std::printf("%-6s %-9d %6ld %9.2f %9.3f %8.2f %11.3f %11.2f\n", preset, level, heads, gflop, ours,
                  ours * rate / gflop, torch, torch * rate / gflop);
    }
  }
}
