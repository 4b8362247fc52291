// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <charconv>
#include <cmath>

#include "clips/clip_store.h"
#include "core/atomic_file.h"
#include "core/half.h"
#include "examples/toy_brain.h"
#include "tests/support/run_program.h"

namespace slim {
namespace {

namespace fs = std::filesystem;

const std::string kRun = "sub-01_task-rest_space-MNI152NLin6Asym_res-slim_desc-";

test::ProgramResult quickstart(const fs::path& work) {
  return test::run_program(fs::path(SLIM_SOURCE_DIR) / "examples/quickstart.sh", {work.string()},
                           {.environment = {{"SLIM_BIN", SLIM_BINARY_DIR "/bin"}}});
}

/// The numbers of a text, separated by blanks; columns that are no number are left out.
std::vector<double> numbers_in(const std::string& text) {
  std::vector<double> numbers;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of("\t\n", at), text.size());
    double value = 0.0;
    if (std::from_chars(text.data() + at, text.data() + end, value).ptr == text.data() + end && end > at) {
      numbers.push_back(value);
    }
    at = end + 1;
  }
  return numbers;
}

/// Mean z of the first frame in a ball about a place in MNI space.
double mean_around(const clips::ClipStore& store, const std::array<double, 3>& centre_mm, double radius_mm) {
  std::vector<uint16_t> frame(static_cast<size_t>(store.frame_values()));
  store.read_frames(0, 1, frame);
  const std::vector<int32_t> place = packaged_token_set().voxel_indices();
  double sum = 0.0, count = 0.0;
  for (size_t v = 0; v < place.size(); ++v) {
    const std::array<double, 3> voxel{static_cast<double>(place[v] % kSlimSize),
                                      static_cast<double>(place[v] / kSlimSize % kSlimSize),
                                      static_cast<double>(place[v] / (kSlimSize * kSlimSize))};
    const std::array<double, 3> mm = image::apply(kSlimScannerFromVoxel, voxel);
    if (std::hypot(mm[0] - centre_mm[0], mm[1] - centre_mm[1], mm[2] - centre_mm[2]) < radius_mm) {
      sum += static_cast<double>(float_from_half(frame[v]));
      count += 1.0;
    }
  }
  return sum / count;
}

/// The value of a metric of a method among those that pre-training saw, in a table of metrics.
double metric(const std::string& table, const std::string& method, const std::string& metric_name) {
  for (size_t at = 0; at < table.size();) {
    const size_t end = std::min(table.find('\n', at), table.size());
    const std::string line = table.substr(at, end - at);
    if (line.starts_with(method + "\t") &&
        line.find("\tpretrained=true\t" + metric_name + "\t") != std::string::npos) {
      return numbers_in(line).at(0);
    }
    at = end + 1;
  }
  ADD_FAILURE() << "no " << metric_name << " of " << method;
  return 0.0;
}

/// Attribution maps of more patients, and of one with the comparison with random weights.
void explain_more_patients(const fs::path& work) {
  const auto explain = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{(work / "bids").string(),
                                   (work / "out").string(),
                                   "participant",
                                   "--stages",
                                   "saliency",
                                   "--model",
                                   "tinyGroup",
                                   "--participant-label"};
    words.insert(words.end(), more.begin(), more.end());
    const test::ProgramResult result = test::run_program(fs::path(SLIM_BINARY_DIR) / "bin/slimbrain", words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
  };
  explain({"10", "12", "14", "--saliency-steps", "12"});
  explain({"18", "--saliency-steps", "2", "--saliency-sanity"});
}

// The bars of the cohort: AUC of a probe at least 0.9, permuted labels at chance, maps whose mean over
// patients has three times as much mass in the planted region as its volume, and that move when weights are
// drawn anew. An untrained encoder tells this effect as well (README, Limits): that training helps is shown
// by tests/cli/pretraining_gain_test.cc.
TEST(Quickstart, FindsWhatIsPlantedShowsItAndKeepsItAllOnASecondRun) {
  const test::TempFolder folder;
  const fs::path work = folder / "work";
  const test::ProgramResult first = quickstart(work);
  ASSERT_EQ(first.exit_code, 0) << first.out << first.err;
  for (const char* picture : {"sub-01.png", "training.png", "saliency.png"}) {
    EXPECT_GT(fs::file_size(work / picture), 10000u) << picture;
  }
  const std::string metrics = read_text(work / "out/group_desc-group_metrics.tsv");
  EXPECT_GE(metric(metrics, "probe", "auc"), 0.9);
  EXPECT_EQ(metric(metrics, "majority", "auc"), 0.5);
  EXPECT_LT(metric(metrics, "permuted", "auc"), metric(metrics, "probe", "auc"));
  EXPECT_NE(first.err.find("within chance"), std::string::npos) << first.err;

  const fs::path func = work / "out/sub-01/func";
  const clips::ClipStore store = clips::ClipStore::open(func / (kRun + "slimprep_clips.safetensors"));
  std::array<double, 3> mirror = toy::kLandmarkMm;
  mirror[0] = -mirror[0];
  EXPECT_GT(mean_around(store, toy::kLandmarkMm, 4.0), mean_around(store, mirror, 4.0) + 1.0);

  const auto before = test::tree_hashes(work, {"out/logs"});
  const test::ProgramResult second = quickstart(work);
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(test::tree_hashes(work, {"out/logs"}), before);
  EXPECT_NE(second.out.find("there already"), std::string::npos);

  // The library alone gives the program's numbers: a run of 44 frames has one clip, its first 40.
  const test::ProgramResult alone = test::run_program(
      fs::path(SLIM_BINARY_DIR) / "bin/embed_one_run",
      {(func / (kRun + "slimprep_clips.safetensors")).string(), (work / "out/models/model-tiny").string()});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  const std::string table = read_text(func / (kRun + "tiny_embedding.tsv"));
  const std::vector<double> row = numbers_in(table.substr(table.find("\nrun\t") + 1)),
                            feature = numbers_in(alone.out);
  ASSERT_GT(feature.size(), 32u);
  ASSERT_EQ(row.size(), feature.size() + 3);  // onset, duration and n_frames come first
  for (size_t i = 0; i < feature.size(); ++i) {
    EXPECT_NEAR(row[i + 3], feature[i], 1e-5 * std::max(1.0, std::abs(feature[i]))) << "dimension " << i;
  }

  explain_more_patients(work);
  if (const auto python = test::judges_python()) {
    const test::ProgramResult verdict =
        test::run_program(*python, {(fs::path(SLIM_SOURCE_DIR) / "tests/examples/judge_cohort.py").string(),
                                    work.string(), SLIM_BINARY_DIR "/bin/slimbrain"});
    EXPECT_EQ(verdict.exit_code, 0) << verdict.out << verdict.err;
  }
}

}  // namespace
}  // namespace slim
