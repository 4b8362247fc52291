// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace slim::bids {

/// What tells one content of an input file from another without reading all of it: "annex:KEY" for a file
/// under git-annex, else "size:N,sha256ends:H" (H over the first and last MiB; a gzip stream's checksum is in
/// the last) and for uncompressed files also ",sha256blocks:H" (over 64 evenly spaced blocks of 64 kB).
/// Modification times never count. Errors: SB2101 no such file, SB5002 it cannot be read.
std::string input_fingerprint(const std::filesystem::path& path);

}  // namespace slim::bids
