// SPDX-License-Identifier: Apache-2.0
#include "pipelines/windows_table.h"

#include <algorithm>
#include <optional>

#include "bids/tsv.h"
#include "core/error.h"
#include "pipelines/clip_rows.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// 1 for the window with the highest score; empty without scores.
std::vector<int64_t> ranks_of(const clips::RankedPiece& piece) {
  const std::vector<int64_t> order = clips::ranked_order(piece.scores);
  std::vector<int64_t> ranks(order.size());
  for (size_t place = 0; place < order.size(); ++place) {
    ranks[static_cast<size_t>(order[place])] = static_cast<int64_t>(place) + 1;
  }
  return ranks;
}

}  // namespace

std::string windows_table(const std::vector<clips::RankedPiece>& pieces, const clips::ClipStore& store) {
  const double tr = store.repetition_time_s(), start = std::stod(store.get("first_frame_s"));
  std::string text = "onset\tduration\tframe_start\tframe_stop\tscore\trank\tselected\tclip\n";
  for (size_t clip = 0; clip < pieces.size(); ++clip) {
    const clips::RankedPiece& piece = pieces[clip];
    const std::vector<int64_t> ranks = ranks_of(piece);
    for (size_t i = 0; i < piece.windows.size(); ++i) {
      const clips::Window& window = piece.windows[i];
      const bool selected =
          std::binary_search(piece.selected.begin(), piece.selected.end(), static_cast<int64_t>(i));
      text += number_cell(start + static_cast<double>(window.first) * tr) + "\t" +
              number_cell(static_cast<double>(window.last - window.first) * tr) + "\t" +
              std::to_string(window.first) + "\t" + std::to_string(window.last) + "\t" +
              (ranks.empty() ? "n/a\tn/a" : number_cell(piece.scores[i]) + "\t" + std::to_string(ranks[i])) +
              "\t" + (selected ? "true\t" + std::to_string(clip) : "false\tn/a") + "\n";
    }
  }
  return text;
}

std::vector<clips::ClipFrames> clips_of_table(const fs::path& path) {
  const bids::Table table = bids::read_tsv(path);
  const auto fail = [&](const std::string& what) {
    throw Error(message::kBadTable, "The table of windows " + what + ".",
                {.file = path.string(), .remedy = "remove it, or run with --force"});
  };
  const auto frame = [&](size_t row, const char* column) {
    const std::string* cell = table.cell(row, column);
    const std::optional<double> value = cell == nullptr ? std::nullopt : bids::to_number(*cell);
    if (!value || *value < 0.0 || *value > 1e9 ||
        *value != static_cast<double>(static_cast<int64_t>(*value))) {
      fail("has no whole number under " + std::string(column) + " in row " + std::to_string(row + 1));
    }
    return static_cast<int64_t>(*value);
  };
  std::vector<clips::ClipFrames> clips;
  for (size_t row = 0; row < table.rows.size(); ++row) {
    const std::string* selected = table.cell(row, "selected");
    if (selected == nullptr || *selected != "true") {
      continue;
    }
    const auto clip = static_cast<size_t>(frame(row, "clip"));
    if (clip > clips.size() || clip + 1 < clips.size()) {
      fail("does not list its clips in order");
    }
    clips.resize(clip + 1);
    clips[clip].push_back({frame(row, "frame_start"), frame(row, "frame_stop")});
  }
  for (const clips::ClipFrames& clip : clips) {
    int64_t frames = 0;
    for (const clips::Window& window : clip) {
      frames += window.last > window.first ? window.last - window.first : kClipFrames + 1;
    }
    if (frames != kClipFrames) {
      fail("has a clip that is not 40 frames long");
    }
  }
  if (clips.empty()) {
    fail("selects no windows");
  }
  return clips;
}

}  // namespace slim::pipelines
