// SPDX-License-Identifier: Apache-2.0
#include "model/device/device.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"
#include "model/device/cuda_plugin.h"

namespace slim::model {
namespace {

namespace fs = std::filesystem;

std::string problem_of(const fs::path& file) {
  const CudaPlugin plugin = open_cuda_plugin(file);
  EXPECT_EQ(plugin.api, nullptr);
  return plugin.problem;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(CudaPlugin, AnAbsentFileIsNamed) {
  EXPECT_TRUE(has(problem_of("/nowhere/libslim_cuda.so"), "/nowhere/libslim_cuda.so"));
}

TEST(CudaPlugin, AFileThatIsNoLibraryKeepsTheLoadersSentence) {
  const fs::path file = fs::path(::testing::TempDir()) / "no_library.so";
  std::ofstream(file) << "not an ELF file, but long enough to be looked at: " << std::string(200, 'x');
  EXPECT_TRUE(has(problem_of(file), "invalid ELF header")) << problem_of(file);
  fs::remove(file);
}

TEST(CudaPlugin, ALibraryWithoutATableIsRefused) {
  EXPECT_TRUE(has(problem_of(FAKE_PLUGIN_EMPTY), "slim_cuda_api"));
}

TEST(CudaPlugin, AnotherInterfaceIsRefusedWithBothNumbers) {
  const std::string problem = problem_of(FAKE_PLUGIN_OTHER_VERSION);
  EXPECT_TRUE(has(problem, "99")) << problem;
  EXPECT_TRUE(has(problem, "needs " + std::to_string(kCudaApiVersion))) << problem;
}

TEST(CudaPlugin, AnotherBuildIsRefusedWithBothTexts) {
  const std::string problem = problem_of(FAKE_PLUGIN_OTHER_BUILD);
  EXPECT_TRUE(has(problem, "torch 1.0")) << problem;
  EXPECT_TRUE(has(problem, cuda_build_id())) << problem;
}

TEST(CudaPlugin, AFittingPluginGivesItsTable) {
  const CudaPlugin plugin = open_cuda_plugin(FAKE_PLUGIN_GOOD);
  ASSERT_NE(plugin.api, nullptr) << plugin.problem;
  EXPECT_TRUE(plugin.problem.empty());
  EXPECT_EQ(plugin.api->report(1).name, "Fake 1");
}

TEST(CudaPlugin, TheRealOneLoadsOrSaysWhatIsMissing) {
#ifdef SLIM_CUDA_PLUGIN
  const CudaPlugin plugin = open_cuda_plugin(SLIM_CUDA_PLUGIN);
  if (plugin.api == nullptr) {
    EXPECT_TRUE(has(plugin.problem, "cannot open shared object file")) << plugin.problem;
    return;
  }
  std::string problem;
  const int count = plugin.api->count(problem);
  EXPECT_EQ(count == 0, !problem.empty());
  for (int device = 0; device < count; ++device) {
    EXPECT_GT(plugin.api->report(device).memory_bytes, 0U);
  }
#else
  GTEST_SKIP() << "this build has no CUDA plugin";
#endif
}

TEST(CudaPlugin, IsLookedForOnlyWhereAStageMayRunAModel) {
  const auto looked_for = [](const std::vector<std::string>& words) {
    load_cuda_plugin_if_wanted(words);
    return !has(cuda_plugin().problem, "not looked for");
  };
  EXPECT_FALSE(looked_for({"bids", "out", "participant", "--stages", "prep"}));
  EXPECT_FALSE(looked_for({"-", "out", "group", "--stages", "index", "aggregate", "--force"}));
  EXPECT_FALSE(looked_for({"bids", "out", "participant", "--stages=prep,index"}));
  EXPECT_FALSE(looked_for({"bids", "out", "participant", "--device", "cpu"}));
  EXPECT_FALSE(looked_for({"bids", "out", "participant", "--device=cpu", "--stages", "embed"}));
  EXPECT_FALSE(looked_for({"--help"}));
  // The answer holds for the rest of the process.
  EXPECT_TRUE(looked_for({"-", "out", "group", "--stages", "index", "pretrain"}));
}

TEST(Device, AutoAndNamesWithAPlugin) {
  const CudaPlugin plugin = open_cuda_plugin(FAKE_PLUGIN_GOOD);
  EXPECT_EQ(resolve_device("auto", plugin).name, "cuda:0");
  EXPECT_EQ(resolve_device("cuda", plugin).name, "cuda:0");
  EXPECT_EQ(resolve_device("cuda:1", plugin).name, "cuda:1");
  EXPECT_EQ(resolve_device("cpu", plugin).name, "cpu");
  try {
    resolve_device("cuda:2", plugin);
    FAIL() << "a third device was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), message::kNoDevice.code);
    EXPECT_TRUE(has(error.sentence(), "2 CUDA devices")) << error.sentence();
  }
}

TEST(Device, WithoutAPluginAutoSaysWhyAndCudaIsAnError) {
  const CudaPlugin plugin = open_cuda_plugin("/nowhere/libslim_cuda.so");
  const DeviceChoice choice = resolve_device("auto", plugin);
  EXPECT_EQ(choice.name, "cpu");
  EXPECT_TRUE(has(choice.note, "/nowhere/libslim_cuda.so")) << choice.note;
  for (const char* word : {"cuda", "cuda:0"}) {
    try {
      resolve_device(word, plugin);
      FAIL() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), message::kNoDevice.code);
      EXPECT_EQ(error.fault(), Fault::Unavailable);
      EXPECT_TRUE(has(error.sentence(), "/nowhere/libslim_cuda.so")) << error.sentence();
      EXPECT_FALSE(error.details().remedy.empty());
    }
  }
}

TEST(Device, OtherWordsAreRefused) {
  for (const char* word : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:99999999999", "CPU"}) {
    try {
      resolve_device(word, CudaPlugin{});
      FAIL() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), message::kBadValue.code) << word;
    }
  }
}

}  // namespace
}  // namespace slim::model
