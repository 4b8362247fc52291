// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

constexpr std::string_view kLatest = "latest", kBest = "best", kStep = "step-";

[[noreturn]] void fail(const fs::path& path, const char* what, int number) {
  throw Error(message::kInputOutput, std::string(what) + ": " + std::strerror(number) + ".",
              {.file = path.string()});
}

/// Waits until a file, or the names in a folder, are on the disk.
void sync_path(const fs::path& path, bool is_folder) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | (is_folder ? O_DIRECTORY : 0));
  if (fd < 0) {
    fail(path, "The checkpoint cannot be opened to synchronise it", errno);
  }
  const int result = ::fsync(fd), number = errno;
  ::close(fd);
  // Some network file systems refuse fsync on a folder; the rename itself is still atomic there.
  if (result != 0 && !(is_folder && number == EINVAL)) {
    fail(path, "The checkpoint cannot be synchronised", number);
  }
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    sync_path(entry.path(), entry.is_directory());
  }
  sync_path(folder, true);
}

void rename_or_fail(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    fail(to, "The checkpoint cannot be put in its place", errno);
  }
}

/// N of "step-N"; nullopt for any other name.
std::optional<int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kStep)) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(kStep.size());
  int64_t step = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  const bool whole = problem == std::errc() && end == digits.data() + digits.size();
  return whole && step >= 0 && digits == std::to_string(step) ? std::optional(step) : std::nullopt;
}

fs::path partial_name(const fs::path& folder, const std::string& name) {
  return folder / (std::string(kPartialPrefix) + make_uuid() + "-" + name);
}

}  // namespace

CheckpointFolder::CheckpointFolder(fs::path folder, int64_t keep) : folder_(std::move(folder)), keep_(keep) {
  if (keep_ < 1) {
    throw Error(message::kBadValue, "At least one checkpoint must be kept.");
  }
  create_folder(folder_);
  remove_partials(folder_);
}

fs::path CheckpointFolder::folder_of(int64_t step) const {
  return folder_ / (std::string(kStep) + std::to_string(step));
}

std::vector<int64_t> CheckpointFolder::steps() const {
  std::vector<int64_t> steps;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    if (const std::optional<int64_t> step = step_of(entry.path().filename().string());
        step && entry.is_directory()) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<int64_t> CheckpointFolder::pointed(std::string_view pointer) const {
  const fs::path path = folder_ / pointer;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return std::nullopt;
  }
  std::string text = read_text(path);
  if (text.ends_with('\n')) {
    text.pop_back();
  }
  const std::optional<int64_t> step = step_of(text);
  if (!step || !fs::is_directory(folder_of(*step), ignored)) {
    throw Error(message::kBadCheckpoint, "This file names no checkpoint beside it.",
                {.file = path.string(),
                 .expected = "the name of a folder, like step-100",
                 .found = text.substr(0, 80),
                 .remedy = "write the name of a folder that is there into it, or remove it"});
  }
  return step;
}

std::optional<fs::path> CheckpointFolder::latest() const {
  if (const std::optional<int64_t> step = pointed(kLatest)) {
    return folder_of(*step);
  }
  const std::vector<int64_t> whole = steps();
  return whole.empty() ? std::nullopt : std::optional(folder_of(whole.back()));
}

std::optional<fs::path> CheckpointFolder::best() const {
  const std::optional<int64_t> step = pointed(kBest);
  return step ? std::optional(folder_of(*step)) : std::nullopt;
}

void CheckpointFolder::point(std::string_view pointer, int64_t step) const {
  write_text_if_different(folder_ / pointer, std::string(kStep) + std::to_string(step) + "\n");
}

void CheckpointFolder::publish(int64_t step, const std::function<void(const fs::path&)>& write) const {
  const fs::path target = folder_of(step);
  const fs::path partial = partial_name(folder_, target.filename().string());
  try {
    create_folder(partial);
    write(partial);
    sync_tree(partial);
    if (fs::exists(target)) {
      remove(target);  // whole, but of a life that ended before a pointer named it
    }
    rename_or_fail(partial, target);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    fail(partial, "The checkpoint cannot be written", error.code().value());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    throw;
  }
  sync_path(folder_, true);
}

void CheckpointFolder::save(int64_t step, const std::function<void(const fs::path&)>& write, bool best) {
  if (step < 0) {
    throw Error(message::kBug, "A checkpoint of a negative step.");
  }
  if (!pointed(kLatest)) {
    if (const std::vector<int64_t> whole = steps(); !whole.empty()) {
      point(kLatest, whole.back());  // a kill came before the first pointer; from here on it is protected
    }
  }
  if (pointed(kLatest) != step && pointed(kBest) != step) {
    publish(step, write);
  }
  point(kLatest, step);
  if (best) {
    point(kBest, step);
  }
  prune();
}

void CheckpointFolder::remove(const fs::path& checkpoint) const {
  const fs::path partial = partial_name(folder_, checkpoint.filename().string());
  rename_or_fail(checkpoint, partial);
  std::error_code error;
  fs::remove_all(partial, error);
  if (error) {
    fail(partial, "An old checkpoint cannot be removed", error.value());
  }
}

void CheckpointFolder::prune() const {
  const std::optional<int64_t> latest = pointed(kLatest), best = pointed(kBest);
  std::vector<int64_t> whole = steps();
  // A step after `latest` belongs to a life that ended before its pointer was written.
  std::erase_if(whole, [&](int64_t step) { return step == latest || step == best; });
  const auto future =
      std::stable_partition(whole.begin(), whole.end(), [&](int64_t step) { return step < *latest; });
  const auto kept = std::min<std::ptrdiff_t>(future - whole.begin(), static_cast<std::ptrdiff_t>(keep_) - 1);
  whole.erase(future - kept, future);
  for (const int64_t step : whole) {
    remove(folder_of(step));
  }
}

void CheckpointFolder::clear() {
  std::error_code error;
  for (const std::string_view pointer : {kLatest, kBest}) {
    fs::remove(folder_ / pointer, error);
  }
  for (const int64_t step : steps()) {
    remove(folder_of(step));
  }
}

}  // namespace slim::train
