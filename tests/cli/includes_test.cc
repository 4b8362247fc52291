// SPDX-License-Identifier: Apache-2.0
// The arrows between folders, held against every include in the tree.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace slim {
namespace {

namespace fs = std::filesystem;

struct Include {
  std::string file, target;
};

std::vector<Include> includes_below(const std::string& folder) {
  std::vector<Include> found;
  const fs::path root = fs::path(SLIM_SOURCE_DIR) / folder;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".h" && extension != ".cc" && extension != ".cu") {
      continue;
    }
    std::ifstream file(entry.path());
    const std::regex pattern(R"(^\s*#include\s+[<"]([^>"]+)[>"])");
    std::smatch match;
    for (std::string line; std::getline(file, line);) {
      if (std::regex_search(line, match, pattern)) {
        found.push_back({entry.path().lexically_relative(SLIM_SOURCE_DIR).string(), match[1]});
      }
    }
  }
  return found;
}

bool is_torch(const std::string& target) {
  return target.starts_with("torch/") || target.starts_with("ATen/") || target.starts_with("c10/");
}

TEST(Arrows, AFolderIncludesOnlyTheFloorsBelowIt) {
  const std::map<std::string, std::set<std::string>> allowed{
      {"src/core", {"core"}},
      {"bids", {"core", "bids"}},
      {"src/image", {"core", "image"}},
      {"src/clips", {"core", "clips"}},
      {"src/evaluate", {"core", "evaluate"}},
      {"src/model", {"core", "model"}},
      {"src/train", {"core", "clips", "model", "train"}},
      {"src/cuda", {"core", "model", "cuda"}},
      {"src/preproc", {"core", "image", "clips", "preproc"}},
      {"pipelines", {"core", "bids", "image", "clips", "evaluate", "model", "preproc", "train", "pipelines"}},
      {"src/app", {"core", "bids", "image", "clips", "evaluate", "model", "preproc", "pipelines", "app"}}};
  const std::set<std::string> ours{"core", "bids",    "image", "clips",     "evaluate", "model",
                                   "cuda", "preproc", "train", "pipelines", "app"};
  for (const auto& [folder, floors] : allowed) {
    for (const Include& include : includes_below(folder)) {
      const std::string head = include.target.substr(0, include.target.find('/'));
      if (include.target.find('/') != std::string::npos && ours.contains(head)) {
        EXPECT_TRUE(floors.contains(head)) << include.file << " includes " << include.target;
      }
    }
  }
}

TEST(Arrows, TorchStaysInModelCudaAndTheStagesThatRunTheModel) {
  for (const char* folder : {"src/core", "bids", "src/image", "src/clips", "src/evaluate", "src/preproc",
                             "src/app", "src/model/checkpoint"}) {
    for (const Include& include : includes_below(folder)) {
      EXPECT_FALSE(is_torch(include.target)) << include.file << " includes " << include.target;
    }
  }
}

TEST(Arrows, OneFolderOwnsEachLibrary) {
  const std::vector<std::pair<std::string, std::string>> owners{
      {"nifti", "src/image/"}, {"isa-l/", "src/image/"}, {"CLI/", "src/app/"}};
  std::map<std::string, std::set<std::string>> users;
  for (const char* folder : {"src", "bids", "pipelines"}) {
    for (const Include& include : includes_below(folder)) {
      for (const auto& [library, owner] : owners) {
        if (include.target.starts_with(library)) {
          EXPECT_TRUE(include.file.starts_with(owner)) << include.file << " includes " << include.target;
          users[library].insert(include.file);
        }
      }
    }
  }
  EXPECT_EQ(users["nifti"].size(), 1u) << "nifticlib has one user";
}

TEST(Arrows, NoTorchHeaderInACudaFile) {
  for (const Include& include : includes_below("src")) {
    if (include.file.ends_with(".cu")) {
      EXPECT_FALSE(is_torch(include.target)) << include.file;
    }
  }
}

TEST(Arrows, TheWholeTorchHeaderIsRare) {
  std::set<std::string> users;
  for (const char* folder : {"src", "pipelines"}) {
    for (const Include& include : includes_below(folder)) {
      if (include.target == "torch/torch.h") {
        users.insert(include.file);
      }
    }
  }
  EXPECT_LE(users.size(), 25u);
}

TEST(Errors, TheDocumentNamesExactlyTheCodesOfTheTable) {
  const auto codes_of = [](const std::string& path) {
    std::ifstream file(fs::path(SLIM_SOURCE_DIR) / path);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const std::regex pattern("SB[0-9]{4}");
    std::set<std::string> codes;
    for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
      codes.insert(it->str());
    }
    return codes;
  };
  EXPECT_EQ(codes_of("src/core/error.h"), codes_of("docs/errors.md"));
}

}  // namespace
}  // namespace slim
