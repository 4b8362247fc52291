// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace slim::toy {

/// Replaces FILE by FILE.gz, without name and time. At zlib's quickest level: noise does not compress, and
/// the usual level needs four times as long to find that out. Errors SB2101, SB5001, SB5002.
void quick_gzip(const std::filesystem::path& path);

}  // namespace slim::toy
