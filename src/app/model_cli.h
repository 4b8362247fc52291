// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace slim::app {

/// slimbrain-model import|export|inspect|init: parses the words and does the job. Returns the exit code;
/// errors are slim::Error.
int run_model_words(const std::vector<std::string>& words);

}  // namespace slim::app
