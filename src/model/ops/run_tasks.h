// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

namespace slim::model::cpu {

/// Threads that run_tasks may use: workers are numbered below this.
int64_t task_workers();
/// Runs fn(task, worker) for every task 0..count-1 in torch's thread pool; free workers take the next task.
void run_tasks(int64_t count, const std::function<void(int64_t task, int64_t worker)>& fn);

}  // namespace slim::model::cpu
