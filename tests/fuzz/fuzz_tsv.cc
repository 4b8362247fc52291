// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <string_view>

#include "bids/tsv.h"
#include "core/error.h"
#include "tests/fuzz/fuzz.h"

FuzzCorpus fuzz_corpus() {
  return {.seeds = {"participant_id\tage\tsex\nsub-01\t22\tF\nsub-02\tn/a\tM\n",
                    "\xef\xbb\xbfparticipant_id\tage\r\nsub-01\t22 \r\n\r\n",
                    "framewise_displacement\ttrans_x\nn/a\t0\n0.25\t-1e-3\n1.5E2\t+3\n", "onset\n"},
          .words = {"\t", "\n", "\r\n", "\r", "n/a", "\xef\xbb\xbf", "participant_id", "sub-01", "nan", "inf",
                    "1e400", "\xc3\xa9", "\xff", " \n", "\n\n"}};
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* unique : {"", "participant_id"}) {
    try {
      const slim::bids::Table table = slim::bids::parse_tsv(text, "fuzz.tsv", {.unique_column = unique});
      for (const auto& row : table.rows) {
        if (row.size() != table.columns.size()) {
          std::abort();
        }
        for (const std::string& cell : row) {
          slim::bids::to_number(cell);
        }
      }
      table.cell(0, "participant_id");
    } catch (const slim::Error&) {
      // A coded refusal is the right answer to most inputs.
    }
  }
  return 0;
}
