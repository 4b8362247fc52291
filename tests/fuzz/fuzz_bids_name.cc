// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "bids/bids_name.h"
#include "bids/filter.h"
#include "core/error.h"
#include "tests/fuzz/fuzz.h"

FuzzCorpus fuzz_corpus() {
  return {.seeds = {"sub-01_ses-a_task-rest_acq-mb_dir-AP_run-01_echo-2_part-mag_bold.nii.gz",
                    "sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz",
                    "group_desc-base_embedding.tsv", "sub-X_from-boldref_to-T1w_mode-image_xfm.h5",
                    "sub-01.html", "dataset_description.json", "run=1"},
          .words = {"sub-", "_ses-", "_run-", "_run-007", "_bold", ".nii.gz", ".json", "-", "_", ".", "+",
                    "=", "_foo-bar", "_sub-01", "\xff"}};
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // No file system has longer names than 255 bytes; comparing all pairs of thousands of entities would only
  // take time.
  const std::string_view text(reinterpret_cast<const char*>(data), std::min<size_t>(size, 1024));
  if (const auto name = slim::bids::BidsName::parse(text)) {
    name->is_canonical();
    name->raw();
    for (const auto& [key, value] : name->entities) {
      if (name->get(key) == nullptr || !slim::bids::same_label(key, value, value)) {
        std::abort();
      }
    }
    try {
      const std::string built = name->build();
      const auto again = slim::bids::BidsName::parse(built);
      if (!again || again->build() != built || (name->is_canonical() && built != text)) {
        std::abort();
      }
    } catch (const slim::Error&) {
      // Names that were accepted on reading need not be ones that may be written.
    }
  }
  try {
    slim::bids::parse_filter(text);
  } catch (const slim::Error&) {
  }
  return 0;
}
