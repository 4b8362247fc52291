// SPDX-License-Identifier: Apache-2.0
// The official validator on a dataset that DerivativeDataset made.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bids/derivative.h"
#include "core/atomic_file.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::bids {
namespace {

constexpr const char* kGrid = "sub-01_ses-a_task-rest_run-1_space-MNI152NLin6Asym_res-slim_";

// A 16^3 mask, written by nibabel: bids/ writes no images.
constexpr const char* kWriteMask =
    "import sys, numpy, nibabel\n"
    "image = nibabel.Nifti1Image(numpy.ones((16, 16, 16), numpy.uint8), numpy.diag([-2.0, 2, 2, 1]))\n"
    "image.set_sform(image.affine, 4); image.set_qform(image.affine, 4); image.header.set_xyzt_units('mm', "
    "'sec')\n"
    "nibabel.save(image, sys.argv[1])\n";

struct Verdict {
  int64_t errors = 0, warnings = 0;
  std::string text;
};

Verdict validate(const fs::path& validator, const fs::path& dataset) {
  const test::ProgramResult result = test::run_program(validator, {"--format", "json", dataset.string()});
  Verdict verdict{.text = result.out + result.err};
  const json report = json::parse(result.out);
  for (const json& issue : report.at("issues").at("issues")) {
    verdict.errors += issue.value("severity", "") == "error";
    verdict.warnings += issue.value("severity", "") == "warning";
  }
  return verdict;
}

json sidecar(const char* description) {
  return {{"Description", description},
          {"Sources",
           {"bids:prep:sub-01/ses-a/func/"
            "sub-01_ses-a_task-rest_run-1_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"}},
          {"SpatialReference", "https://templateflow.s3.amazonaws.com/tpl-MNI152NLin6Asym_res-02_T1w.nii.gz"},
          {"Resolution", "96 x 96 x 96 voxels of 2 mm"},
          {"Slimbrain", {{"Version", "0.1.0"}, {"ConfigurationHash", "9f2c51d0a7b3e846"}}}};
}

void make_dataset(const fs::path& root, const fs::path& python) {
  DatasetFacts facts;
  facts.program_version = "0.1.0";
  facts.configuration_hash = "9f2c51d0a7b3e846";
  facts.input_name = "a study";
  facts.license = "CC0";
  facts.authors = {"A. Author", "B. Author"};
  facts.input_producers = {R"({"Name": "fMRIPrep", "Version": "24.0.0"})"};
  facts.source_datasets = {R"({"URL": "https://example.org/raw"})"};
  facts.links = {{"raw", root.parent_path() / "raw"}, {"prep", root.parent_path() / "prep"}};
  facts.container = {.type = "docker", .tag = "0.1.0", .uri = "docker://example.org/slimbrain"};
  const DerivativeDataset dataset = DerivativeDataset::open(root, facts);
  json mask = sidecar("Voxels that carry signal");
  mask["Type"] = "Brain";
  const DataWriter write_mask = [&](const fs::path& path) {
    ASSERT_EQ(test::run_program(python, {"-c", kWriteMask, path.string()}).exit_code, 0);
  };
  const DataWriter write_bytes = [](const fs::path& path) { write_text(path, "bytes"); };
  json store = sidecar("BOLD on the SLIM grid");
  store["SkullStripped"] = true;
  const auto name = [](const char* rest) { return BidsName::parse(std::string(kGrid) + rest).value(); };
  dataset.commit_unit({{name("desc-brain_mask.nii.gz"), mask, write_mask},
                       {name("desc-slimprep_clips.safetensors"), store, write_bytes}});
  dataset.commit(name("desc-tiny_embedding.tsv"), sidecar("Embeddings"),
                 [](const fs::path& path) { write_text(path, "level\tdim_0000\nrun\t1\n"); });
  for (const char* path : {"logs/slimbrain-1.json", "models/model-tiny/weights.safetensors",
                           ".slimbrain/locks/x/owner", "sub-01/ses-a/func/.partial-1-x.nii.gz"}) {
    create_folder((root / path).parent_path());
    write_text(root / path, "{}");
  }
}

TEST(Validator, FindsNothingInOurOutputs) {
  const auto python = test::judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  const fs::path validator = python->parent_path() / "bids-validator-deno";
  ASSERT_TRUE(fs::exists(validator)) << "the judges' environment lacks bids-validator-deno";
  const test::TempFolder folder;
  make_dataset(folder / "out", *python);
  const Verdict clean = validate(validator, folder / "out");
  EXPECT_EQ(clean.errors, 0) << clean.text;
  EXPECT_EQ(clean.warnings, 0) << clean.text;

  fs::remove(folder / "out/.bidsignore");
  EXPECT_GT(validate(validator, folder / "out").errors, 0) << "the judge does not bite";
}

}  // namespace
}  // namespace slim::bids
