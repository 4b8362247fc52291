// SPDX-License-Identifier: Apache-2.0
#include "model/ops/run_tasks.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace slim::model::cpu {

int64_t task_workers() { return std::max(1, at::get_num_threads()); }

void run_tasks(int64_t count, const std::function<void(int64_t task, int64_t worker)>& fn) {
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min(count, task_workers()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      for (int64_t task = next++; task < count; task = next++) {
        fn(task, worker);
      }
    }
  });
}

}  // namespace slim::model::cpu
