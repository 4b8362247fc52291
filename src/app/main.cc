// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <string>
#include <vector>

#include "app/app.h"

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool model_tool = std::filesystem::path(argv[0]).filename() == "slimbrain-model";
  return model_tool ? slim::app::run_model_tool(words) : slim::app::run(words);
}
