// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/token_set.h"

namespace slim::model {

/// What is done with voxels outside the brain: left out token by token, by whole locations, or kept.
enum class Background { Token, Unit, None };
std::string_view name_of(Background background);
/// `token`, `unit` or `none`; anything else is Error SB1002.
Background background_from(std::string_view name);

/// The mask units of a 40-frame clip: u = 27 * time block + location.
inline constexpr int64_t kMaskUnits = kTimeBlocks * kLocations;
/// Levels of the encoder's grid: tokens (40 x 24^3), 8-cells (20 x 12^3), final cells (10 x 6^3).
inline constexpr int kLevels = 3;

/// A row's clip and its cell (t, d, h, w) on the grid of its level.
struct RowCell {
  int64_t clip = 0;
  int t = 0, d = 0, h = 0, w = 0;
  bool operator==(const RowCell&) const = default;
};

/// `groups` groups of `rows` consecutive rows each, from first_row on; attention stays inside a group.
struct Slab {
  int64_t first_row = 0, groups = 0, rows = 0;
};

/// The children of a pooled row: rows [first, first + count) and [second, second + count) of the level below.
struct Children {
  int64_t first = 0, second = 0, count = 0;
};

/// Which mask units of which clips exist.
struct LayoutOptions {
  Background background = Background::Token;
  const TokenSet* tokens = nullptr;  // the packaged set when null
  int64_t clips = 1;
  /// Chosen mask units (0..134): empty = all, one list = the same for every clip, else a list for each clip.
  std::vector<std::vector<int64_t>> mask_units{};
  double unit_tau = 0;  // mode `unit`: a location exists when its share of packaged-mask voxels is above this
};

// Note [Rows]. Rows of levels 0 and 1 lie location-major: the mask units of location 0 (clip by clip, time
// block by time block), then those of location 1, ...; inside a mask unit frame by frame, inside a frame in
// Morton order. So a mask unit is a block of consecutive rows, all mask units of a location have equal
// length, and the children of a pooled cell are two runs of consecutive rows (one a frame). Final rows are
// brought to clip-major order, inside a clip by (t, d, h, w), after the last block that attends inside mask
// units. Attention and MLP do not see the order.
/// Which rows exist for a batch of clips and where they lie.
class TokenLayout {
 public:
  /// A location's cells, of one frame, and the mask units of it that exist.
  struct Location {
    int64_t location = 0;
    std::array<std::vector<TokenCell>, kLevels> cells;  // Morton order, on each level's grid
    std::array<std::vector<int64_t>, kLevels - 1>
        first_child;               // cell j of level k+1: children [j], [j+1) of level k
    std::vector<int64_t> sources;  // places of level-0 cells in the token set, -1 outside it
    std::vector<std::pair<int64_t, int64_t>> units;  // (clip, time block)
    std::array<int64_t, kLevels> first_row{};
    /// Rows of one mask unit at a level.
    int64_t unit_rows(int level) const {
      return static_cast<int64_t>(cells[static_cast<size_t>(level)].size()) * (kUnitFrames >> level);
    }
  };

  /// Error SB1002 when a mask unit is out of range or named twice, a clip has none that exists, or lists and
  /// clips differ in number.
  explicit TokenLayout(const LayoutOptions& options);

  Background background() const { return background_; }
  int64_t clips() const { return clips_; }
  int64_t rows(int level) const { return rows_[static_cast<size_t>(level)]; }
  /// The locations that have rows, ascending.
  const std::vector<Location>& locations() const { return locations_; }
  /// Slab i holds the mask units of locations()[i].
  std::vector<Slab> mask_unit_slabs(int level) const;
  /// Clips of final rows in clip-major order; neighbours of equal length share a slab.
  std::vector<Slab> clip_slabs() const;
  /// Final rows of each clip.
  std::vector<int64_t> clip_rows() const;
  /// Children at `level` (0 or 1) of every row of level + 1.
  std::vector<Children> children(int level) const;
  /// Cells of the rows of a level in location-major order.
  std::vector<RowCell> cells(int level) const;
  /// Location-major place of every clip-major final row.
  const std::vector<int64_t>& clip_major() const { return clip_major_; }
  /// Cells of the final rows in clip-major order.
  std::vector<RowCell> final_cells() const;
  /// Tokens of a packed frame: input in store order is [clips, 40, packed_tokens(), 64].
  int64_t packed_tokens() const { return static_cast<int64_t>(packed_grid_index_.size()); }
  /// Grid index (d*24 + h)*24 + w of every packed token, in store order.
  const std::vector<int64_t>& packed_grid_index() const { return packed_grid_index_; }

 private:
  Background background_;
  int64_t clips_;
  std::array<int64_t, kLevels> rows_{};
  std::vector<Location> locations_;
  std::vector<int64_t> clip_major_, packed_grid_index_;
};

}  // namespace slim::model
