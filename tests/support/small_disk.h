// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>

namespace slim::test {

/// Calls work() in a copy of this process in which a memory file system of `bytes` is mounted on the folder,
/// seen by nobody but the copy and the programs it starts. The test fails when work() does, and is skipped
/// where no user can mount. The last act of a test, called while no other thread is at work.
void on_small_disk(const std::filesystem::path& folder, size_t bytes, const std::function<void()>& work);

/// Fills the disk with the file `ballast` in its folder, anew at each call, so that `room` bytes stay free,
/// rounded up to blocks of the disk.
void fill_up_to(const std::filesystem::path& folder, size_t room);

}  // namespace slim::test
