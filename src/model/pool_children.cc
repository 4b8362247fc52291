// SPDX-License-Identifier: Apache-2.0
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/max.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "model/layout_index.h"

namespace slim::model {
namespace {

// Note [Pooling]. The composed form keeps 16 gathered copies of every pooled row for its backward pass. This
// one keeps which child won, a byte a value.
struct Pooled {
  at::Tensor values, winners;  // [rows(level + 1), C]; winners 0..15
};

constexpr int64_t kGrain = 64;

bool has_loops(const at::Tensor& rows) {
  return rows.is_cpu() && (rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kDouble);
}

Pooled pooled_by_loops(const at::Tensor& input, const at::Tensor& children) {
  const at::Tensor rows = input.stride(1) == 1 ? input : input.contiguous();
  const int64_t width = rows.size(1), parents = children.size(0) / kMostChildren, stride = rows.stride(0);
  Pooled result{at::empty({parents, width}, rows.options()),
                at::empty({parents, width}, rows.options().dtype(at::kByte))};
  const int64_t* const index = children.const_data_ptr<int64_t>();
  uint8_t* const winners = result.winners.data_ptr<uint8_t>();
  AT_DISPATCH_FLOATING_TYPES(rows.scalar_type(), "pool_children", [&] {
    const scalar_t* const from = rows.const_data_ptr<scalar_t>();
    scalar_t* const to = result.values.data_ptr<scalar_t>();
    at::parallel_for(0, parents, kGrain, [&](int64_t first, int64_t last) {
      for (int64_t parent = first; parent < last; ++parent) {
        const int64_t* const child = index + parent * kMostChildren;
        scalar_t* const best = to + parent * width;
        uint8_t* const winner = winners + parent * width;
        std::copy_n(from + child[0] * stride, width, best);
        std::fill_n(winner, width, uint8_t{0});
        for (int64_t k = 1; k < kMostChildren; ++k) {
          if (k >= 2 && child[k] == child[k - 2]) {
            continue;  // an absent child: its place repeats a present one
          }
          const scalar_t* const row = from + child[k] * stride;
          for (int64_t c = 0; c < width; ++c) {
            const bool wins = row[c] > best[c] || std::isnan(row[c]);
            best[c] = wins ? row[c] : best[c];
            winner[c] = wins ? static_cast<uint8_t>(k) : winner[c];
          }
        }
      }
    });
  });
  return result;
}

at::Tensor gradient_by_loops(const at::Tensor& gradient, const at::Tensor& children,
                             const at::Tensor& winners, int64_t rows) {
  const at::Tensor from_parents = gradient.contiguous();
  const int64_t width = gradient.size(1);
  at::Tensor result = at::zeros({rows, width}, gradient.options());
  const int64_t* const index = children.const_data_ptr<int64_t>();
  const uint8_t* const winner = winners.const_data_ptr<uint8_t>();
  AT_DISPATCH_FLOATING_TYPES(gradient.scalar_type(), "pool_children_gradient", [&] {
    const scalar_t* const from = from_parents.const_data_ptr<scalar_t>();
    scalar_t* const to = result.data_ptr<scalar_t>();
    at::parallel_for(0, winners.size(0), kGrain, [&](int64_t first, int64_t last) {
      for (int64_t i = first * width; i < last * width; ++i) {
        to[index[i / width * kMostChildren + winner[i]] * width + i % width] = from[i];
      }
    });
  });
  return result;
}

Pooled pooled_by_gather(const at::Tensor& rows, const at::Tensor& children) {
  const at::Tensor gathered = rows.index_select(0, children).view({-1, kMostChildren, rows.size(1)});
  auto [values, winners] = gathered.max(1);
  return {values, winners.to(at::kByte)};
}

at::Tensor gradient_by_scatter(const at::Tensor& gradient, const at::Tensor& children,
                               const at::Tensor& winners, int64_t rows) {
  const at::Tensor index = children.view({-1, kMostChildren}).gather(1, winners.to(at::kLong));
  return at::zeros({rows, gradient.size(1)}, gradient.options()).scatter_(0, index, gradient);
}

struct PoolChildren : torch::autograd::Function<PoolChildren> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& rows,
                            const at::Tensor& children) {
    Pooled pooled = has_loops(rows) ? pooled_by_loops(rows, children) : pooled_by_gather(rows, children);
    context->save_for_backward({children, pooled.winners});
    context->saved_data["rows"] = rows.size(0);
    return pooled.values;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t rows = context->saved_data["rows"].toInt();
    return {has_loops(gradients[0]) ? gradient_by_loops(gradients[0], saved[0], saved[1], rows)
                                    : gradient_by_scatter(gradients[0], saved[0], saved[1], rows),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor pool_children(const at::Tensor& rows, const at::Tensor& children) {
  return PoolChildren::apply(rows, children);
}

}  // namespace slim::model
