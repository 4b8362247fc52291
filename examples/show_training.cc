// SPDX-License-Identifier: Apache-2.0
// show_training MODEL PICTURE.png: the loss curves of a model folder: training (thin: each step; dots: mean
// of each epoch) and validation, for stage 1 where there was one, and for stage 2.
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bids/tsv.h"
#include "core/error.h"
#include "examples/chart.h"

namespace fs = std::filesystem;

namespace slim::toy {
namespace {

constexpr Colour kStep{0.20F, 0.36F, 0.50F}, kTraining{0.35F, 0.75F, 0.95F}, kValidation{0.95F, 0.55F, 0.20F};
constexpr int kMargin = 28, kHeader = 92, kWidth = 1000, kPlotHeight = 230, kPlotGap = 90;

using Points = std::vector<std::array<double, 2>>;  // optimiser step, loss

/// What a folder of logs tells of a training.
struct Curves {
  std::string name;
  Points steps{}, training{}, validation{};
};

Curves read_curves(const std::string& name, const fs::path& folder) {
  Curves curves{.name = name};
  std::ifstream lines(folder / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (row.is_object() && row.contains("loss") && row["loss"].is_number()) {
      curves.steps.push_back({row.at("step").get<double>(), row["loss"].get<double>()});
    }
  }
  const bids::Table history = bids::read_tsv(folder / "history.tsv");
  const auto add = [&](size_t row, const char* column, Points& points) {
    const std::string *step = history.cell(row, "step"), *cell = history.cell(row, column);
    const auto value = cell == nullptr ? std::nullopt : bids::to_number(*cell);
    if (step != nullptr && value) {
      points.push_back({bids::to_number(*step).value_or(0.0), *value});
    }
  };
  for (size_t row = 0; row < history.rows.size(); ++row) {
    add(row, "loss", curves.training);
    add(row, "val_loss", curves.validation);
  }
  if (curves.steps.empty() && curves.training.empty()) {
    throw Error(message::kBadTable, "No row tells a loss.", {.file = (folder / "history.tsv").string()});
  }
  return curves;
}

void draw(Picture& picture, const Curves& curves, int top) {
  double end = 1.0, low = 1e300, high = -1e300;
  for (const Points* points : {&curves.steps, &curves.training, &curves.validation}) {
    for (const auto& [step, loss] : *points) {
      end = std::max(end, step);
      low = std::min(low, loss);
      high = std::max(high, loss);
    }
  }
  const double room = std::max(0.05 * (high - low), 1e-6);
  Chart chart(picture, {kMargin + 60, top, kWidth - 2 * kMargin - 80, kPlotHeight}, end,
              {low - room, high + room}, curves.name, "optimiser step");
  chart.course(curves.steps, kStep, 1.0F);
  chart.course(curves.training, kTraining, 2.0F);
  chart.course(curves.validation, kValidation, 2.0F);
  for (const auto& [points, colour] :
       {std::pair(&curves.training, kTraining), {&curves.validation, kValidation}}) {
    for (const auto& point : *points) {
      chart.course(std::span(&point, 1), colour, 2.0F);
    }
  }
}

void show(const fs::path& model, const fs::path& picture_path) {
  std::vector<Curves> all;
  if (fs::exists(model / "stage1")) {
    all.push_back(
        read_curves("stage 1 (window ranker): mean absolute error of masked entries", model / "stage1"));
  }
  all.push_back(read_curves("stage 2 (encoder): loss of the masked part", model));
  const int height = kHeader + static_cast<int>(all.size()) * (kPlotHeight + kPlotGap) - 30;
  Picture picture(kWidth, height, kGround);
  picture.text(kMargin, 18, fs::path(model / "").parent_path().filename().string(), kInk, 2);
  int x = kMargin;
  for (const auto& [words, colour] : {std::pair("training, each step", kStep),
                                      {"training, mean of an epoch", kTraining},
                                      {"validation participants", kValidation}}) {
    picture.fill(x, 49, 18, 3, colour);
    picture.text(x + 26, 47, words, kFaint, 1);
    x += 26 + Picture::text_width(words, 1) + 30;
  }
  for (size_t i = 0; i < all.size(); ++i) {
    draw(picture, all[i], kHeader + static_cast<int>(i) * (kPlotHeight + kPlotGap));
  }
  picture.write_png(picture_path);
}

}  // namespace
}  // namespace slim::toy

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: show_training MODEL_FOLDER PICTURE.png\n");
    return 64;
  }
  try {
    slim::toy::show(argv[1], argv[2]);
  } catch (const slim::Error& error) {
    std::fprintf(stderr, "show_training: error %s\n", error.what());
    return static_cast<int>(error.fault());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "show_training: %s\n", error.what());
    return 1;
  }
  std::printf("%s\n", argv[2]);
  return 0;
}
