// SPDX-License-Identifier: Apache-2.0
#include "bids/ignore.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <string>

#include "tests/support/run_program.h"
#include "tests/support/synthetic_bids.h"

namespace slim::bids {
namespace {

TEST(IgnoreRules, MatchLikeGitignore) {
  struct Case {
    const char* rules;
    const char* path;
    bool is_folder, ignored;
  };
  for (const Case& c : {Case{"", "a", false, false},
                        {"*.html", "sub-01.html", false, true},
                        {"*.html", "sub-01/figures/x.html", false, true},
                        {"logs/", "logs", true, true},
                        {"logs/", "logs", false, false},
                        {"logs/", "sub-01/logs", true, true},
                        {"/logs", "sub-01/logs", true, false},
                        {"sub-01/logs", "sub-01/logs", true, true},
                        {"sub-01/logs", "x/sub-01/logs", true, false},
                        {"**/logs", "a/b/logs", true, true},
                        {"**/logs", "logs", true, true},
                        {"a/**", "a", true, false},
                        {"a/**", "a/b/c", false, true},
                        {"a/**/c", "a/c", false, true},
                        {"a/**/c", "a/b/b/c", false, true},
                        {"a/*/c", "a/b/b/c", false, false},
                        {"*_xfm.*\n!sub-01_xfm.*", "sub-01_xfm.h5", false, false},
                        {"*_xfm.*\n!sub-01_xfm.*", "sub-02_xfm.h5", false, true},
                        {"!*_xfm.*\n*_xfm.*", "sub-02_xfm.h5", false, true},
                        {"# *.html", "a.html", false, false},
                        {"\\#a", "#a", false, true},
                        {"\\!a", "!a", false, true},
                        {"a?c", "abc", false, true},
                        {"a?c", "a/c", false, false},
                        {"[a-c]x", "bx", false, true},
                        {"[!a-c]x", "bx", false, false},
                        {"[]]x", "]x", false, true},
                        {"[x", "[x", false, true},
                        {"a*b*c", "aXbYbZc", false, true},
                        {"a\r\nb  ", "a", false, true},
                        {"a\r\nb  ", "b", false, true},
                        {"/", "a", true, false}}) {
    EXPECT_EQ(IgnoreRules(c.rules).ignores(c.path, c.is_folder), c.ignored) << c.rules << " on " << c.path;
  }
}

TEST(IgnoreRules, AgreeWithGitOnRandomRules) {
  if (std::system("git --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "git is not installed";
  const test::TempFolder folder;
  const std::string at = folder.path().string();
  ASSERT_EQ(std::system(("git init -q " + at + " > /dev/null 2>&1").c_str()), 0);
  // Files at two depths; only names, so that no folder is hidden and git judges each file by itself.
  std::vector<std::string> paths;
  for (const char* parent : {"", "a/", "b/", "a/b/"}) {
    for (const char* name : {"x.t", "xx.t", "y.t", "ab", "abc", "a.b.c"})
      paths.push_back(std::string(parent) + name);
  }
  for (const std::string& path : paths) test::write_file(folder.path() / path, "");
  std::mt19937 random(5);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const std::vector<std::string> pieces{"x", "*",   "?",    ".t",   "a", "b",  "c",
                                        "/", "**/", "[xy]", "[!x]", ".", "*.*"};
  int ignored = 0;
  for (int i = 0; i < 60; ++i) {
    std::string rules;
    for (size_t line = 1 + below(4); line > 0; --line) {
      if (below(4) == 0) rules += "!";
      for (size_t n = 1 + below(5); n > 0; --n) rules += pieces[below(pieces.size())];
      rules += "\n";
    }
    test::write_file(folder.path() / ".gitignore", rules);
    // --no-index: judge by rules alone; stdout lists the ignored paths.
    std::string command = "cd " + at + " && git check-ignore --no-index";
    for (const std::string& path : paths) command += " " + path;
    std::system((command + " > listed 2> /dev/null").c_str());
    std::ifstream file(folder.path() / "listed");
    std::vector<std::string> by_git;
    for (std::string line; std::getline(file, line);) by_git.push_back(line);
    const IgnoreRules ours(rules);
    std::vector<std::string> by_us;
    for (const std::string& path : paths) {
      bool hidden = false;
      for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        hidden = hidden || ours.ignores(path.substr(0, slash), true);
      }
      if (hidden || ours.ignores(path, false)) by_us.push_back(path);
    }
    ASSERT_EQ(by_us, by_git) << rules;
    ignored += static_cast<int>(by_us.size());
  }
  EXPECT_GT(ignored, 100);
}

TEST(IgnoreRules, HostileRulesEnd) {
  std::string pattern, path;
  for (int i = 0; i < 200; ++i) pattern += "**/", path += "a/";
  EXPECT_FALSE(IgnoreRules(pattern + "b").ignores(path + "c", false));
  EXPECT_FALSE(IgnoreRules(std::string(5000, '*') + "b").ignores(std::string(5000, 'a'), false));
  std::mt19937 random(6);
  constexpr std::string_view kLikely = "[]!*?\\/a-z#\n";
  for (int i = 0; i < 20000; ++i) {
    std::string rules;
    for (int n = 0; n < 12; ++n)
      rules += kLikely[std::uniform_int_distribution<size_t>(0, kLikely.size() - 1)(random)];
    IgnoreRules(rules).ignores("a/[z/a", false);
  }
}

}  // namespace
}  // namespace slim::bids
