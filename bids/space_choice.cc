// SPDX-License-Identifier: Apache-2.0
#include "bids/space_choice.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <tuple>
#include <vector>

#include "core/error.h"

namespace slim::bids {
namespace {

constexpr std::string_view kFirstSpace = "MNI152NLin6Asym";
constexpr std::string_view kSecondSpace = "MNI152NLin2009cAsym";
constexpr const char* kUsableSpaces = "MNI152NLin6Asym, MNI152NLin6Sym or an MNI152NLin2009 template";
constexpr const char* kFmriprepRemedy =
    "run fMRIPrep with --output-spaces MNI152NLin6Asym:res-2, then give its folder with -d NAME=PATH";

using Places = std::vector<size_t>;

std::string label_of(const ImageCandidate& candidate, std::string_view key) {
  const std::string* value = candidate.name.get(key);
  return value == nullptr ? std::string() : *value;
}

std::string joined(const std::set<std::string>& labels) {
  std::string text;
  for (const std::string& label : labels) {
    text += (text.empty() ? "" : ", ") + (label.empty() ? std::string("none") : label);
  }
  return text;
}

std::set<std::string> labels_of(std::span<const ImageCandidate> candidates, const Places& places,
                                std::string_view key) {
  std::set<std::string> labels;
  for (const size_t place : places) {
    labels.insert(label_of(candidates[place], key));
  }
  return labels;
}

template <class Keep>
Places kept(const Places& places, const Keep& keep) {
  Places result;
  std::copy_if(places.begin(), places.end(), std::back_inserter(result), keep);
  return result;
}

// "2" and "02" name one resolution; producers write either.
bool same_resolution(std::string_view a, std::string_view b) {
  const auto digits = [](std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
  };
  const auto stripped = [](std::string_view text) {
    return text.substr(std::min(text.find_first_not_of('0'), text.size()));
  };
  return a == b || (digits(a) && digits(b) && stripped(a) == stripped(b));
}

int space_rank(std::string_view space) { return space == kFirstSpace ? 0 : space == kSecondSpace ? 1 : 2; }

[[noreturn]] void fail_space(std::span<const ImageCandidate> candidates, const Places& places,
                             const std::string& needed, const std::string& remedy) {
  const std::string found = joined(labels_of(candidates, places, "space"));
  throw Error(
      message::kNoUsableSpace, "No image in a usable space: found " + found + "; needed " + needed + ".",
      {.file = candidates[places.front()].path, .expected = needed, .found = found, .remedy = remedy});
}

[[noreturn]] void fail_tie(std::span<const ImageCandidate> candidates, const Places& places) {
  std::string files;
  for (const size_t place : places) {
    files += (files.empty() ? "" : ", ") + candidates[place].path;
  }
  throw Error(message::kTie, "These files fit this run equally: " + files + ".",
              {.remedy = "add --space, --res, --desc or --filter so that one remains"});
}

Places usable_ones(std::span<const ImageCandidate> candidates, const Places& places, const ImageWish& wish,
                   SpaceDialect dialect) {
  const auto space_at = [&](size_t place) {
    return usable_space(label_of(candidates[place], "space"), dialect);
  };
  const Places usable = kept(places, [&](size_t place) { return space_at(place).has_value(); });
  if (usable.empty()) {
    fail_space(candidates, places, kUsableSpaces, kFmriprepRemedy);
  }
  if (wish.space.empty()) {
    return usable;
  }
  const Places asked = kept(usable, [&](size_t place) {
    return label_of(candidates[place], "space") == wish.space || *space_at(place) == wish.space;
  });
  if (asked.empty()) {
    fail_space(candidates, places, wish.space + ", as asked for with --space",
               "leave --space out or name one of the usable spaces found");
  }
  return asked;
}

// `all` are the images before any choice: the sentence tells what the chosen space was compared with.
Places by_space(std::span<const ImageCandidate> candidates, const Places& all, const Places& places,
                const ImageWish& wish, SpaceDialect dialect, std::string* reason) {
  const auto rank_at = [&](size_t place) {
    return space_rank(*usable_space(label_of(candidates[place], "space"), dialect));
  };
  int best = rank_at(places.front());
  for (const size_t place : places) {
    best = std::min(best, rank_at(place));
  }
  const Places chosen = kept(places, [&](size_t place) { return rank_at(place) == best; });
  const std::set<std::string> spaces = labels_of(candidates, all, "space");
  const std::string label = label_of(candidates[chosen.front()], "space");
  const std::string why = !wish.space.empty()  ? " was asked for"
                          : spaces.size() == 1 ? " is the only one"
                                               : " comes first among " + joined(spaces);
  *reason = "space " + label + why + *reason;
  return chosen;
}

Places by_desc(std::span<const ImageCandidate> candidates, const Places& places, const ImageWish& wish,
               std::string* reason) {
  const std::set<std::string> found = labels_of(candidates, places, "desc");
  const std::string asked = wish.desc.empty() ? "preproc" : wish.desc;
  const Places chosen =
      kept(places, [&](size_t place) { return label_of(candidates[place], "desc") == asked; });
  if (!chosen.empty()) {
    if (!wish.desc.empty()) {
      *reason += "; desc " + asked + " was asked for";
    }
    return chosen;
  }
  if (!wish.desc.empty()) {
    throw Error(
        message::kNoUsableSpace, "No image with desc-" + asked + ": found desc " + joined(found) + ".",
        {.file = candidates[places.front()].path, .remedy = "leave --desc out or name one of those found"});
  }
  if (found.size() > 1) {
    fail_tie(candidates, places);
  }
  *reason += found.begin()->empty() ? "; it has no desc, where preproc is usual"
                                    : "; desc " + *found.begin() + " is taken, as there is no preproc";
  return places;
}

Places by_resolution(std::span<const ImageCandidate> candidates, const Places& places, const ImageWish& wish,
                     std::string* reason) {
  if (wish.res.empty()) {
    return places;
  }
  const Places chosen = kept(
      places, [&](size_t place) { return same_resolution(label_of(candidates[place], "res"), wish.res); });
  if (chosen.empty()) {
    throw Error(message::kNoUsableSpace,
                "No image with res-" + wish.res + " in the chosen space: found res " +
                    joined(labels_of(candidates, places, "res")) + ".",
                {.file = candidates[places.front()].path,
                 .remedy = "leave --res out or name one of those found, or add --space"});
  }
  *reason += "; res " + wish.res + " was asked for";
  return chosen;
}

size_t by_header(std::span<const ImageCandidate> candidates, const Places& places,
                 const HeaderReader& read_header, std::string* reason) {
  using Rank = std::tuple<bool, int64_t, int64_t>;  // smaller is better; volumes in 1e-3 mm3
  std::vector<std::pair<Rank, size_t>> ranked;
  for (const size_t place : places) {
    const HeaderFacts facts = read_header(candidates[place].absolute);
    if (facts.frames > 1) {
      ranked.push_back(
          {Rank{!facts.is_slim_lattice, std::llround(1e3 * std::abs(facts.voxel_volume_mm3 - 8.0)),
                std::llround(1e3 * facts.voxel_volume_mm3)},
           place});
    }
  }
  if (ranked.empty()) {
    throw Error(message::kNotFourD, "None of the images of this run is a series.",
                {.file = candidates[places.front()].path, .expected = "a 4-D image"});
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Places equal;
  for (const auto& [rank, place] : ranked) {
    if (rank == ranked.front().first) {
      equal.push_back(place);
    }
  }
  if (equal.size() > 1) {
    fail_tie(candidates, equal);
  }
  if (ranked.size() == 1) {
    *reason += "; the others are not 4-D";
  } else if (!std::get<0>(ranked.front().first)) {
    *reason += "; it lies on the 2 mm MNI152NLin6Asym lattice";
  } else {
    *reason += "; its voxels are nearest 8 mm3";
  }
  return equal.front();
}

}  // namespace

std::optional<std::string> usable_space(std::string_view label, SpaceDialect dialect) {
  if (label == "MNI" && dialect == SpaceDialect::Dcan) {
    return std::string(kFirstSpace);
  }
  constexpr std::string_view kFamily2009 = "MNI152NLin2009";
  const bool is_nlin6 = label == kFirstSpace || label == "MNI152NLin6Sym";
  bool is_2009 = false;
  if (label.starts_with(kFamily2009)) {
    const std::string_view rest = label.substr(kFamily2009.size());
    is_2009 = rest.size() > 1 && rest[0] >= 'a' && rest[0] <= 'c' &&
              (rest.substr(1) == "Sym" || rest.substr(1) == "Asym");
  }
  return is_nlin6 || is_2009 ? std::optional(std::string(label)) : std::nullopt;
}

std::string_view template_family(std::string_view space) {
  return space.starts_with("MNI152NLin2009") ? "NLin2009" : "NLin6";
}

bool is_denoised_by_name(const BidsName& name) {
  const std::string* desc = name.get("desc");
  std::string text = (desc == nullptr ? std::string() : *desc) + " " + name.suffix;
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::string_view kSigns[] = {"denoise",  "smootharoma", "nonaggr",
                                         "residual", "clean",       "nuisance"};
  return std::any_of(std::begin(kSigns), std::end(kSigns),
                     [&](std::string_view sign) { return text.find(sign) != std::string::npos; });
}

ImageChoice choose_image(std::span<const ImageCandidate> candidates, const ImageWish& wish,
                         const HeaderReader& read_header, SpaceDialect dialect) {
  Places places(candidates.size());
  for (size_t i = 0; i < places.size(); ++i) {
    places[i] = i;
  }
  if (places.empty()) {
    throw Error(message::kBug, "An image was to be chosen among none.");
  }
  std::string reason;
  const Places all = places;
  places = usable_ones(candidates, places, wish, dialect);
  // The description goes before the order of spaces: a preprocessed image is better than a denoised one
  // elsewhere.
  places = by_desc(candidates, places, wish, &reason);
  places = by_space(candidates, all, places, wish, dialect, &reason);
  places = by_resolution(candidates, places, wish, &reason);
  const size_t index =
      places.size() == 1 ? places.front() : by_header(candidates, places, read_header, &reason);
  const std::string space = *usable_space(label_of(candidates[index], "space"), dialect);
  return {
      .index = index, .space = space, .family = std::string(template_family(space)), .reason = reason + "."};
}

}  // namespace slim::bids
