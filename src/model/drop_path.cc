// SPDX-License-Identifier: Apache-2.0
#include "model/drop_path.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include "core/seed.h"
#include "model/device/upload.h"

namespace slim::model {

at::Tensor drop_path_scale(const DropPath& drop, int64_t block, int64_t blocks, int branch,
                           const at::Tensor& row_clips, at::ScalarType type) {
  const double rate =
      blocks > 1 ? drop.rate * static_cast<double>(block) / static_cast<double>(blocks - 1) : 0.0;
  if (rate <= 0.0) {
    return {};
  }
  at::Tensor scale = at::empty({static_cast<int64_t>(drop.positions.size()), 1}, at::kDouble);
  double* out = scale.data_ptr<double>();
  for (const uint64_t position : drop.positions) {
    const uint64_t word =
        Stream(drop.seed, "drop_path", drop.epoch, position).word(static_cast<uint64_t>(2 * block + branch));
    *out++ = static_cast<double>(word >> 11) * 0x1p-53 < rate ? 0.0 : 1.0 / (1.0 - rate);
  }
  return upload(scale.to(type), row_clips.device()).index_select(0, row_clips);
}

}  // namespace slim::model
