// SPDX-License-Identifier: Apache-2.0
#include "preproc/pack.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <cmath>
#include <fstream>
#include <numbers>

#include "core/atomic_file.h"
#include "preproc/lattice.h"
#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

using image::VoxelGrid;

constexpr double kLevel = 500.0;

/// Slow waves on a level: what cubic splines of 3 mm samples can follow, and nowhere below 0.
double smooth(const std::array<double, 3>& p, int64_t t) {
  return kLevel + 100.0 * std::sin(p[0] / 14.0 + 0.3) * std::cos(p[1] / 17.0) +
         60.0 * std::sin(p[2] / 15.0 + 0.1 * static_cast<double>(t));
}

std::array<double, 3> slim_mm(int32_t index) {
  const std::array<double, 3> voxel{static_cast<double>(index % 96), static_cast<double>(index / 96 % 96),
                                    static_cast<double>(index / 9216)};
  return image::apply(image::slim_grid().scanner_from_voxel, voxel);
}

Packed packed(const VoxelGrid& grid, std::vector<float> values, Vectors vectors = best_vectors()) {
  test::MemorySource source(grid, std::move(values));
  return pack(source, plan_pack(grid), 0, {}, vectors);
}

/// A grid of given spacing, turned about an axis, that covers the whole SLIM grid.
VoxelGrid turned_grid(double spacing, double degrees, const std::array<double, 3>& shift) {
  const double a = degrees * std::numbers::pi / 180.0, c = std::cos(a), s = std::sin(a);
  const int64_t n = static_cast<int64_t>(std::ceil(290.0 / spacing));
  VoxelGrid grid{
      .size = {n, n, n},
      .scanner_from_voxel = {
          {{spacing * c, -spacing * s, 0, 0}, {spacing * s, spacing * c, 0, 0}, {0, 0, spacing, 0}}}};
  const double middle = 0.5 * static_cast<double>(n - 1);
  const auto centre = image::apply(grid.scanner_from_voxel, {middle, middle, middle});
  const std::array<double, 3> wanted{-1.0 + shift[0], -19.0 + shift[1], 19.0 + shift[2]};
  for (size_t r = 0; r < 3; ++r) {
    grid.scanner_from_voxel[r][3] = wanted[r] - centre[r];
  }
  return grid;
}

TEST(Pack, InterpolatesShiftedObliqueAndCoarseLattices) {
  const std::vector<int32_t> at = packaged_token_set().voxel_indices();
  for (const VoxelGrid& grid :
       {turned_grid(2.0, 0.0, {0.7, -0.4, 1.1}), turned_grid(2.0, 12.0, {0.3, 0.2, 0.1}),
        turned_grid(3.0, 0.0, {0.0, 0.0, 0.0}), turned_grid(3.0, 25.0, {1.0, 0.5, -0.5})}) {
    const Packed run = packed(grid, test::sampled(grid, 2, smooth));
    EXPECT_TRUE(run.bold.interpolated);
    double error = 0.0, square = 0.0;
    for (size_t v = 0; v < at.size(); ++v) {
      ASSERT_EQ(run.bold.covered[v], 1);
      for (int64_t t = 0; t < 2; ++t) {
        const double truth = smooth(slim_mm(at[v]), t);
        error = std::max(error, std::abs(static_cast<double>(run.bold.frame(t)[v]) - truth));
        square += (truth - kLevel) * (truth - kLevel);
      }
    }
    const double sd = std::sqrt(square / static_cast<double>(2 * at.size()));
    EXPECT_LT(error, 1e-3 * sd) << grid.scanner_from_voxel[0][0];
  }
}

TEST(Pack, KeepsALeftLandmarkLeft) {
  const auto landmark = [](const std::array<double, 3>& p, int64_t) {
    return 1000.0 *
           std::exp(-(std::pow(p[0] + 40, 2) + std::pow(p[1] + 20, 2) + std::pow(p[2] - 20, 2)) / 200.0);
  };
  VoxelGrid ras = test::nlin6_grid();
  ras.scanner_from_voxel[0] = {2, 0, 0, -90};
  for (const VoxelGrid& grid : {test::nlin6_grid(), ras, turned_grid(3.0, 20.0, {0.0, 0.0, 0.0})}) {
    const Packed run = packed(grid, test::sampled(grid, 2, landmark));
    const auto row = run.bold.frame(0);
    const auto peak = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    const auto at = slim_mm(packaged_token_set().voxel_indices()[peak]);
    EXPECT_EQ(at, (std::array<double, 3>{-40, -20, 20}));
  }
}

TEST(Pack, GivesTheSameHeadForAllStorageOrders) {
  const auto data = test::data_folder();
  if (!data.has_value()) {
    GTEST_SKIP() << "no test data";
  }
  std::vector<float> reference;
  for (const char* order : {"RAS", "LAS", "AIL", "IPL", "LPI", "PIR", "SRA"}) {
    const auto folder = *data / "odd-nifti" / "orient";
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().filename().string().starts_with(order)) {
        found = entry.path();
      }
    }
    ASSERT_FALSE(found.empty()) << order;
    const auto source = image::open_frames(found);
    const Packed run = pack(*source, plan_pack(source->header().grid), 0);
    const auto row = run.bold.frame(0);
    if (reference.empty()) {
      reference.assign(row.begin(), row.end());
      continue;
    }
    double largest = 0.0;
    for (size_t v = 0; v < row.size(); ++v) {
      largest = std::max(largest, std::abs(static_cast<double>(row[v]) - static_cast<double>(reference[v])));
    }
    EXPECT_LT(largest, 1e-3) << order;  // of values up to 92
  }
}

TEST(Pack, CopiesWithoutArithmeticAndMarksWhatIsNotCovered) {
  VoxelGrid grid = test::nlin6_grid();
  grid.size[2] = 50;  // cut above z = 26
  std::vector<float> values(static_cast<size_t>(2 * grid.voxels()));
  for (size_t v = 0; v < values.size(); ++v) {
    values[v] = std::bit_cast<float>(static_cast<uint32_t>(0x3f000000 + v));
  }
  const Packed run = packed(grid, values);
  const auto table = gather_table(*same_lattice(grid), grid.size, packaged_token_set().voxel_indices());
  int64_t uncovered = 0;
  for (size_t v = 0; v < table.size(); ++v) {
    ASSERT_EQ(run.bold.covered[v], table[v] >= 0 ? 1 : 0);
    ASSERT_EQ(run.bold.frame(1)[v],
              table[v] >= 0 ? values[static_cast<size_t>(grid.voxels() + table[v])] : 0.0f);
    uncovered += table[v] < 0 ? 1 : 0;
  }
  EXPECT_GT(uncovered, 50000);
}

TEST(Pack, GivesTheSameBitsForAnyThreadCountAndInstructionSet) {
  const tbb::global_control eight(tbb::global_control::max_allowed_parallelism, 8);
  const VoxelGrid grid = turned_grid(3.0, 7.0, {0.4, 0.0, 0.0});
  const auto values = test::sampled(grid, 20, smooth);
  const Packed reference = packed(grid, values, Vectors::kPortable);
  for (const Vectors vectors : usable_vectors()) {
    for (const int threads : {1, 2, 8}) {
      tbb::task_arena arena(threads);
      const Packed run = arena.execute([&] { return packed(grid, values, vectors); });
      const auto ours = run.bold.values.floats(), theirs = reference.bold.values.floats();
      ASSERT_EQ(std::memcmp(ours.data(), theirs.data(), ours.size_bytes()), 0) << threads;
      EXPECT_EQ(run.bold.grid_sum, reference.bold.grid_sum);
      EXPECT_EQ(run.bold.clamped, reference.bold.clamped);
    }
  }
}

TEST(Pack, KeepsAValueThatIsNoNumberFromSpreadingOverLines) {
  const VoxelGrid grid = turned_grid(3.0, 0.0, {0.5, 0.5, 0.5});
  auto values = test::sampled(grid, 2, smooth);
  const Packed clean = packed(grid, values);
  const int64_t middle = grid.size[0] / 2;
  values[static_cast<size_t>(middle + grid.size[0] * (middle + grid.size[1] * middle))] = std::nanf("");
  const Packed run = packed(grid, values);
  EXPECT_EQ(run.nonfinite_frames, 1);
  const auto marked = std::count_if(run.bold.frame(0).begin(), run.bold.frame(0).end(),
                                    [](float v) { return std::isnan(v); });
  EXPECT_GT(marked, 0);
  EXPECT_LT(marked, 8 * 8 * 8);
  EXPECT_EQ(std::memcmp(run.bold.frame(1).data(), clean.bold.frame(1).data(), run.bold.frame(1).size_bytes()),
            0);
}

TEST(Pack, DropsDummiesFromTheFront) {
  const VoxelGrid grid = test::nlin6_grid();
  const auto values =
      test::sampled(grid, 5, [](const auto&, int64_t t) { return 10.0 + static_cast<double>(t); });
  test::MemorySource source(grid, values);
  const Packed run = pack(source, plan_pack(grid), 3);
  EXPECT_EQ(run.bold.frames, 2);
  EXPECT_EQ(run.bold.frame(0)[100], 13.0f);
  source.rewind();
  EXPECT_EQ(test::code_of([&] { pack(source, plan_pack(grid), 5); }), "SB2009");
}

TEST(Pack, ReportsFramesInOrderAndStopsWhenAsked) {
  const VoxelGrid grid = test::nlin6_grid();
  test::MemorySource source(grid, test::sampled(grid, 9, smooth));
  const PackPlan plan = plan_pack(grid);
  std::vector<int64_t> seen;
  pack(source, plan, 0, {.frames = [&](int64_t done, int64_t) { seen.push_back(done); }});
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
  source.rewind();
  std::atomic<bool> stop{false};
  const Progress stopping{.frames = [&](int64_t done, int64_t) { stop = done >= 3; }, .stop = &stop};
  EXPECT_EQ(test::code_of([&] { pack(source, plan, 0, stopping); }), "SB6001");
}

/// A small compressed run on a 4 mm lattice, its whole file.
std::string compressed_run(const std::filesystem::path& path) {
  const VoxelGrid grid{.size = {49, 58, 49},
                       .scanner_from_voxel = {{{-4, 0, 0, 96}, {0, 4, 0, -132}, {0, 0, 4, -78}}}};
  image::write_nifti(path, grid,
                     test::sampled(grid, 6,
                                   [](const auto& p, int64_t t) {
                                     return std::floor(smooth(p, t)) +
                                            std::floor(4.0 * test::noise_at(static_cast<uint64_t>(
                                                                 std::abs(p[0] * 1000 + p[1] * 77 + p[2]))));
                                   }),
                     {.repetition_time_s = 2.0});
  return read_text(path);
}

void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Pack, GivesNothingFromAFileCutAnywhere) {
  test::TempFolder folder;
  const std::string whole = compressed_run(folder / "whole.nii.gz");
  const auto source = image::open_frames(folder / "whole.nii.gz");
  const PackPlan plan = plan_pack(source->header().grid);
  ASSERT_EQ(pack(*source, plan, 0).bold.frames, 6);
  for (size_t cut = 0; cut < 200; ++cut) {
    const size_t length =
        cut < 100 ? whole.size() * cut / 100 : whole.size() - (cut - 99);  // also the last 100 bytes
    put(folder / "cut.nii.gz", whole.substr(0, length));
    const std::string code =
        test::code_of([&] { pack(*image::open_frames(folder / "cut.nii.gz"), plan, 0); });
    ASSERT_TRUE(code == "SB2006" || (length == 0 && code == "SB2010"))
        << length << " of " << whole.size() << ": " << code;
  }
}

TEST(Pack, GivesNothingFromADamagedStream) {
  test::TempFolder folder;
  const std::string whole = compressed_run(folder / "whole.nii.gz");
  const auto source = image::open_frames(folder / "whole.nii.gz");
  const PackPlan plan = plan_pack(source->header().grid);
  for (size_t place :
       {whole.size() / 3, whole.size() / 2, whole.size() - 6, whole.size() - 2}) {  // data, checksum, length
    std::string bad = whole;
    bad[place] = static_cast<char>(bad[place] ^ 0x10);
    put(folder / "bad.nii.gz", bad);
    EXPECT_EQ(test::code_of([&] { pack(*image::open_frames(folder / "bad.nii.gz"), plan, 0); }), "SB2006")
        << place;
  }
}

TEST(Pack, AcceptsMembersZeroPaddingAndWarnsOfOtherBytes) {
  test::TempFolder folder;
  const std::string whole = compressed_run(folder / "whole.nii.gz");
  const auto reference_source = image::open_frames(folder / "whole.nii.gz");
  const PackPlan plan = plan_pack(reference_source->header().grid);
  const Packed reference = pack(*reference_source, plan, 0);
  const VoxelGrid grid = reference_source->header().grid;
  image::write_nifti(folder / "plain.nii", grid, test::sampled(grid, 1, smooth), {});
  const auto same = [&](const std::string& name, size_t warnings) {
    const auto source = image::open_frames(folder / name);
    const Packed run = pack(*source, plan, 0);
    EXPECT_EQ(std::memcmp(run.bold.values.floats().data(), reference.bold.values.floats().data(),
                          reference.bold.values.size()),
              0)
        << name;
    EXPECT_EQ(run.warnings.size(), warnings) << name;
  };
  put(folder / "zeros.nii.gz", whole + std::string(1000, '\0'));
  same("zeros.nii.gz", 0);
  put(folder / "junk.nii.gz", whole + "junk");
  same("junk.nii.gz", 1);
  std::string plain;
  {
    const auto source = image::open_frames(folder / "whole.nii.gz");
    std::vector<std::byte> raw(source->frame_bytes());
    image::write_nifti(folder / "again.nii", grid,
                       [&] {
                         std::vector<float> values;
                         for (int t = 0; t < 6; ++t) {
                           source->next(raw);
                           const auto* frame = reinterpret_cast<const float*>(raw.data());
                           values.insert(values.end(), frame, frame + grid.voxels());
                         }
                         return values;
                       }(),
                       {.repetition_time_s = 2.0});
    plain = read_text(folder / "again.nii");
  }
  std::string members;
  for (size_t at = 0; at < plain.size(); at += 1000003) {  // as bgzip: pieces, then an empty member
    const test::Bytes member =
        test::gzip(std::as_bytes(std::span(plain).subspan(at, std::min<size_t>(1000003, plain.size() - at))));
    members.append(reinterpret_cast<const char*>(member.data()), member.size());
  }
  const test::Bytes empty = test::gzip({});
  members.append(reinterpret_cast<const char*>(empty.data()), empty.size());
  put(folder / "members.nii.gz", members);
  same("members.nii.gz", 0);
}

}  // namespace
}  // namespace slim::preproc
