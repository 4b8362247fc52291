// SPDX-License-Identifier: Apache-2.0
#include "model/ops/run_tasks.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>

namespace slim::model::cpu {

int64_t task_workers() { return std::max(1, at::get_num_threads()); }

// Note [Torch's threads]. at::parallel_for is a template: compiled here, without OpenMP (a second OpenMP
// runtime must not enter the process), it would run on one thread. A loop over a TensorIterator runs in
// torch's own pool, because its body is inside libtorch; the tensor has one byte for every worker.
void run_tasks(int64_t count, const std::function<void(int64_t task, int64_t worker)>& fn) {
  std::atomic<int64_t> next{0};
  const at::Tensor workers = at::empty({std::min(count, task_workers())}, at::kByte);
  const char* const first = static_cast<const char*>(workers.const_data_ptr());
  at::TensorIterator iterator = at::TensorIteratorConfig()
                                    .check_all_same_dtype(false)
                                    .resize_outputs(false)
                                    .add_output(workers)
                                    .build();
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t n) {
        for (int64_t i = 0; i < n; ++i) {
          const int64_t worker = data[0] + i * strides[0] - first;
          for (int64_t task = next++; task < count; task = next++) {
            fn(task, worker);
          }
        }
      },
      1);
}

}  // namespace slim::model::cpu
