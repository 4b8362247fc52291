// SPDX-License-Identifier: Apache-2.0
#include "core/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;

namespace slim {
namespace {

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

std::string code_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return "nothing was thrown";
}

TEST(AtomicFile, AppearsWholeAndLeavesNothingElse) {
  const test::TempFolder folder;
  write_atomically(folder / "a.txt", [](const fs::path& path) { write_text(path, "content"); });
  EXPECT_EQ(read_text(folder / "a.txt"), "content");
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(AtomicFile, AWriterThatThrowsLeavesNothingAndKeepsTheOldFile) {
  const test::TempFolder folder;
  write_text(folder / "a.txt", "old");
  const auto failing = [](const fs::path& path) {
    write_text(path, "half of the new");
    throw std::runtime_error("the disk burns");
  };
  EXPECT_THROW(write_atomically(folder / "a.txt", failing), std::runtime_error);
  EXPECT_THROW(write_atomically(folder / "b.txt", failing), std::runtime_error);
  EXPECT_EQ(read_text(folder / "a.txt"), "old");
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(AtomicFile, AWriterThatWritesNothingIsAnErrorAndNoFile) {
  const test::TempFolder folder;
  EXPECT_EQ(code_of([&] { write_atomically(folder / "a.txt", [](const fs::path&) {}); }), "SB5002");
  EXPECT_EQ(entries(folder.path()), 0u);
}

TEST(AtomicFile, TheTemporaryNameKeepsTheExtensionAndIsHidden) {
  const test::TempFolder folder;
  write_atomically(folder / "a.nii.gz", [&](const fs::path& path) {
    EXPECT_EQ(path.parent_path(), folder.path());
    EXPECT_TRUE(path.filename().string().starts_with(kPartialPrefix));
    EXPECT_TRUE(path.filename().string().ends_with("-a.nii.gz"));
    EXPECT_FALSE(fs::exists(folder / "a.nii.gz"));
    write_text(path, "x");
  });
}

TEST(AtomicFile, WritersAtTheSameTimeNeverMixTheirContents) {
  const test::TempFolder folder;
  const auto content = [](int writer) { return std::string(50'000, static_cast<char>('a' + writer)); };
  write_atomically(folder / "a.txt", [&](const fs::path& path) { write_text(path, content(0)); });
  std::atomic<bool> done = false;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&, writer] {
      for (int i = 0; i < 25; ++i) {
        write_atomically(folder / "a.txt", [&](const fs::path& path) { write_text(path, content(writer)); });
      }
    });
  }
  std::thread reader([&] {
    while (!done) {
      const std::string text = read_text(folder / "a.txt");
      EXPECT_EQ(text.size(), 50'000u);
      EXPECT_EQ(text.find_first_not_of(text.front()), std::string::npos);
    }
  });
  for (std::thread& writer : writers) {
    writer.join();
  }
  done = true;
  reader.join();
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(AtomicFile, AFullDiskIsAnErrorWithARemedy) {
  if (::access("/dev/full", W_OK) != 0) {
    GTEST_SKIP() << "/dev/full does not exist";
  }
  OutputFile file("/dev/full");
  try {
    file.write(std::string_view("x"));
    FAIL() << "a full device took a byte";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB5002");
    EXPECT_NE(error.details().remedy.find("free some space"), std::string::npos);
  }
}

TEST(AtomicFile, PlacesThatCannotBeWrittenAreNamed) {
  const test::TempFolder folder;
  write_text(folder / "file", "x");
  EXPECT_EQ(code_of([&] { OutputFile file(folder / "none" / "a"); }), "SB5001");
  EXPECT_EQ(code_of([&] { create_folder(folder / "file" / "sub"); }), "SB5001");
  EXPECT_EQ(code_of([&] { read_text(folder / "file" / "sub"); }), "SB2101");
  EXPECT_EQ(code_of([&] { read_text(folder.path()); }), "SB5002");
}

TEST(AtomicFile, EqualTextIsNotWrittenAgain) {
  const test::TempFolder folder;
  EXPECT_TRUE(write_text_if_different(folder / "a", "one"));
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat((folder / "a").c_str(), &before), 0);
  EXPECT_FALSE(write_text_if_different(folder / "a", "one"));
  ASSERT_EQ(::stat((folder / "a").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_TRUE(write_text_if_different(folder / "a", "two"));
  EXPECT_EQ(read_text(folder / "a"), "two");
}

TEST(AtomicFile, UuidsAreVersionFourAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = make_uuid();
    ASSERT_EQ(uuid.size(), 36u);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

}  // namespace
}  // namespace slim
