// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slim::train {

// Note [Checkpoints]. A checkpoint is written as .partial-<uuid>-step-N, everything in it synchronised, then
// renamed to step-N: a folder of that name is whole. `latest` and `best` are small files that hold such a
// name and are replaced by rename. Nothing that a pointer names is removed, and removal starts with a rename
// back to a .partial- name. So at any moment, whatever fails, the checkpoint that `latest` names is whole.
/// The checkpoints of one training (Note [Checkpoints]). One process writes.
class CheckpointFolder {
 public:
  /// Creates the folder where needed and removes leftovers of killed writers. The last `keep` (at least 1)
  /// checkpoints and the best one stay. Errors SB5001, SB5002.
  explicit CheckpointFolder(std::filesystem::path folder, int64_t keep = 2);

  /// Saves the checkpoint of a step: `write` puts files into the folder it is given. Where `latest` or `best`
  /// already name this step nothing is written anew. Then `latest`, and `best` if asked, name it, and older
  /// ones go. When anything fails, the partial folder is removed and `latest` names what it named. Errors of
  /// `write`, SB5001, SB5002.
  void save(int64_t step, const std::function<void(const std::filesystem::path&)>& write, bool best = false);

  /// The folder named by `latest` or, when a kill came before the first pointer was written, the last whole
  /// one. Nullopt without any. Error SB2021 when the pointer is garbled or names a folder that is gone.
  std::optional<std::filesystem::path> latest() const;
  /// The folder named by `best`; errors as above.
  std::optional<std::filesystem::path> best() const;
  /// Steps of all whole checkpoints, ascending.
  std::vector<int64_t> steps() const;
  /// Removes all checkpoints and pointers: a training that starts anew.
  void clear();

 private:
  std::optional<int64_t> pointed(std::string_view pointer) const;
  std::filesystem::path folder_of(int64_t step) const;
  void point(std::string_view pointer, int64_t step) const;
  void publish(int64_t step, const std::function<void(const std::filesystem::path&)>& write) const;
  void remove(const std::filesystem::path& checkpoint) const;
  void prune() const;

  std::filesystem::path folder_;
  int64_t keep_;
};

}  // namespace slim::train
