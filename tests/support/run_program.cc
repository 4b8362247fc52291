// SPDX-License-Identifier: Apache-2.0
#include "tests/support/run_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "core/atomic_file.h"
#include "core/sha256.h"

extern char** environ;

namespace fs = std::filesystem;

namespace slim::test {
namespace {

std::optional<fs::path> folder_from(const char* variable, const fs::path& otherwise) {
  const char* text = std::getenv(variable);
  const fs::path folder = text != nullptr ? fs::path(text) : otherwise;
  return fs::is_directory(folder) ? std::optional(folder) : std::nullopt;
}

}  // namespace

std::string ProgramResult::last_line() const {
  std::string text = out;
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text.substr(text.rfind('\n') + 1);
}

ProgramResult run_program(const fs::path& program, const std::vector<std::string>& arguments,
                          const ProgramOptions& options) {
  // Output goes through files, so that neither side can block on a full pipe.
  const TempFolder folder;
  const std::string out = folder / "out", err = folder / "err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);

  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    variables[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
  }
  for (const auto& [name, value] : options.environment) {
    variables[name] = value;
  }
  std::vector<std::string> lines;
  for (const auto& [name, value] : variables) {
    lines.push_back(name + "=" + value);
  }
  std::vector<char*> envp;
  for (std::string& line : lines) {
    envp.push_back(line.data());
  }
  envp.push_back(nullptr);

  pid_t pid = 0;
  const int error = posix_spawn(&pid, words.front().c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw std::runtime_error("cannot start " + words.front());
  }
  if (options.signal_after) {
    std::this_thread::sleep_for(*options.signal_after);
    kill(pid, options.signal);  // the child is not reaped yet, so the number is still its own
  }
  int status = 0;
  waitpid(pid, &status, 0);
  ProgramResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_text(out);
  result.err = read_text(err);
  return result;
}

std::optional<fs::path> judges_python() {
  const char* text = std::getenv("SLIM_JUDGES");
  return text != nullptr && fs::exists(text) ? std::optional<fs::path>(text) : std::nullopt;
}

std::optional<fs::path> data_folder() {
  return folder_from("SLIM_DATA_DIR", fs::path(SLIM_SOURCE_DIR) / "../shared/data");
}

std::optional<fs::path> reference_folder() {
  return folder_from("SLIM_REFERENCE_DIR", fs::path(SLIM_SOURCE_DIR) / "../shared/reference");
}

std::map<std::string, std::string> tree_hashes(const fs::path& root, const std::vector<std::string>& skip) {
  std::map<std::string, std::string> hashes;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    const std::string path = entry.path().lexically_relative(root).string();
    bool skipped = !entry.is_regular_file();
    for (const std::string& prefix : skip) {
      skipped = skipped || path.starts_with(prefix);
    }
    if (!skipped) {
      hashes[path] = sha256_hex(read_text(entry.path()));
    }
  }
  return hashes;
}

TempFolder::TempFolder() {
  std::string pattern = (fs::temp_directory_path() / "slimbrain-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error("cannot make a temporary folder");
  }
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(path_, ignored)) {
    if (entry.is_directory(ignored)) {
      fs::permissions(entry.path(), fs::perms::owner_all, fs::perm_options::add, ignored);
    }
  }
  fs::remove_all(path_, ignored);
}

}  // namespace slim::test
