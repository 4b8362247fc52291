// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "core/atomic_file.h"
#include "model/checkpoint/float_tensor.h"
#include "model/checkpoint/pth_reader.h"
#include "model/checkpoint/pth_writer.h"
#include "tests/model/checkpoint/checkpoint_testing.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

using test::bytes_of;
using test::error_of;
using test::torch_zip;
using namespace std::string_literals;

const StoredTensor& tensor(const PthFile& file, const std::string& name) {
  for (const StoredTensor& stored : file.tensors()) {
    if (stored.spec.name == name) {
      return stored;
    }
  }
  throw std::runtime_error("no tensor " + name);
}

std::vector<float> values(const StoredTensor& stored) {
  return to_float32(stored.contiguous(), stored.spec.dtype);
}

class TorchFixture : public testing::TestWithParam<const char*> {
 protected:
  fs::path path() const {
    return fs::path(SLIM_SOURCE_DIR) / "tests/model/checkpoint/fixtures" / ("torch_"s + GetParam() + ".pth");
  }
};

TEST_P(TorchFixture, IsReadValueForValue) {
  const PthFile file = PthFile::open(path());
  EXPECT_EQ(file.container(), GetParam());
  EXPECT_EQ(file.state_key(), "model_state_dict");
  EXPECT_EQ(file.epoch(), 3);
  EXPECT_FALSE(file.says_untrained());
  EXPECT_EQ(file.top_keys(), (std::vector<std::string>{"epoch", "model_state_dict", "args", "optimizer"}));
  EXPECT_EQ(file.opaque_names(), (std::vector<std::string>{"argparse.Namespace"}));
  ASSERT_EQ(file.tensors().size(), 9u);
  EXPECT_EQ(values(tensor(file, "a")), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(values(tensor(file, "b")), (std::vector<float>{4, 5, 6, 7}));
  EXPECT_EQ(tensor(file, "c").spec.shape, (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(values(tensor(file, "c")), (std::vector<float>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
  EXPECT_EQ(values(tensor(file, "h")), (std::vector<float>{0.5f, -2.0f}));
  EXPECT_EQ(values(tensor(file, "q")), (std::vector<float>{1.5f, -3.0f}));
  EXPECT_EQ(values(tensor(file, "d")), (std::vector<float>{2.25f}));
  EXPECT_EQ(tensor(file, "n").source_dtype, "int64");
  EXPECT_EQ(values(tensor(file, "p")), (std::vector<float>{1, 2}));
  EXPECT_TRUE(values(tensor(file, "empty")).empty());
  // The storage of the three views is one piece of the file.
  EXPECT_EQ(tensor(file, "a").storage.data(), tensor(file, "b").storage.data());
}

TEST_P(TorchFixture, EveryTruncationIsAnError) {
  const std::string bytes = read_text(path());
  for (size_t length = 0; length < bytes.size(); ++length) {
    const std::string error =
        error_of([&] { PthFile::parse(bytes_of(std::string_view(bytes).substr(0, length)), "x"); });
    EXPECT_TRUE(error.starts_with("SB2021")) << length << ": " << error;
  }
}

TEST_P(TorchFixture, SingleChangedBytesGiveAnErrorOrAFileWhoseTensorsAreReadable) {
  const std::string bytes = read_text(path());
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x41);
    try {
      const PthFile file = PthFile::parse(bytes_of(changed), "x");
      for (const StoredTensor& stored : file.tensors()) {
        EXPECT_EQ(stored.contiguous().size(), stored.spec.bytes());
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "SB2021");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Torch, TorchFixture, testing::Values("zip", "legacy"));

/// The pickle of {"a": tensor} with a storage of 6 floats, and the tensor's parts as given.
std::string one_tensor(const std::string& offset, const std::string& size, const std::string& stride,
                       const std::string& count = "K\x06") {
  return "\x80\x02}X\x01\0\0\0a"s +
         "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"s +
         "X\x01\0\0\0"
         "0X\x03\0\0\0cpu"s +
         count + "tQ" + offset + size + stride + "\x89}tRs.";
}

void expect_outside(const std::string& pickle) {
  const std::string zip = torch_zip(pickle, {{"0", std::string(24, '\0')}});
  const std::string error = error_of([&] { PthFile::parse(bytes_of(zip), "x.pth"); });
  EXPECT_TRUE(error.starts_with("SB2021")) << error;
}

TEST(Pth, AViewInsideItsStorageIsRead) {
  const std::string zip = torch_zip(one_tensor("K\x01", "K\x02\x85", "K\x03\x85"),
                                    {{"0", "\0\0\0\0\0\0\x80\x3f\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0"s}});
  const PthFile file = PthFile::parse(bytes_of(zip), "x.pth");
  EXPECT_EQ(values(tensor(file, "a")), (std::vector<float>{1, 2}));
}

TEST(Pth, ViewsOutsideTheirStorageAreRefused) {
  expect_outside(one_tensor("K\x01", "K\x06\x85", "K\x01\x85"));
  expect_outside(one_tensor("K\x06", ")", ")"));
  expect_outside(one_tensor("J\xff\xff\xff\xff", "K\x01\x85", "K\x01\x85"));
  expect_outside(one_tensor("K\0"s, "J\xff\xff\xff\xff\x85", "K\x01\x85"));
  expect_outside(one_tensor("K\0"s, "K\x02\x85", "J\xff\xff\xff\xff\x85"));
  expect_outside(one_tensor("K\0"s, "K\x02\x85", ")"));
  expect_outside(one_tensor("K\0"s, "K\x02K\x02\x86", "K\x04K\x04\x86"));
  const std::string huge = "\x8a\x08\0\0\0\0\0\0\0\x40"s;
  expect_outside(one_tensor("K\0"s, huge + huge + "\x86", "K\0K\0\x86"s));
  expect_outside(one_tensor("K\0"s, huge + "\x85", huge + "\x85"));
  expect_outside(one_tensor(huge, huge + "\x85", "K\x01\x85"));
  expect_outside(one_tensor("K\0"s, "K\x01\x85", "K\x01\x85", "K\x07"));
  expect_outside(one_tensor("K\0"s, "K\x01\x85", "K\x01\x85", huge));
  expect_outside(one_tensor("K\0"s, "K\x01\x85", "K\x01\x85", "J\xff\xff\xff\xff"));
}

TEST(Pth, KeysThatCouldWriteOnATerminalAreRefused) {
  std::string pickle = one_tensor("K\0"s, "K\x01\x85", "K\x01\x85");
  pickle[pickle.find("X\x01\0\0\0a"s) + 5] = '\x1b';
  expect_outside(pickle);
}

TEST(Pth, DictsThatContainThemselvesEndInAnError) {
  const std::string loop = "\x80\x02}q\0X\x01\0\0\0ah\0s."s;
  const std::string zip = torch_zip(loop, {});
  EXPECT_NE(error_of([&] { PthFile::parse(bytes_of(zip), "x"); }).find("nested too deeply"),
            std::string::npos);
  // Twenty dicts, each holding the next one twice: a million paths.
  std::string twice = "\x80\x02}q\0"s;
  for (int i = 1; i <= 30; ++i) {
    const auto at = static_cast<char>(i);
    const auto before = static_cast<char>(i - 1);
    twice += "}q"s + at + "(X\x01\0\0\0ah"s + before + "X\x01\0\0\0bh"s + before + "u";
  }
  const std::string wide = torch_zip(twice + ".", {});
  EXPECT_NE(error_of([&] { PthFile::parse(bytes_of(wide), "x"); }).find("too many entries"),
            std::string::npos);
}

TEST(Pth, FilesOfOtherKindsGetASentence) {
  EXPECT_NE(error_of([] { PthFile::parse(bytes_of("hello"), "x"); }).find("not a PyTorch checkpoint"),
            std::string::npos);
  EXPECT_NE(error_of([] { PthFile::parse(bytes_of(""), "x"); }).find("not a PyTorch checkpoint"),
            std::string::npos);
  EXPECT_TRUE(error_of([] { PthFile::open("/nonexistent/a.pth"); }).starts_with("SB2101"));
}

std::vector<std::byte> bytes_vector(const std::vector<float>& numbers) {
  const auto span = std::as_bytes(std::span(numbers));
  return {span.begin(), span.end()};
}

TEST(PthWriter, WhatItWritesIsReadBack) {
  const test::TempFolder folder;
  const std::vector<std::byte> data = bytes_vector({1, 2, 3, 4, 5, 6});
  const std::span<const std::byte> span(data);
  const std::vector<PthTensor> tensors{
      {.spec = {.name = "matrix", .dtype = DType::F32, .shape = {2, 3}}, .data = span},
      {.spec = {.name = "scalar", .dtype = DType::F32, .shape = {}}, .data = span.first(4)},
      {.spec = {.name = "deep", .dtype = DType::F32, .shape = {1, 1, 1, 1, 2, 3}}, .data = span},
      {.spec = {.name = "empty", .dtype = DType::F32, .shape = {0}}, .data = {}}};
  write_pth(folder / "a.pth", tensors, {.epoch = 12, .trained = false});
  write_pth(folder / "b.pth", tensors, {.epoch = 12, .trained = false});
  EXPECT_EQ(read_text(folder / "a.pth"), read_text(folder / "b.pth"));
  const PthFile file = PthFile::open(folder / "a.pth");
  EXPECT_EQ(file.epoch(), 12);
  EXPECT_TRUE(file.says_untrained());
  EXPECT_TRUE(file.opaque_names().empty());
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(values(tensor(file, "matrix")), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(tensor(file, "deep").spec.shape, (std::vector<int64_t>{1, 1, 1, 1, 2, 3}));
  EXPECT_EQ(tensor(file, "scalar").spec.shape.size(), 0u);
}

TEST(PthWriter, OtherTypesAndWrongSizesAreBugs) {
  const std::vector<std::byte> data(8);
  EXPECT_THROW(
      checkpoint_pickle({{.spec = {.name = "a", .dtype = DType::F64, .shape = {1}}, .data = data}}, {}),
      Error);
  EXPECT_THROW(
      checkpoint_pickle({{.spec = {.name = "a", .dtype = DType::F32, .shape = {1}}, .data = data}}, {}),
      Error);
}

TEST(PthWriter, NamesOnlyWhatTorchsSafeUnpicklerAdmits) {
  const auto python = test::judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  const test::TempFolder folder;
  const std::vector<std::byte> data = bytes_vector({1, 2, 3, 4, 5, 6});
  const std::vector<PthTensor> tensors{
      {.spec = {.name = "m", .dtype = DType::F32, .shape = {2, 3}}, .data = data},
      {.spec = {.name = "v", .dtype = DType::F32, .shape = {6}}, .data = data}};
  write_pth(folder / "trained.pth", tensors, {.epoch = 70'000, .trained = true});
  write_pth(folder / "untrained.pth", tensors, {.epoch = -1, .trained = false});
  for (const char* name : {"trained.pth", "untrained.pth"}) {
    const test::ProgramResult result =
        test::run_program(*python, {SLIM_SOURCE_DIR "/tests/model/checkpoint/judge_pth.py", folder / name});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_EQ(result.last_line(), name[0] == 't' ? "70000 True m=2x3 v=6" : "-1 False m=2x3 v=6");
  }
}

}  // namespace
}  // namespace slim::model
