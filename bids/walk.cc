// SPDX-License-Identifier: Apache-2.0
#include "bids/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "bids/schema.h"
#include "bids/text_file.h"
#include "core/error.h"

namespace slim::bids {
namespace {

constexpr std::array<std::string_view, 4> kSkippedFolders{"sourcedata", "code", "stimuli", "derivatives"};
constexpr std::array<std::string_view, 3> kLeafFolders{".ds", ".zarr", ".mefd"};

struct Closer {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, Closer>;

/// The folders above the one being listed, to notice a link that leads back into itself.
struct Ancestor {
  dev_t device;
  ino_t inode;
  const Ancestor* parent;
};

/// Something that happened to a number of files and is told once.
struct Tally {
  size_t count = 0;
  std::string example;
  void add(const std::string& path) {
    if (count++ == 0 || path < example) example = path;
  }
  void merge(const Tally& other) {
    if (other.count == 0) return;
    if (count == 0 || other.example < example) example = other.example;
    count += other.count;
  }
};

struct Gathered {
  std::vector<BidsFile> files;
  Tally odd_order, odd_name, dangling, loop;
  std::exception_ptr error;
};

[[noreturn]] void fail(const std::string& path, int cause) {
  throw Error(
      message::kInputOutput,
      "The folder " + printable(path) + " cannot be listed: " + std::generic_category().message(cause) + ".",
      {.file = path});
}

bool is_leaf(std::string_view name) {
  return std::any_of(kLeafFolders.begin(), kLeafFolders.end(), [&](auto end) { return name.ends_with(end); });
}

std::string_view last_folder(std::string_view folder) { return folder.substr(folder.rfind('/') + 1); }

/// Names without entities are BIDS only where the standard knows the suffix: T1w.json, not config.json.
bool is_of_bids(const BidsName& name) {
  if (!name.entities.empty() || !name.prefix.empty() || name.suffix == "participants") return true;
  return std::find(suffixes().begin(), suffixes().end(), name.suffix) != suffixes().end();
}

bool is_text(const BidsName& name) { return name.extension == ".json" || name.extension == ".tsv"; }

/// Lists one folder and, in the order of names, those below it.
class Lister {
 public:
  Lister(const IgnoreRules& ignore, Gathered& gathered) : ignore_(ignore), gathered_(gathered) {}

  /// Files of one folder into `gathered`; returns its visible sub-folders, sorted. `folder` is "" or "a/b".
  std::vector<std::string> list(DIR* stream, const std::string& folder) {
    std::vector<std::string> below, names;
    const int place = ::dirfd(stream);
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(stream);
      if (entry == nullptr) {
        if (errno != 0) fail(folder.empty() ? "." : folder, errno);
        break;
      }
      const std::string_view name = entry->d_name;
      if (name.starts_with('.')) continue;
      Kind kind = classify(place, entry);
      if (kind.mode == Mode::Folder && !is_leaf(name)) {
        if (!is_utf8(name) || hides(folder, name, true)) continue;
        below.emplace_back(name);
        names.emplace_back(name);
      } else if (kind.mode != Mode::Other) {
        if (keep_file(place, folder, name, kind)) names.emplace_back(name);
      }
    }
    check_case(folder, std::move(names));
    std::sort(below.begin(), below.end());
    return below;
  }

  /// The whole tree under a folder that is opened relative to `parent`.
  void descend(int parent, const std::string& name, const std::string& folder, const Ancestor* above) {
    const int opened = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0 && errno == ENOENT) return;  // removed while we looked
    if (opened < 0) fail(folder, errno);
    const Folder stream(::fdopendir(opened));
    if (!stream) {
      const int cause = errno;
      ::close(opened);
      fail(folder, cause);
    }
    struct stat status;
    if (::fstat(opened, &status) != 0) fail(folder, errno);
    for (const Ancestor* a = above; a != nullptr; a = a->parent) {
      if (a->device == status.st_dev && a->inode == status.st_ino) return gathered_.loop.add(folder);
    }
    const Ancestor here{status.st_dev, status.st_ino, above};
    for (const std::string& sub : list(stream.get(), folder)) descend(opened, sub, folder + "/" + sub, &here);
  }

 private:
  enum class Mode { Regular, Folder, Annexed, Other };
  struct Kind {
    Mode mode = Mode::Other;
    uint64_t size = 0;
    bool size_known = false;
  };

  Kind classify(int place, const dirent* entry) {
    if (entry->d_type == DT_DIR) return {.mode = Mode::Folder};
    if (entry->d_type == DT_REG) return {.mode = Mode::Regular};
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN) return {};
    struct stat status;
    if (::fstatat(place, entry->d_name, &status, 0) == 0) {
      if (S_ISDIR(status.st_mode)) return {.mode = Mode::Folder};
      if (!S_ISREG(status.st_mode)) return {};
      return {.mode = Mode::Regular, .size = static_cast<uint64_t>(status.st_size), .size_known = true};
    }
    std::array<char, 4096> target;
    const ssize_t length = ::readlinkat(place, entry->d_name, target.data(), target.size());
    if (length > 0 && is_annex_link({target.data(), static_cast<size_t>(length)}))
      return {.mode = Mode::Annexed};
    if (length > 0) gathered_.dangling.add(entry->d_name);
    return {};
  }

  bool hides(const std::string& folder, std::string_view name, bool is_folder) const {
    if (ignore_.empty()) return false;
    return ignore_.ignores(folder.empty() ? std::string(name) : folder + "/" + std::string(name), is_folder);
  }

  bool keep_file(int place, const std::string& folder, std::string_view name, Kind kind) {
    std::optional<BidsName> parsed = BidsName::parse(name);
    std::string path = folder.empty() ? std::string(name) : folder + "/" + std::string(name);
    if (!parsed || !is_of_bids(*parsed)) {
      if (name.starts_with("sub-") && !hides(folder, name, false)) gathered_.odd_name.add(printable(path));
      return false;
    }
    if (hides(folder, name, kind.mode == Mode::Folder)) return false;
    if (!parsed->is_canonical()) gathered_.odd_order.add(path);
    BidsFile file{.path = std::move(path), .name = std::move(*parsed), .datatype = {}};
    if (is_datatype(last_folder(folder))) file.datatype = last_folder(folder);
    if (kind.mode == Mode::Annexed) {
      file.state = FileState::Annexed;
    } else if (kind.mode == Mode::Regular) {
      struct stat status;
      // The name comes from readdir and ends with a zero.
      if (!kind.size_known && ::fstatat(place, name.data(), &status, 0) == 0) {
        kind.size = static_cast<uint64_t>(status.st_size);
      }
      file.size = kind.size;
      // JSON and tables are told apart when they are read.
      if (!is_text(file.name) && is_pointer(place, name.data(), kind.size)) file.state = FileState::Annexed;
    }
    gathered_.files.push_back(std::move(file));
    return true;
  }

  static bool is_pointer(int place, const char* name, uint64_t size) {
    if (size == 0 || size > kLargestPointer) return false;
    const int file = ::openat(place, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return false;
    std::array<char, 256> start;
    const ssize_t got = ::read(file, start.data(), start.size());
    ::close(file);
    return got > 0 && is_annex_pointer({start.data(), static_cast<size_t>(got)});
  }

  static void check_case(const std::string& folder, std::vector<std::string> names) {
    const auto lower = [](std::string text) {
      for (char& c : text) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      }
      return text;
    };
    std::vector<std::pair<std::string, std::string>> pairs;
    pairs.reserve(names.size());
    for (std::string& name : names) {
      std::string key = lower(name);
      pairs.emplace_back(std::move(key), std::move(name));
    }
    std::sort(pairs.begin(), pairs.end());
    const auto twin =
        std::adjacent_find(pairs.begin(), pairs.end(), [](auto& a, auto& b) { return a.first == b.first; });
    if (twin == pairs.end()) return;
    throw Error(message::kInvalidDataset,
                "Two names in " + (folder.empty() ? std::string("the dataset's root") : folder) +
                    " differ only in case: " + twin->second + ", " + std::next(twin)->second + ".",
                {.file = folder, .remedy = "rename or remove one of them"});
  }

  const IgnoreRules& ignore_;
  Gathered& gathered_;
};

bool is_participant_folder(std::string_view name) {
  if (!name.starts_with("sub-")) return false;
  const std::optional<BidsName> as_name = BidsName::parse(std::string(name) + "_x.x");
  return as_name && as_name->entities.size() == 1;
}

/// The folders under the root that are walked, of those listed.
std::vector<std::string> chosen(const std::vector<std::string>& folders, const ScanOptions& options,
                                Tally& odd) {
  std::vector<std::string> result;
  for (const std::string& name : folders) {
    const bool is_participant = is_participant_folder(name);
    if (!is_participant && name.starts_with("sub-")) {
      odd.add(printable(name));
      continue;
    }
    if (std::find(kSkippedFolders.begin(), kSkippedFolders.end(), name) != kSkippedFolders.end()) continue;
    const auto& wanted = options.participants;
    const bool is_wanted = wanted.empty() || (is_participant && std::find(wanted.begin(), wanted.end(),
                                                                          name.substr(4)) != wanted.end());
    if (is_wanted) result.push_back(name);
  }
  return result;
}

void tell(const Tally& tally, const std::string& what, std::vector<std::string>& warnings) {
  if (tally.count == 0) return;
  warnings.push_back(std::to_string(tally.count) + what + ", for example " + printable(tally.example) + ".");
}

Folder open_root(const std::filesystem::path& root) {
  Folder stream(::opendir(root.c_str()));
  if (stream) return stream;
  if (errno != ENOENT && errno != ENOTDIR) fail(root.string(), errno);
  throw Error(message::kMissingPath,
              root.string() + (errno == ENOENT ? " does not exist" : " is not a folder") +
                  "; inside a container bind its parent with -B.",
              {.file = root.string()});
}

/// Each worker takes the next folder under the root; results are put together in the order of folders.
std::vector<Gathered> walk_below(int root, const Ancestor& top, const std::vector<std::string>& folders,
                                 const IgnoreRules& ignore, int threads) {
  std::vector<Gathered> parts(folders.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < folders.size(); i = next++) {
      try {
        Lister(ignore, parts[i]).descend(root, folders[i], folders[i], &top);
      } catch (...) {
        parts[i].error = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    const size_t wanted = std::min(static_cast<size_t>(std::max(threads, 1)), folders.size());
    for (size_t i = 1; i < wanted; ++i) workers.emplace_back(work);
    work();
  }
  return parts;
}

}  // namespace

WalkResult walk_dataset(const std::filesystem::path& root, const ScanOptions& options,
                        const IgnoreRules& ignore) {
  const Folder stream = open_root(root);
  struct stat status;
  if (::fstat(::dirfd(stream.get()), &status) != 0) fail(root.string(), errno);
  const Ancestor top{status.st_dev, status.st_ino, nullptr};
  Gathered all;
  const std::vector<std::string> folders = Lister(ignore, all).list(stream.get(), "");
  WalkResult result;
  for (const std::string& name : folders) {
    if (is_participant_folder(name)) result.participants.push_back(name.substr(4));
  }
  const std::vector<std::string> below = chosen(folders, options, all.odd_name);
  for (Gathered& part : walk_below(::dirfd(stream.get()), top, below, ignore, options.threads)) {
    if (part.error) std::rethrow_exception(part.error);
    std::move(part.files.begin(), part.files.end(), std::back_inserter(all.files));
    all.odd_order.merge(part.odd_order);
    all.odd_name.merge(part.odd_name);
    all.dangling.merge(part.dangling);
    all.loop.merge(part.loop);
  }
  std::sort(all.files.begin(), all.files.end(),
            [](const BidsFile& a, const BidsFile& b) { return a.path < b.path; });
  tell(all.odd_order, " names have entities in another order than BIDS, or twice", result.warnings);
  tell(all.odd_name, " names that start with sub- are not BIDS names and are left out", result.warnings);
  tell(all.dangling, " links lead nowhere and are left out", result.warnings);
  tell(all.loop, " links lead back to a folder above them and are left out", result.warnings);
  result.files = std::move(all.files);
  return result;
}

}  // namespace slim::bids
