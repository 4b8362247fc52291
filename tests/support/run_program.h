// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace slim::test {

/// What a finished program left behind.
struct ProgramResult {
  int exit_code = -1;  // 128 + signal when one ended it
  std::string out, err;
  /// The last line of `out`.
  std::string last_line() const;
};

struct ProgramOptions {
  std::map<std::string, std::string> environment{};         // added to ours
  std::optional<std::chrono::milliseconds> signal_after{};  // then `signal` is sent once
  int signal = 9;
};

/// Runs a program to its end; standard input is empty.
ProgramResult run_program(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                          const ProgramOptions& options = {});

/// The Python with the judges' packages (SLIM_JUDGES), or nullopt.
std::optional<std::filesystem::path> judges_python();

/// SLIM_DATA_DIR, SLIM_REFERENCE_DIR: the folders of real scans and reference cases, or nullopt when they are
/// absent.
std::optional<std::filesystem::path> data_folder();
std::optional<std::filesystem::path> reference_folder();

/// Relative path -> SHA-256 of every regular file below a folder, but those whose path starts with one of
/// `skip`.
std::map<std::string, std::string> tree_hashes(const std::filesystem::path& root,
                                               const std::vector<std::string>& skip);

/// A folder of its own, removed at the end of the scope.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace slim::test
