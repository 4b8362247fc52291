// SPDX-License-Identifier: Apache-2.0
// Real odd files: the facts of the data's table, and every voxel against nibabel.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "core/error.h"
#include "tests/image/judge.h"
#include "tests/image/read_all.h"

namespace fs = std::filesystem;

namespace slim::test {
namespace {

using image::Affine;
using image::VoxelGrid;

/// For each stored axis the world axis that it follows most closely, and whether it runs along it.
struct AxisOrder {
  std::array<size_t, 3> world{};
  std::array<bool, 3> positive{};
};
AxisOrder axis_order(const Affine& a) {
  AxisOrder order;
  for (size_t axis = 0; axis < 3; ++axis) {
    for (size_t row = 1; row < 3; ++row) {
      if (std::abs(a[row][axis]) > std::abs(a[order.world[axis]][axis])) {
        order.world[axis] = row;
      }
    }
    order.positive[axis] = a[order.world[axis]][axis] > 0;
  }
  return order;
}
std::string axis_letters(const Affine& a) {
  const AxisOrder order = axis_order(a);
  std::string letters;
  for (size_t axis = 0; axis < 3; ++axis) {
    letters += "LRPAIS"[2 * order.world[axis] + (order.positive[axis] ? 1 : 0)];
  }
  return letters;
}

struct OddFile {
  const char* name;
  std::vector<int64_t> dims;
  std::array<double, 3> spacing_mm;
  int datatype;
  const char* axes;  // empty without orientation
  std::optional<double> repetition_time_s;
  uint64_t data_offset;
  bool swapped;
  double smallest, largest;
  size_t warnings;
};

// clang-format off
const std::vector<OddFile> kOddFiles{
    {"3d-epi-oblique_someones_epi.nii.gz", {53, 61, 33}, {3, 3, 3}, 2, "RAS", {}, 352, false, 7.743, 103.767, 0},
    {"3vols.nii.gz", {64, 64, 34, 3}, {3.25, 3.25, 3.6}, 16, "LAS", 2.0, 352, false, 0, 1743, 0},
    {"5d_small.nii", {1, 2, 3, 1, 3}, {1, 1, 1}, 2, "PSR", {}, 352, false, 0.0769, 0.7802, 0},
    {"5d_zeros.nii.gz", {256, 256, 170, 1, 3}, {1, 1, 1}, 2, "PSR", {}, 352, false, 0, 0, 0},
    {"bigendian_anatomical.nii", {33, 41, 25}, {2, 2, 2}, 4, "LAS", {}, 352, true, -610, 30393, 0},
    {"interleaved-6vol-nonsteady_ep2d_Int.nii", {64, 64, 36, 6}, {3.203, 3.203, 3.6}, 4, "LAS", 3.2, 352, false, 0, 1878, 0},
    {"nifti2-3d_avg152T1_LR.nii.gz", {91, 109, 91}, {2, 2, 2}, 16, "LAS", {}, 544, false, 0, 255, 0},
    {"nifti2_example.nii.gz", {32, 20, 12, 2}, {2, 2, 2.2}, 4, "LAS", 2.0, 608, false, 46, 757, 1},
    {"oblique-ext-TRms_example4d.nii.gz", {128, 96, 24, 2}, {2, 2, 2.2}, 4, "LAS", 2.0, 416, false, 0, 1162, 1},
    {"noqform-nosform-unitpix_filtered_func_data.nii.gz", {64, 64, 21, 64}, {1, 1, 1}, 4, "", 1.0, 1296, false, 0, 20968, 0},
    {"sclslope-sclinter_functional.nii", {17, 21, 3, 20}, {4, 4, 8}, 4, "LAS", 2.0, 352, false, 629.83, 5571.62, 0},
    {"uint16-2vol_Siemens_Rest_fMRI_AP_7.nii", {86, 86, 51, 2}, {2.5, 2.5, 2.5}, 512, "LAS", 1.3, 352, false, 0, 31305, 0},
    {"with_extension.nii.gz", {161, 191, 151, 1}, {1, 1, 1}, 2, "LPI", {}, 736, true, 0, 1, 0},
    {"motion/test_motion_correction.nii.gz", {64, 64, 34, 5}, {3.75, 3.75, 3.5}, 16, "LPS", {}, 1024, false, -90.736, 3052.31, 0},
    {"motion/motioncorrection_result.nii.gz", {64, 64, 34, 5}, {3.75, 3.75, 3.5}, 16, "LPS", {}, 352, false, -96.295, 3152.87, 0},
};
// clang-format on

class OddFiles : public testing::Test {
 protected:
  void SetUp() override {
    const std::optional<fs::path> data = data_folder();
    if (!data || !fs::exists(*data / "odd-nifti")) {
      GTEST_SKIP() << "no odd-nifti below SLIM_DATA_DIR";
    }
    folder_ = *data / "odd-nifti";
  }
  fs::path folder_;
};

TEST_F(OddFiles, GiveTheFactsOfTheirTable) {
  for (const OddFile& odd : kOddFiles) {
    SCOPED_TRACE(odd.name);
    const WholeFile whole = read_all(folder_ / odd.name);
    const image::NiftiHeader& header = whole.header;
    EXPECT_EQ(header.dims, odd.dims);
    const std::array<double, 3> spacing = image::spacing_mm(header.grid);
    for (size_t axis = 0; axis < 3; ++axis) {
      EXPECT_NEAR(spacing[axis], odd.spacing_mm[axis], 1e-3);
    }
    EXPECT_EQ(header.datatype, odd.datatype);
    EXPECT_EQ(header.has_orientation, odd.axes[0] != '\0');
    if (header.has_orientation) {
      EXPECT_EQ(axis_letters(header.grid.scanner_from_voxel), odd.axes);
    }
    EXPECT_EQ(header.repetition_time_s, odd.repetition_time_s);
    EXPECT_EQ(header.data_offset, odd.data_offset);
    EXPECT_EQ(header.swapped, odd.swapped);
    EXPECT_EQ(header.warnings.size(), odd.warnings);
    EXPECT_EQ(header.is_four_d, odd.dims.size() == 4 && odd.dims[3] > 1);
    const auto [smallest, largest] = std::minmax_element(whole.values.begin(), whole.values.end());
    EXPECT_NEAR(*smallest, odd.smallest, 5e-3);
    EXPECT_NEAR(*largest, odd.largest, 5e-3);
    EXPECT_TRUE(whole.warnings.empty());
  }
}

TEST_F(OddFiles, HoldTheVoxelsThatNibabelReads) {
  const std::optional<fs::path> python = judges_python();
  if (!python) {
    GTEST_SKIP() << "no judges: set SLIM_JUDGES";
  }
  NibabelJudge judge;
  size_t count = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name.find(".nii") != std::string::npos && name != "not-nifti.nii") {
      const WholeFile whole = read_all(entry.path());
      judge.add(entry.path(), whole.header, whole.values);
      ++count;
    }
  }
  EXPECT_EQ(count, kOddFiles.size() + 7);
  const ProgramResult verdict = judge.verdict(*python);
  EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
}

TEST_F(OddFiles, OneHeadInSevenStorageOrdersIsOneImage) {
  std::vector<float> first;
  VoxelGrid first_grid;
  for (const char* order : {"RAS", "AIL", "IPL", "LAS", "LPI", "PIR", "SRA"}) {
    SCOPED_TRACE(order);
    const image::Volume volume = image::read_volume(folder_ / "orient" / (std::string(order) + ".nii.gz"));
    const AxisOrder axes = axis_order(volume.grid.scanner_from_voxel);
    EXPECT_EQ(axis_letters(volume.grid.scanner_from_voxel), order);
    EXPECT_EQ(image::determinant(volume.grid.scanner_from_voxel) < 0,
              (std::string(order) == "LAS" || std::string(order) == "LPI"));
    // stored_from_ras as a signed permutation; the affine says which.
    VoxelGrid grid;
    Affine stored_from_ras{};
    for (size_t axis = 0; axis < 3; ++axis) {
      grid.size[axes.world[axis]] = volume.grid.size[axis];
      stored_from_ras[axis][axes.world[axis]] = axes.positive[axis] ? 1 : -1;
      stored_from_ras[axis][3] = axes.positive[axis] ? 0 : static_cast<double>(volume.grid.size[axis] - 1);
    }
    grid.scanner_from_voxel = image::compose(volume.grid.scanner_from_voxel, stored_from_ras);
    std::vector<float> values;
    values.reserve(volume.values.size());
    for (int64_t z = 0; z < grid.size[2]; ++z) {
      for (int64_t y = 0; y < grid.size[1]; ++y) {
        for (int64_t x = 0; x < grid.size[0]; ++x) {
          const auto at = image::apply(
              stored_from_ras, {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
          const auto i = static_cast<int64_t>(at[0]), j = static_cast<int64_t>(at[1]),
                     k = static_cast<int64_t>(at[2]);
          values.push_back(
              volume.values[static_cast<size_t>((k * volume.grid.size[1] + j) * volume.grid.size[0] + i)]);
        }
      }
    }
    if (first.empty()) {
      first = values;
      first_grid = grid;
    }
    EXPECT_EQ(grid.size, first_grid.size);
    EXPECT_LT(image::corner_distance_mm(grid.size, grid.scanner_from_voxel, first_grid.scanner_from_voxel),
              1e-4);
    EXPECT_TRUE(values == first);
  }
}

TEST_F(OddFiles, WithoutOrientationOrWithMoreThanOneVolumeAreNoVolume) {
  const auto code = [&](const char* name) {
    try {
      image::read_volume(folder_ / name);
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::BadData);
      return std::string(error.code());
    }
    return std::string("none");
  };
  EXPECT_EQ(code("not-nifti.nii"), "SB2010");
  EXPECT_EQ(code("analyze/avg152T1.hdr.gz"), "SB2010");
  EXPECT_EQ(code("analyze/avg152T1.img.gz"), "SB2010");
  EXPECT_EQ(code("5d_small.nii"), "SB2012");
  EXPECT_EQ(code("3vols.nii.gz"), "SB2012");
  EXPECT_EQ(code("with_extension.nii.gz"), "none");
}

}  // namespace
}  // namespace slim::test
