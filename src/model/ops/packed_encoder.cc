// SPDX-License-Identifier: Apache-2.0
#include "model/ops/packed_encoder.h"

#include <algorithm>

#include "model/ops/run_tasks.h"

namespace slim::model::cpu {
namespace {

/// A weight [n, k] and where its packed form goes.
struct Job {
  const float* weight;
  int64_t k, n;
  Packed* target;
};

Norm norm_of(const LayerNorm& norm) {
  return {norm->weight.const_data_ptr<float>(), norm->bias.const_data_ptr<float>(),
          static_cast<float>(norm->eps())};
}

Job job_of(const at::Tensor& weight, const at::Tensor& bias, Packed& target) {
  target = {.panels = nullptr,
            .bias = bias.const_data_ptr<float>(),
            .k = weight.numel() / weight.size(0),
            .n = weight.size(0)};
  return {weight.const_data_ptr<float>(), target.k, target.n, &target};
}

Job job_of(const Linear& linear, Packed& target) { return job_of(linear->weight, linear->bias, target); }

}  // namespace

bool fits_kernels(const HieraEncoderImpl& encoder) {
  for (const at::Tensor& parameter : encoder.parameters()) {
    if (!parameter.device().is_cpu() || parameter.scalar_type() != at::kFloat || !parameter.is_contiguous()) {
      return false;
    }
  }
  for (const HieraBlock& block : encoder.blocks) {
    const BlockShape& shape = block->shape();
    if (shape.dim_in % kLanes != 0 || shape.hidden % kLanes != 0 || shape.head_size() % kLanes != 0 ||
        shape.head_size() > kPanel) {
      return false;
    }
  }
  return true;
}

PackedEncoder pack_encoder(const HieraEncoderImpl& encoder) {
  PackedEncoder packed;
  packed.position_time = encoder.pos_embed_temporal.const_data_ptr<float>();
  packed.position_space = encoder.pos_embed_spatial.const_data_ptr<float>();
  packed.blocks.resize(encoder.blocks.size());
  const PatchProjection& patch = encoder.patch_embed->proj;
  std::vector<Job> jobs{job_of(patch->weight, patch->bias, packed.embed)};
  for (size_t i = 0; i < encoder.blocks.size(); ++i) {
    const HieraBlock& block = encoder.blocks[i];
    PackedBlock& target = packed.blocks[i];
    target.shape = block->shape();
    target.norm1 = norm_of(block->norm1);
    target.norm2 = norm_of(block->norm2);
    jobs.push_back(job_of(block->attn->qkv, target.qkv));
    jobs.push_back(job_of(block->attn->proj, target.proj));
    jobs.push_back(job_of(block->mlp->fc1, target.fc1));
    jobs.push_back(job_of(block->mlp->fc2, target.fc2));
    if (target.shape.doubles()) {
      jobs.push_back(job_of(block->proj, target.skip));
    }
  }
  int64_t values = 0;
  for (const Job& job : jobs) {
    values += packed_size(job.k, job.n);
  }
  packed.storage = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(values));
  std::vector<float*> places;
  float* place = packed.storage.get();
  for (const Job& job : jobs) {
    job.target->panels = place;
    places.push_back(place);
    place += packed_size(job.k, job.n);
  }
  run_tasks(static_cast<int64_t>(jobs.size()), [&](int64_t task, int64_t) {
    const Job& job = jobs[static_cast<size_t>(task)];
    pack_weight(job.weight, job.k, job.n, places[static_cast<size_t>(task)]);
  });
  return packed;
}

}  // namespace slim::model::cpu
