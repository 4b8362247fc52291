// SPDX-License-Identifier: Apache-2.0
// The main job on real scans, clear refusals of what cannot be used, and the odd files.
#include <gtest/gtest.h>

#include <fstream>

#include "clips/clip_store.h"
#include "core/atomic_file.h"
#include "tests/cli/toy.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

#define NEED_DATA()                \
  const auto data = data_folder(); \
  if (!data) GTEST_SKIP() << "the folder of real scans (SLIM_DATA_DIR) is absent"

TEST(RealData, StudyforrestGivesEmbeddingsFromItsElastixDerivative) {
  NEED_DATA();
  const TempFolder folder;
  const ProgramResult result = slimbrain(
      {*data / "studyforrest", folder / "out", "participant", "-d",
       "elastixref=" + (*data / "studyforrest/derivatives/elastixref").string(), "--model", toy_model()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string stem = "sub-02/func/sub-02_task-oneback_run-1_space-MNI152NLin6Asym_res-slim_desc-";
  const clips::ClipStore store =
      clips::ClipStore::open(folder / ("out/" + stem + "slimprep_clips.safetensors"));
  EXPECT_EQ(store.n_frames(), 164);
  EXPECT_EQ(store.get("n_valid"), "235488");
  EXPECT_EQ(store.get("interpolation"), "none");
  EXPECT_EQ(store.get("source_repetition_time_s"), "2");
  EXPECT_NEAR(std::stod(store.get("run_mean")), 22659.0855, 1e-6 * 22659);
  EXPECT_NEAR(std::stod(store.get("run_sd")), 9052.9670, 1e-6 * 9053);
  EXPECT_TRUE(fs::exists(folder / ("out/" + stem + "tiny_embedding.tsv"))) << result.err;
  if (const auto python = judges_python()) {
    const ProgramResult verdict = run_program(
        *python,
        {(fs::path(SLIM_SOURCE_DIR) / "tests/cli/judge_outputs.py").string(), (folder / "out").string()});
    EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
  }
}

TEST(RealData, RawDatasetsWithoutAUsableDerivativeAreRefusedByName) {
  NEED_DATA();
  const TempFolder folder;
  for (const char* name : {"pumi-minitest", "ds005-trunc"}) {
    const ProgramResult result = slimbrain({*data / name, folder / "out", "participant", "--stages", "prep"});
    EXPECT_EQ(result.exit_code, 66) << name << result.err;
    EXPECT_NE(result.err.find("SB2103"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(name), std::string::npos) << "says what was searched\n" << result.err;
    EXPECT_NE(result.err.find("MNI152NLin6Asym"), std::string::npos) << "says what is needed\n" << result.err;
    EXPECT_FALSE(fs::exists(folder / "out"));
  }
  const ProgramResult named =
      slimbrain({*data / "ds005-trunc", folder / "out", "participant", "--stages", "prep", "-d",
                 "fmriprep=" + (*data / "ds005-trunc/derivatives/fmriprep").string()});
  EXPECT_TRUE(named.exit_code == 65 || named.exit_code == 66) << named.exit_code << named.err;
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(RealData, AnatomyAloneIsAnEmptySelection) {
  NEED_DATA();
  const TempFolder folder;
  const ProgramResult result =
      slimbrain({*data / "ds002748-anat", folder / "out", "participant", "--stages", "prep"});
  EXPECT_EQ(result.exit_code, 66) << result.err;
  EXPECT_NE(result.err.find("SB3002"), std::string::npos) << result.err;
}

struct Odd {
  const char* file;
  const char* code;
  const char* flag = "";
};

/// A derivative dataset whose only run is one odd file.
fs::path dataset_with(const TempFolder& folder, const fs::path& image) {
  const fs::path root = folder / "odd";
  fs::create_directories(root / "sub-01/func");
  std::ofstream(root / "dataset_description.json")
      << R"({"Name": "odd", "BIDSVersion": "1.9.0", "DatasetType": "derivative", "GeneratedBy": [{"Name": "odd"}]})";
  const std::string extension = image.extension() == ".gz" ? ".nii.gz" : ".nii";
  fs::copy_file(
      image, root / ("sub-01/func/sub-01_task-x_space-MNI152NLin6Asym_res-2_desc-preproc_bold" + extension));
  return root;
}

TEST(RealData, OddFilesGetTheirSentence) {
  NEED_DATA();
  const std::vector<Odd> odd{
      {"3d-epi-oblique_someones_epi.nii.gz", "SB2012"},
      {"3vols.nii.gz", "SB2009"},
      {"5d_small.nii", "SB2012"},
      {"5d_zeros.nii.gz", "SB2012"},
      {"bigendian_anatomical.nii", "SB2012"},
      {"interleaved-6vol-nonsteady_ep2d_Int.nii", "SB2009"},
      {"nifti2-3d_avg152T1_LR.nii.gz", "SB2012"},
      {"nifti2_example.nii.gz", "SB2009"},
      {"oblique-ext-TRms_example4d.nii.gz", "SB2009"},
      {"noqform-nosform-unitpix_filtered_func_data.nii.gz", "SB2013"},
      {"noqform-nosform-unitpix_filtered_func_data.nii.gz", "SB2013", "--repetition-time=2"},
      {"not-nifti.nii", "SB2010"},
      {"sclslope-sclinter_functional.nii", "SB2016"},
      {"uint16-2vol_Siemens_Rest_fMRI_AP_7.nii", "SB2009"},
      {"with_extension.nii.gz", "SB2012"},
      {"analyze/avg152T1.hdr.gz", "SB2010"},
      {"analyze/avg152T1.img.gz", "SB2010"},
      {"orient/RAS.nii.gz", "SB2012"},
      {"orient/LAS.nii.gz", "SB2012"},
      {"orient/PIR.nii.gz", "SB2012"},
      {"motion/test_motion_correction.nii.gz", "SB2014"},
      {"motion/test_motion_correction.nii.gz", "SB2009", "--repetition-time=2"}};
  for (const Odd& entry : odd) {
    const TempFolder folder;
    const fs::path root = dataset_with(folder, *data / "odd-nifti" / entry.file);
    std::vector<std::string> words{root, folder / "out", "participant", "--stages", "prep"};
    if (*entry.flag != 0) {
      words.push_back(entry.flag);
    }
    const ProgramResult result = slimbrain(words);
    EXPECT_EQ(result.exit_code, 65) << entry.file << "\n" << result.err;
    EXPECT_NE(result.err.find(entry.code), std::string::npos) << entry.file << "\n" << result.err;
    for (const auto& [path, hash] : tree_hashes(folder.path(), {"odd/"})) {
      EXPECT_EQ(path.find("_clips"), std::string::npos) << entry.file << " left " << path;
    }
  }
}

TEST(RealData, ATruncatedImageNeverYieldsAnOutput) {
  NEED_DATA();
  const fs::path image = *data /
                         "studyforrest/derivatives/elastixref/sub-02/func/"
                         "sub-02_task-oneback_run-1_space-MNI152NLin6Asym_res-02_desc-preproc_bold.nii.gz";
  const auto size = fs::file_size(image);
  for (const uintmax_t keep :
       {size - 1, size - 8, size - 9, size / 2, size / 50, uintmax_t{400}, uintmax_t{20}, uintmax_t{0}}) {
    const TempFolder folder;
    const fs::path root = dataset_with(folder, image);
    fs::path copy;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (entry.path().extension() == ".gz") copy = entry.path();
    }
    std::ofstream(
        fs::path(copy).replace_filename("sub-01_task-x_space-MNI152NLin6Asym_res-2_desc-preproc_bold.json"))
        << R"({"RepetitionTime": 2.0})";
    fs::permissions(copy, fs::perms::owner_write, fs::perm_options::add);
    fs::resize_file(copy, keep);
    const ProgramResult result = slimbrain({root, folder / "out", "participant", "--stages", "prep"});
    EXPECT_EQ(result.exit_code, 65) << keep << result.err;
    for (const auto& [path, hash] : tree_hashes(folder / "out", {"logs/", ".slimbrain/"})) {
      EXPECT_FALSE(path.starts_with("sub-01")) << path << " after " << keep << " bytes";
    }
  }
}

}  // namespace
}  // namespace slim::test
