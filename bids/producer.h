// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slim::bids {

/// Which program laid out a folder of BOLD images.
enum class Producer : uint8_t { Raw, Fmriprep, Hcp, Derivative };
/// raw, fmriprep, hcp or derivative.
std::string_view producer_name(Producer producer);

/// What the user wants the input to be (--input-type).
enum class InputType : uint8_t { Auto, Raw, Fmriprep, Hcp, Ukb, Derivative };
/// Reads auto, raw, fmriprep, hcp, ukb or derivative. Error SB1002 otherwise.
InputType parse_input_type(std::string_view text);

/// What stands in a folder, as far as its description and its layout tell.
struct Recognition {
  enum class Kind : uint8_t {
    Nothing,  // no description and no known layout
    Raw,
    Study,  // a root that holds rawbids/ and derivatives/
    Input,  // producer says which
    OwnOutput,
    Ukb
  };
  Kind kind = Kind::Nothing;
  Producer producer = Producer::Raw;
  bool denoised = false;                                // the program that made it removes nuisance signals
  bool old_dcan = false;                                // its label space-MNI means MNI152NLin6Asym
  std::string made_by{};                                // GeneratedBy[0].Name, or empty
  std::string verdict{};                                // a short clause for the list of places searched
  std::shared_ptr<const nlohmann::json> description{};  // never null; JSON null when there is none
};

/// Looks at a folder's description and top levels, not at its files. Never throws on what it finds: a
/// description that cannot be read is said in the verdict and leaves kind Nothing.
Recognition recognise(const std::filesystem::path& folder);

/// A dataset that BOLD images are taken from.
struct InputDataset {
  std::string name;  // in BIDS URIs and DatasetLinks
  std::filesystem::path root;
  Producer producer = Producer::Derivative;
  bool denoised = false;
  bool old_dcan = false;
  std::string made_by{};
  std::shared_ptr<const nlohmann::json> description{};
};

/// A folder that was looked at, and what was found there.
struct SearchedPlace {
  std::filesystem::path path;
  std::string verdict;
};

/// A derivative given by the user: NAME=PATH, or PATH alone (then its last component is the name).
struct NamedPath {
  std::string name;
  std::filesystem::path path;
};
/// Error SB1002 when the name or path is empty or the name has characters that BIDS URIs do not allow.
NamedPath parse_named_path(std::string_view text);

/// What find_inputs settled.
struct InputChoice {
  std::filesystem::path raw_root{};      // empty when no raw dataset is there
  std::vector<InputDataset> datasets{};  // in the order of preference; empty: only raw BOLD
  std::vector<SearchedPlace> searched{};
  std::vector<std::string> warnings{};
};

/// What kind of BOLD names a folder's participants hold: a look into func/ folders that stops at the first
/// sign.
enum class BoldNames : uint8_t { None, Placed, OldFmriprep };
BoldNames probe_bold_names(const std::filesystem::path& folder);

/// Settles where BOLD images come from. Errors: SB2101 no such folder, SB2001 no description in BIDS_DIR,
/// SB3003 several recognised derivatives, SB1002 a name given twice, SB2103 an input of the wanted type is
/// not there.
InputChoice find_inputs(const std::filesystem::path& bids_dir, const std::vector<NamedPath>& derivatives,
                        InputType type);

}  // namespace slim::bids
