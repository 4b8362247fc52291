// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace slim::app {

/// `slimbrain`: returns the exit code. Errors are caught here and nowhere else.
int run(const std::vector<std::string>& words);

/// `slimbrain-model`: the same binary under a second name.
int run_model_tool(const std::vector<std::string>& words);

}  // namespace slim::app
