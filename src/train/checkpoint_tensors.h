// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "model/parameters.h"

namespace slim::train {

/// Writes tensors as float32 safetensors, synchronised. Errors SB5001, SB5002.
void write_tensors(const std::filesystem::path& path, const model::Parameters& tensors);

/// Copies the tensors of such a file into those of the same keys. Error SB2020 for a broken file, SB2021 when
/// one is missing or has another shape.
void read_tensors(const std::filesystem::path& path, const model::Parameters& into);

}  // namespace slim::train
