// SPDX-License-Identifier: Apache-2.0
// Holds the encoder against the outputs of an independent implementation. Every encoder-*.safetensors of the
// reference folder is run as its metadata says.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <tuple>

#include "core/safetensors.h"
#include "generated.h"

namespace slim::model {
namespace {

using testing::relative_difference;
namespace fs = std::filesystem;

constexpr double kTolerance = 1e-4;

std::vector<int64_t> named_mask_units(const nlohmann::json& units) {
  static const std::map<std::string, std::pair<std::vector<int64_t>, std::vector<int64_t>>> kNamed{
      {"a", {{1, 2}, {0, 1, 3, 4, 5, 7, 9, 10, 12, 13, 14, 16, 17, 19, 20, 21, 22, 23, 25, 26}}},
      {"b", {{3, 4}, {0, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 15, 16, 18, 19, 20, 22, 24, 25, 26}}}};
  if (units.is_array()) {
    return units.get<std::vector<int64_t>>();
  }
  std::vector<int64_t> chosen;
  const auto& [blocks, locations] = kNamed.at(units.get<std::string>());
  for (const int64_t block : blocks) {
    for (const int64_t location : locations) {
      chosen.push_back(kLocations * block + location);
    }
  }
  return chosen;
}

at::Tensor read_tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorSpec* const spec = file.find(name);
  if (spec == nullptr) {
    throw std::runtime_error("the case lacks " + name);
  }
  const auto bytes = file.data(*spec);
  const at::ScalarType type = spec->dtype == DType::I32 ? at::kInt : at::kFloat;
  return at::from_blob(const_cast<std::byte*>(bytes.data()), spec->shape, type).clone();
}

/// Compares the watched rows with the sampled ones of the case.
void compare_rows(const SafetensorsFile& file, const std::string& name, const at::Tensor& rows,
                  const std::vector<RowCell>& cells) {
  SCOPED_TRACE(name);
  const at::Tensor at = read_tensor(file, name + ".at");
  EXPECT_EQ(read_tensor(file, name + ".count").item<int32_t>(), rows.size(0));
  std::vector<std::tuple<int, int, int, int, int64_t>> sorted;
  for (size_t i = 0; i < cells.size(); ++i) {
    sorted.emplace_back(cells[i].t, cells[i].d, cells[i].h, cells[i].w, static_cast<int64_t>(i));
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<at::Tensor> picked;
  const auto cell = at.accessor<int32_t, 2>();
  for (int64_t i = 0; i < at.size(0); ++i) {
    const auto found =
        std::lower_bound(sorted.begin(), sorted.end(),
                         std::make_tuple(cell[i][0], cell[i][1], cell[i][2], cell[i][3], int64_t{0}));
    ASSERT_TRUE(found != sorted.end() && std::get<0>(*found) == cell[i][0] &&
                std::get<1>(*found) == cell[i][1] && std::get<2>(*found) == cell[i][2] &&
                std::get<3>(*found) == cell[i][3])
        << "no row at sampled cell " << i;
    picked.push_back(rows[std::get<4>(*found)]);
  }
  EXPECT_LE(relative_difference(at::stack(picked), read_tensor(file, name + ".rows")), kTolerance);
}

enum class Path { Plain, Fast };

void run_case(const fs::path& path, Path how) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto about = nlohmann::json::parse(file.metadata().at("case"));
  const std::string prefix = about.at("prefix");
  const EncoderOptions options = encoder_preset(about.at("preset").get<std::string>());
  const HieraEncoder encoder = testing::generated_encoder(options, prefix);
  LayoutOptions layout_options{.background = background_from(about.at("mode").get<std::string>())};
  if (about.at("units") != "all") {
    layout_options.mask_units = {named_mask_units(about.at("units"))};
  }
  const TokenLayout layout(layout_options);
  at::Tensor clip = testing::generated_clip(prefix + "clip");
  if (about.at("input") == "brain") {
    clip = testing::only_brain(clip);
  }
  size_t compared = 0;
  const at::AutoGradMode mode(how == Path::Plain);
  for (auto& parameter : encoder->parameters()) {
    parameter.requires_grad_(false);  // the plain path without the memory of a tape
  }
  const EncoderOutput output = encoder->forward(
      clip, layout,
      {.watch = [&](const std::string& name, const at::Tensor& rows, const std::vector<RowCell>& cells) {
        compare_rows(file, name, rows, cells);
        ++compared;
      }});
  EXPECT_EQ(compared, static_cast<size_t>(options.blocks()) + 1);
  EXPECT_LE(relative_difference(output.pooled[0], read_tensor(file, "pooled")), kTolerance);
}

std::vector<fs::path> cases_of(const std::string& preset) {
  std::vector<fs::path> found;
  if (fs::is_directory(testing::reference_folder())) {
    for (const auto& entry : fs::directory_iterator(testing::reference_folder())) {
      const std::string name = entry.path().filename();
      if (name.starts_with("encoder-") && entry.path().extension() == ".safetensors") {
        const auto file = SafetensorsFile::open(entry.path());
        if (nlohmann::json::parse(file.metadata().at("case")).at("preset") == preset) {
          found.push_back(entry.path());
        }
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void run_cases(const std::string& preset, Path how) {
  const std::vector<fs::path> cases = cases_of(preset);
  if (cases.empty()) {
    GTEST_SKIP() << "no encoder cases of preset " << preset << " in " << testing::reference_folder();
  }
  for (const fs::path& path : cases) {
    SCOPED_TRACE(path.filename());
    run_case(path, how);
  }
}

TEST(Reference, TinyEqualsTheIndependentImplementation) { run_cases("tiny", Path::Fast); }
TEST(Reference, TinyPlainPathEqualsTheIndependentImplementation) { run_cases("tiny", Path::Plain); }
TEST(Reference, BaseEqualsTheIndependentImplementation) { run_cases("base", Path::Fast); }
TEST(Reference, BasePlainPathEqualsTheIndependentImplementation) { run_cases("base", Path::Plain); }

TEST(Reference, GeneratorFollowsTheRule) {
  const at::Tensor clip = testing::generated("clip", {4}, std::sqrt(3.0));
  EXPECT_EQ(clip[0].item<float>(), 0.9747495651245117F);
  EXPECT_EQ(clip[3].item<float>(), -0.2953733801841736F);
  EXPECT_EQ(testing::generated("blocks.0.attn.qkv.weight", {1}, std::sqrt(3.0 / 64)).item<float>(),
            0.10117688775062561F);
}

}  // namespace
}  // namespace slim::model
