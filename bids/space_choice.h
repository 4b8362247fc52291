// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "bids/bids_name.h"

namespace slim::bids {

/// What the choice among images needs of a NIfTI header; bids/ opens no image, so the caller reads it.
struct HeaderFacts {
  bool is_slim_lattice = false;  // on the 2 mm MNI152NLin6Asym lattice, in any axis order, to 1e-3 mm
  double voxel_volume_mm3 = 0.0;
  int64_t frames = 1;
};
using HeaderReader = std::function<HeaderFacts(const std::filesystem::path&)>;

/// Labels that the user asked for, without their keys; empty = the rule decides.
struct ImageWish {
  std::string space{};
  std::string res{};
  std::string desc{};
};

/// A derivative BOLD image of one acquired run.
struct ImageCandidate {
  BidsName name;
  std::string path;  // as shown to the user
  std::filesystem::path absolute;
};

/// The chosen one, and the sentence that says why.
struct ImageChoice {
  size_t index = 0;
  std::string space;   // template label, "MNI" of DCAN resolved
  std::string family;  // NLin6 or NLin2009
  std::string reason;
};

/// Which labels of a space may be used: DCAN's and HCP's old label "MNI" means MNI152NLin6Asym.
enum class SpaceDialect : uint8_t { Standard, Dcan };

/// Template label behind a space entity's value; nullopt when images in it cannot be placed on the SLIM grid.
std::optional<std::string> usable_space(std::string_view label,
                                        SpaceDialect dialect = SpaceDialect::Standard);
/// Family of a usable template label: NLin6 or NLin2009.
std::string_view template_family(std::string_view space);
/// True when the name or the description label says that nuisance signals were removed.
bool is_denoised_by_name(const BidsName& name);

/// Chooses the image of a run (docs: space and resolution). Headers are read only where labels leave several.
/// Errors: SB2007 no usable space, SB3003 a tie, SB2012 when none of several is 4-D.
ImageChoice choose_image(std::span<const ImageCandidate> candidates, const ImageWish& wish,
                         const HeaderReader& read_header, SpaceDialect dialect = SpaceDialect::Standard);

}  // namespace slim::bids
