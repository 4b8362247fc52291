// SPDX-License-Identifier: Apache-2.0
// From a file to a clip store: golden numbers, storage forms, threads.
#include "preproc/prepare_mni.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "clips/clip_store.h"
#include "core/atomic_file.h"
#include "core/half.h"
#include "preproc/lattice.h"
#include "tests/preproc/support.h"

namespace slim::preproc {
namespace {

namespace fs = std::filesystem;
using image::Affine;
using image::VoxelGrid;

void store(const fs::path& path, const PreparedRun& run) {
  clips::write_clip_store(path, {.n_frames = run.bold.frames,
                                 .bold = run.bold.halves(),
                                 .valid = run.bold.valid_bits(),
                                 .metadata = run.metadata});
}

MniInput elastix_input() {
  return {.bold = test::elastixref()->bold,
          .mask = test::elastixref()->mask,
          .metadata_tr_s = 2.0,
          .space = "MNI152NLin6Asym",
          .producer = "elastix"};
}

// ---- golden
// -----------------------------------------------------------------------------------------------------------

TEST(PrepareMni, GivesTheGoldenNumbersOfElastixref) {
  if (!test::elastixref().has_value()) {
    GTEST_SKIP() << "no test data";
  }
  PrepOptions options;
  const PreparedRun run = prepare_mni(elastix_input(), options);
  EXPECT_EQ(run.qc.n_valid, 235488);
  EXPECT_NEAR(run.qc.gates.coverage, 0.9283, 1e-4);
  EXPECT_EQ(run.bold.frames, 164);
  EXPECT_NEAR(run.bold.run->mean, 22659.0855, 22659.0855 * 1e-6);
  EXPECT_NEAR(run.bold.run->sd, 9052.9670, 9052.9670 * 1e-6);
  EXPECT_EQ(run.metadata.at("interpolation"), "none");
  EXPECT_EQ(run.metadata.at("time_interpolation"), "cubic-not-a-knot");
  EXPECT_EQ(run.metadata.at("n_frames"), "164");
  EXPECT_EQ(run.metadata.at("source_frames"), "60");
  EXPECT_TRUE(run.warnings.empty()) << run.warnings.front();

  options.time_grid.keep_between_s = {0.7, 3.0};
  const PreparedRun source = prepare_mni(elastix_input(), options);
  EXPECT_EQ(source.bold.frames, 60);
  EXPECT_NEAR(source.bold.run->mean, 22658.8443, 22658.8443 * 1e-6);
  EXPECT_NEAR(source.bold.run->sd, 9053.5201, 9053.5201 * 1e-6);
  EXPECT_EQ(source.metadata.at("time_interpolation"), "none");
}

TEST(PrepareMni, StoresWhatTheSafetensorsPackageReads) {
  if (!test::elastixref().has_value()) {
    GTEST_SKIP() << "no test data";
  }
  test::TempFolder folder;
  store(folder / "clips.safetensors", prepare_mni(elastix_input(), {}));
  const auto verdict = test::judge({"store", (folder / "clips.safetensors").string()});
  if (!verdict.has_value()) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  ASSERT_EQ(verdict->exit_code, 0) << verdict->err;
  EXPECT_LT(std::stod(verdict->out), 1e-5) << verdict->out;
  EXPECT_NE(verdict->out.find(" 164 4472 64 235488 235488"), std::string::npos) << verdict->out;
}

// ---- storage forms
// ------------------------------------------------------------------------------------------------------

constexpr int64_t kFrames = 8;

PrepOptions short_runs() {
  PrepOptions options;
  options.length = {.min_volumes = 5, .min_acquired = 5};
  return options;
}

/// An integer value of every brain voxel and frame, by its place in mm; 0 outside the packaged brain.
int16_t brain_value(const std::array<double, 3>& mm, int64_t t) {
  const Affine slim_from_scanner = image::inverse(image::slim_grid().scanner_from_voxel);
  const auto voxel = image::apply(slim_from_scanner, mm);
  std::array<int64_t, 3> at{};
  for (size_t a = 0; a < 3; ++a) {
    at[a] = std::llround(voxel[a]);
    if (at[a] < 0 || at[a] >= kSlimSize) {
      return 0;
    }
  }
  const auto index = static_cast<size_t>(at[0] + kSlimSize * (at[1] + kSlimSize * at[2]));
  if (packaged_brain_mask()[index] == 0) {
    return 0;
  }
  const double level = 9000.0 + 4000.0 * std::sin(mm[0] / 20.0) * std::cos(mm[1] / 25.0) + 20.0 * mm[2];
  return static_cast<int16_t>(
      std::lround(level + 200.0 * test::noise_at(index * 1000 + static_cast<uint64_t>(t))));
}

struct Form {
  std::string name;
  VoxelGrid grid = test::nlin6_grid();
  int version = 1;
  bool big_endian = false, compressed = false, as_float = false, with_extension = false;
  int sform_code = 4, qform_code = 0;
  std::array<double, 6> qform{};
  double qfac = 1.0;
};

/// The grid seen with axes in another order and direction: axis a of the result runs along axis order[a],
/// backwards when flip[a].
VoxelGrid reordered(const VoxelGrid& grid, std::array<size_t, 3> order, std::array<bool, 3> flip) {
  VoxelGrid out{};
  for (size_t r = 0; r < 3; ++r) {
    out.scanner_from_voxel[r][3] = grid.scanner_from_voxel[r][3];
  }
  for (size_t a = 0; a < 3; ++a) {
    out.size[a] = grid.size[order[a]];
    for (size_t r = 0; r < 3; ++r) {
      const double step = grid.scanner_from_voxel[r][order[a]];
      out.scanner_from_voxel[r][a] = flip[a] ? -step : step;
      out.scanner_from_voxel[r][3] += flip[a] ? step * static_cast<double>(out.size[a] - 1) : 0.0;
    }
  }
  return out;
}

/// The grid with `low` voxels more before and `high` more behind each axis (negative: cropped).
VoxelGrid padded(VoxelGrid grid, std::array<int64_t, 3> low, std::array<int64_t, 3> high) {
  const auto corner = image::apply(
      grid.scanner_from_voxel,
      {-static_cast<double>(low[0]), -static_cast<double>(low[1]), -static_cast<double>(low[2])});
  for (size_t a = 0; a < 3; ++a) {
    grid.size[a] += low[a] + high[a];
    grid.scanner_from_voxel[a][3] = corner[a];
  }
  return grid;
}

std::vector<Form> forms() {
  const VoxelGrid las = test::nlin6_grid();
  std::vector<Form> all{{.name = "LAS"},
                        {.name = "RAS", .grid = reordered(las, {0, 1, 2}, {true, false, false})},
                        {.name = "LPI", .grid = reordered(las, {0, 1, 2}, {false, true, true})},
                        {.name = "PIR", .grid = reordered(las, {1, 2, 0}, {true, true, true})},
                        {.name = "permuted", .grid = reordered(las, {2, 0, 1}, {false, true, false})},
                        {.name = "padded", .grid = padded(las, {5, 9, 0}, {0, 3, 12})},
                        {.name = "cropped", .grid = padded(las, {-8, -9, 0}, {-7, -8, -10})},
                        {.name = "compressed", .compressed = true},
                        {.name = "big-endian", .big_endian = true},
                        {.name = "NIfTI-2", .version = 2, .compressed = true},
                        {.name = "float32", .as_float = true},
                        {.name = "extension", .with_extension = true}};
  // LAS as a qform: half a turn about y and a flipped third axis.
  all.push_back({.name = "qform-only",
                 .sform_code = 0,
                 .qform_code = 4,
                 .qform = {0, 1, 0, 90, -126, -72},
                 .qfac = -1.0});
  all.push_back({.name = "RAS-qform-only",
                 .grid = all[1].grid,
                 .sform_code = 0,
                 .qform_code = 4,
                 .qform = {0, 0, 0, -90, -126, -72}});
  return all;
}

fs::path write_form(const fs::path& folder, const Form& form) {
  test::NiftiBytes image;
  image.version = form.version;
  image.big_endian = form.big_endian;
  image.dims = {form.grid.size[0], form.grid.size[1], form.grid.size[2], kFrames};
  image.pixdim = {form.qfac, 2, 2, 2, 0.72, 0, 0, 0};
  image.datatype = form.as_float ? 16 : 4;
  image.bitpix = form.as_float ? 32 : 16;
  image.sform_code = form.sform_code;
  image.qform_code = form.qform_code;
  image.qform = form.qform;
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 4; ++c) {
      image.sform[4 * r + c] = form.sform_code > 0 ? form.grid.scanner_from_voxel[r][c] : 0.0;
    }
  }
  if (form.with_extension) {
    image.extension.resize(64, std::byte{0});
    image.extension[0] = std::byte{64};  // its size
    image.extension[4] = std::byte{6};   // a comment
  }
  const std::vector<float> values =
      test::sampled(form.grid, kFrames, [](const auto& mm, int64_t t) { return brain_value(mm, t); });
  image.data = form.as_float
                   ? test::stored(values, form.big_endian)
                   : test::stored(std::vector<int16_t>(values.begin(), values.end()), form.big_endian);
  const fs::path path = folder / (form.name + (form.compressed ? ".nii.gz" : ".nii"));
  test::write_file(path, form.compressed ? test::gzip(image.file(), 1) : image.file());
  return path;
}

TEST(PrepareMni, GivesBitwiseTheSameStoreForEveryStorageForm) {
  test::TempFolder folder;
  std::string reference;
  for (const Form& form : forms()) {
    const PreparedRun run =
        prepare_mni({.bold = write_form(folder.path(), form), .space = "MNI152NLin6Asym", .producer = "test"},
                    short_runs());
    EXPECT_EQ(run.qc.n_valid, 235818) << form.name;
    EXPECT_EQ(run.qc.mask_source, "non-zero") << form.name;
    store(folder / "clips.safetensors", run);
    const std::string bytes = read_text(folder / "clips.safetensors");
    if (reference.empty()) {
      reference = bytes;
    }
    EXPECT_TRUE(bytes == reference) << form.name;
  }
}

TEST(PrepareMni, GivesTheSameBitsForAnyThreadCountAndEveryTime) {
  const tbb::global_control eight(tbb::global_control::max_allowed_parallelism, 8);
  test::TempFolder folder;
  VoxelGrid shifted = test::nlin6_grid();
  shifted.scanner_from_voxel[0][3] += 0.5;  // interpolated in space, resampled in time
  const fs::path path = folder / "bold.nii";
  image::write_nifti(path, shifted,
                     test::sampled(shifted, 20, [](const auto& mm, int64_t t) { return brain_value(mm, t); }),
                     {.repetition_time_s = 1.5});
  std::string reference;
  for (const int threads : {1, 2, 8, 2}) {
    tbb::task_arena arena(threads);
    const PreparedRun run = arena.execute(
        [&] { return prepare_mni({.bold = path, .space = "MNI152NLin2009cAsym"}, short_runs()); });
    EXPECT_EQ(run.metadata.at("interpolation"), "bspline3");
    EXPECT_GT(run.qc.clamped, 0);
    store(folder / "clips.safetensors", run);
    const std::string bytes = read_text(folder / "clips.safetensors");
    if (reference.empty()) {
      reference = bytes;
    }
    EXPECT_TRUE(bytes == reference) << threads;
  }
}

TEST(PrepareMni, TellsWhereTheFirstFrameLies) {
  test::TempFolder folder;
  const fs::path path = write_form(folder.path(), forms().front());
  const PreparedRun run = prepare_mni(
      {.bold = path, .tr_override_s = 0.75, .start_time_s = 0.1, .dummy_frames = 2, .space = "MNI"},
      short_runs());
  EXPECT_EQ(run.bold.frames, kFrames - 2);
  EXPECT_DOUBLE_EQ(run.bold.first_frame_s, 1.6);
  EXPECT_EQ(run.metadata.at("first_frame_s"), "1.6");
  EXPECT_EQ(run.metadata.at("dummy_frames"), "2");
  EXPECT_EQ(run.metadata.at("repetition_time_s"), "0.75");
  EXPECT_EQ(run.metadata.at("template_family"), "NLin6");
}

TEST(PrepareMni, MakesImagesOfTheRunOnTheGrid) {
  test::TempFolder folder;
  const fs::path path = write_form(folder.path(), forms().front());
  const PreparedRun run = prepare_mni({.bold = path, .space = "MNI152NLin6Asym"}, short_runs());
  const std::vector<uint8_t>& brain = packaged_brain_mask();
  EXPECT_EQ(run.mask, brain);
  for (size_t v = 0; v < brain.size(); v += 371) {
    if (brain[v] == 0) {
      EXPECT_EQ(run.mean[v], 0.0f);
      continue;
    }
    const std::array<double, 3> voxel{static_cast<double>(v % 96), static_cast<double>(v / 96 % 96),
                                      static_cast<double>(v / 9216)};
    const auto mm = image::apply(image::slim_grid().scanner_from_voxel, voxel);
    double sum = 0.0;
    for (int64_t t = 0; t < kFrames; ++t) {
      sum += brain_value(mm, t);
    }
    EXPECT_NEAR(run.mean[v], sum / kFrames, 0.01);
    EXPECT_GT(run.tsnr[v], 10.0f);
  }
  const nlohmann::json qc = to_json(run.qc);
  EXPECT_EQ(qc.at("frames_stored"), kFrames);
  EXPECT_EQ(qc.at("gates").at("coverage").at("verdict"), "pass");
  EXPECT_EQ(qc.at("suggested_exclude"), false);
}

TEST(PrepareMni, GivesNothingForATruncatedFile) {
  test::TempFolder folder;
  Form form = forms().front();
  form.compressed = true;
  const std::string whole = read_text(write_form(folder.path(), form));
  for (const double share : {0.1, 0.5, 0.9, 0.999, 0.999999}) {
    std::ofstream(folder / "cut.nii.gz", std::ios::binary)
        << whole.substr(0, static_cast<size_t>(share * static_cast<double>(whole.size())));
    EXPECT_EQ(test::code_of([&] {
                prepare_mni({.bold = folder / "cut.nii.gz", .space = "MNI152NLin6Asym"}, short_runs());
              }),
              "SB2006")
        << share;
  }
}

TEST(PrepareMni, EstimatesTheMemoryOfTheLargestStep) {
  image::NiftiHeader header;
  header.grid = test::nlin6_grid();
  header.frames = 1200;
  header.datatype = 16;
  const uint64_t kept = estimate_memory_bytes(header, 0.72, {});
  EXPECT_GT(kept, 1200ull * 286208 * 4);
  EXPECT_LT(kept, 2'000'000'000ull);
  EXPECT_GT(estimate_memory_bytes(header, 2.0, {}), kept + 3300ull * 286208 * 4);
}

}  // namespace
}  // namespace slim::preproc
