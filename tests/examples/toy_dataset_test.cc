// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "examples/toy_run.h"
#include "image/nifti_io.h"
#include "tests/support/run_program.h"

namespace slim {
namespace {

namespace fs = std::filesystem;
using test::ProgramResult;
using test::TempFolder;

ProgramResult make_toy(const fs::path& out, std::vector<std::string> options) {
  options.insert(options.begin(), out.string());
  return test::run_program(fs::path(SLIM_BINARY_DIR) / "bin" / "make_toy_dataset", options);
}

/// A series in memory, [frames][z][y][x], and where its voxels lie.
struct Series {
  image::VoxelGrid grid;
  int64_t frames = 0;
  std::vector<float> values;
};

Series read_series(const fs::path& path) {
  const auto source = image::open_frames(path);
  Series series{source->header().grid, source->header().frames, {}};
  std::vector<std::byte> raw(source->frame_bytes());
  std::vector<float> frame(static_cast<size_t>(series.grid.voxels()));
  for (int64_t t = 0; t < series.frames; ++t) {
    source->next(raw);
    image::convert_voxels(source->header(), raw, frame);
    series.values.insert(series.values.end(), frame.begin(), frame.end());
  }
  source->finish();
  return series;
}

/// Largest difference between two series at the same places in the scanner; infinite when one lacks a place.
float largest_difference(const Series& a, const Series& b) {
  const image::Affine b_from_a =
      image::compose(image::inverse(b.grid.scanner_from_voxel), a.grid.scanner_from_voxel);
  float largest = a.frames == b.frames && a.grid.voxels() == b.grid.voxels() ? 0.0F : INFINITY;
  size_t at = 0;
  for (int64_t t = 0; t < a.frames && largest < INFINITY; ++t) {
    for (int64_t z = 0; z < a.grid.size[2]; ++z) {
      for (int64_t y = 0; y < a.grid.size[1]; ++y) {
        for (int64_t x = 0; x < a.grid.size[0]; ++x, ++at) {
          const auto p = image::apply(
              b_from_a, {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
          const int64_t u = std::lround(p[0]), v = std::lround(p[1]), w = std::lround(p[2]);
          if (u < 0 || v < 0 || w < 0 || u >= b.grid.size[0] || v >= b.grid.size[1] || w >= b.grid.size[2]) {
            return INFINITY;
          }
          const int64_t other = u + b.grid.size[0] * (v + b.grid.size[1] * (w + b.grid.size[2] * t));
          largest = std::max(largest, std::abs(a.values[at] - b.values[static_cast<size_t>(other)]));
        }
      }
    }
  }
  return largest;
}

const std::string kMniBold =
    "sub-01/func/sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz";

TEST(ToyDataset, ConvincesIndependentJudges) {
  const auto python = test::judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  const TempFolder folder;
  ASSERT_EQ(make_toy(folder / "toy", {"--subjects", "2", "--frames", "60"}).exit_code, 0);
  const ProgramResult judged = test::run_program(
      *python,
      {(fs::path(SLIM_SOURCE_DIR) / "tests/examples/judge_toy.py").string(), (folder / "toy").string()});
  ASSERT_EQ(judged.exit_code, 0) << judged.err;
  const nlohmann::json seen = nlohmann::json::parse(judged.out);
  EXPECT_EQ(seen["errors"], nlohmann::json::array());
  std::vector<double> response, planted;
  for (const nlohmann::json& person : seen["people"]) {
    EXPECT_EQ(person["axes"], "LAS");
    EXPECT_EQ(person["spacing"], nlohmann::json({2.0, 2.0, 2.0, 2.0}));
    EXPECT_GT(person["left_over_right"], 1.3);
    const nlohmann::json& gates = person["gates"];
    EXPECT_EQ(gates["constant"], 0);
    EXPECT_GT(gates["voxels"], 0.85 * 235818);
    EXPECT_GT(gates["mean_over_sd"], 40.0);
    EXPECT_LT(gates["mean_over_sd"], 120.0);
    EXPECT_GT(gates["spatial_variation"], 0.1);
    EXPECT_LT(gates["spatial_variation"], 0.41);
    EXPECT_GT(gates["roughness"], 0.3);  // not low-passed
    EXPECT_GT(person["course_correlation"], 0.97);
    response.push_back(person["response"]);
    planted.push_back(person["planted"]);
  }
  ASSERT_EQ(planted.size(), 2u);
  EXPECT_GT(planted[1] / planted[0], 1.2);  // a patient against a control
  EXPECT_NEAR(response[1] / response[0], 1.0, 0.1);
}

TEST(ToyDataset, KeepsTheLandmarkOnTheLeftForOthersInEveryStorageOrder) {
  const auto python = test::judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  const TempFolder folder;
  for (const std::string orientation : {"RAS", "PIR"}) {
    const fs::path toy = folder / orientation;
    ASSERT_EQ(
        make_toy(toy, {"--subjects", "1", "--sessions", "1", "--frames", "6", "--orientation", orientation})
            .exit_code,
        0);
    const ProgramResult judged = test::run_program(
        *python, {(fs::path(SLIM_SOURCE_DIR) / "tests/examples/judge_toy.py").string(), toy.string()});
    ASSERT_EQ(judged.exit_code, 0) << judged.err;
    const nlohmann::json seen = nlohmann::json::parse(judged.out);
    EXPECT_EQ(seen["errors"], nlohmann::json::array());
    EXPECT_EQ(seen["people"][0]["axes"], orientation);
    EXPECT_GT(seen["people"][0]["left_over_right"], 1.3);
  }
}

TEST(ToyDataset, PlantsTheEffectInOneNetworkAlone) {
  const Stream random(7, "test");
  const auto plain = toy::oscillate(random, 100, 2.0, 1.0), planted = toy::oscillate(random, 100, 2.0, 2.5);
  double power = 0.0;
  for (size_t t = 0; t < plain.size(); ++t) {
    EXPECT_EQ(planted[t].common, plain[t].common);
    for (size_t i = 0; i < toy::kNetworks.size(); ++i) {
      const double factor = i == toy::kPlantedNetwork ? 2.5 : 1.0;
      EXPECT_NEAR(planted[t].network[i], factor * plain[t].network[i], 1e-12);
    }
    power += std::abs(plain[t].network[toy::kPlantedNetwork]);
  }
  EXPECT_GT(power, 0.1);
}

TEST(ToyDataset, TakesSignalAwayInTheMarkedRegionOfPatientsAlone) {
  const TempFolder folder;
  std::vector<Series> whole, lost;
  for (const char* loss : {"0", "0.3"}) {
    const fs::path toy = folder / (std::string("toy") + loss);
    ASSERT_EQ(make_toy(toy, {"--subjects", "2", "--frames", "2", "--form", "mni", "--loss", loss}).exit_code,
              0);
    for (const char* label : {"01", "02"}) {
      const std::string person = std::string("sub-") + label;
      const std::string name = person + "/func/" + person + kMniBold.substr(kMniBold.find("_task"));
      (std::string(loss) == "0" ? whole : lost).push_back(read_series(toy / name));
    }
  }
  const Series region = read_series(folder / "toy0.3/sourcedata/truth/signal_loss.nii.gz");
  EXPECT_EQ(largest_difference(whole[0], lost[0]), 0.0F);  // a control
  double before = 0.0, after = 0.0, voxels = 0.0, largest_elsewhere = 0.0;
  const image::Affine& mm_from_voxel = region.grid.scanner_from_voxel;
  for (size_t at = 0; at < region.values.size(); ++at) {
    const auto x = static_cast<int64_t>(at) % region.grid.size[0],
               y = static_cast<int64_t>(at) / region.grid.size[0] % region.grid.size[1],
               z = static_cast<int64_t>(at) / (region.grid.size[0] * region.grid.size[1]);
    const auto mm =
        image::apply(mm_from_voxel, {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
    const double away = std::hypot(mm[0] - toy::kLossMm[0], mm[1] - toy::kLossMm[1], mm[2] - toy::kLossMm[2]);
    const auto old_value = static_cast<double>(whole[1].values[at]),
               value = static_cast<double>(lost[1].values[at]);
    if (away >= toy::kLossRadiusMm) {
      largest_elsewhere = std::max(largest_elsewhere, std::abs(old_value - value));
      EXPECT_EQ(region.values[at], 0.0F);
    } else if (region.values[at] != 0.0F && away < toy::kLossRadiusMm - 5.0) {
      before += old_value;
      after += value;
    }
    voxels += static_cast<double>(region.values[at]);
  }
  EXPECT_EQ(largest_elsewhere, 0.0);
  EXPECT_NEAR(after / before, 0.7, 0.01);
  EXPECT_GT(voxels, 3000.0);
  EXPECT_LT(voxels, 0.03 * 235818);
}

TEST(ToyDataset, GivesTheSameBytesForTheSameSeedOnAnyNumberOfThreads) {
  const TempFolder folder;
  const std::vector<std::string> small{"--subjects", "3", "--frames",       "4",
                                       "--voxel-mm", "4", "--raw-voxel-mm", "6"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), small.begin(), small.end());
    return more;
  };
  ASSERT_EQ(make_toy(folder / "a", with({"--threads", "1"})).exit_code, 0);
  ASSERT_EQ(make_toy(folder / "b", with({"--threads", "3"})).exit_code, 0);
  ASSERT_EQ(make_toy(folder / "c", with({"--seed", "2"})).exit_code, 0);
  const auto a = test::tree_hashes(folder / "a", {}), b = test::tree_hashes(folder / "b", {}),
             c = test::tree_hashes(folder / "c", {});
  EXPECT_EQ(a, b);
  EXPECT_GT(a.size(), 30u);
  for (const auto& [path, hash] : a) {
    if (path.ends_with("bold.nii.gz") || path.ends_with("T1w.nii.gz")) {
      EXPECT_NE(hash, c.at(path)) << path;
    }
  }
}

TEST(ToyDataset, HoldsTheSameImageInEveryOrientation) {
  const TempFolder folder;
  const std::vector<std::string> options{"--subjects", "1",   "--frames",     "2",
                                         "--form",     "mni", "--orientation"};
  std::vector<Series> series;
  for (const char* orientation : {"LAS", "RAS", "PIR"}) {
    std::vector<std::string> words = options;
    words.push_back(orientation);
    ASSERT_EQ(make_toy(folder / orientation, words).exit_code, 0);
    series.push_back(read_series(folder / orientation / kMniBold));
  }
  EXPECT_LT(series[0].grid.scanner_from_voxel[0][0], 0.0);
  EXPECT_GT(series[1].grid.scanner_from_voxel[0][0], 0.0);
  EXPECT_EQ(series[2].grid.size, (std::array<int64_t, 3>{109, 91, 91}));
  EXPECT_EQ(largest_difference(series[0], series[1]), 0.0F);
  EXPECT_EQ(largest_difference(series[0], series[2]), 0.0F);
}

TEST(ToyDataset, MarksSessionsAndUnsteadyFrames) {
  const TempFolder folder;
  ASSERT_EQ(make_toy(folder / "toy", {"--subjects", "1", "--sessions", "2", "--frames", "5", "--dummies", "2",
                                      "--voxel-mm", "4", "--form", "mni"})
                .exit_code,
            0);
  const fs::path func = folder / "toy/sub-01/ses-02/func";
  const std::string table = read_text(func / "sub-01_ses-02_task-rest_desc-confounds_timeseries.tsv");
  EXPECT_NE(table.find("\tnon_steady_state_outlier01\n"), std::string::npos);
  const Series series =
      read_series(func / "sub-01_ses-02_task-rest_space-MNI152NLin6Asym_res-4_desc-preproc_bold.nii.gz");
  const auto mean = [&](size_t frame) {
    const auto voxels = static_cast<size_t>(series.grid.voxels());
    double sum = 0.0;
    for (size_t at = frame * voxels; at < (frame + 1) * voxels; ++at) {
      sum += static_cast<double>(series.values[at]);
    }
    return sum;
  };
  EXPECT_GT(mean(0), 1.3 * mean(4));
  EXPECT_LT(mean(2), 1.05 * mean(4));
}

TEST(ToyDataset, LeavesAForeignFolderAloneAndKnowsItsOwn) {
  const TempFolder folder;
  fs::create_directories(folder / "full");
  write_text(folder / "full" / "thesis.txt", "irreplaceable");
  EXPECT_EQ(make_toy(folder / "full", {}).exit_code, 64);
  EXPECT_EQ(read_text(folder / "full" / "thesis.txt"), "irreplaceable");

  const std::vector<std::string> options{"--subjects", "1", "--frames", "2",
                                         "--voxel-mm", "6", "--form",   "mni"};
  ASSERT_EQ(make_toy(folder / "toy", options).exit_code, 0);
  const auto before = fs::last_write_time(folder / "toy" / kMniBold.substr(0, 11));
  const ProgramResult again = make_toy(folder / "toy", options);
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_NE(again.out.find("there already"), std::string::npos);
  EXPECT_EQ(fs::last_write_time(folder / "toy" / kMniBold.substr(0, 11)), before);
  EXPECT_EQ(make_toy(folder / "toy", {"--subjects", "2"}).exit_code, 64);
}

TEST(ToyDataset, RefusesImpossibleOptions) {
  const TempFolder folder;
  for (const std::vector<std::string>& options : {std::vector<std::string>{"--orientation", "LAX"},
                                                  {"--orientation", "LRS"},
                                                  {"--frames", "1"},
                                                  {"--form", "mnj"},
                                                  {"--noise", "-1"},
                                                  {"--task", "rest_1"},
                                                  {"--unknown"}}) {
    EXPECT_NE(make_toy(folder / "toy", options).exit_code, 0) << options.front();
    EXPECT_FALSE(fs::exists(folder / "toy")) << options.front();
  }
}

}  // namespace
}  // namespace slim
