// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace slim::bids {

/// Largest size of a git-annex pointer file, by its documentation.
inline constexpr size_t kLargestPointer = 32768;

/// The text of an unlocked git-annex file whose content is not here: "/annex/objects/KEY" behind any folder.
bool is_annex_pointer(std::string_view content);
/// The target of a link leads into a git-annex object store.
bool is_annex_link(std::string_view target);
bool is_utf8(std::string_view text);
/// `label` with everything but printable ASCII written as \xNN, for messages about hostile names.
std::string printable(std::string_view label);

/// Whole content of a JSON or TSV file. Errors: SB2101 when it does not exist, SB2102 when it is annexed and
/// not here, SB5002 when it cannot be read.
std::string read_dataset_text(const std::filesystem::path& path);

}  // namespace slim::bids
