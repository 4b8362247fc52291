// SPDX-License-Identifier: Apache-2.0
#include "core/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <string>

#include "core/atomic_file.h"
#include "core/error.h"
#include "tests/support/run_program.h"

namespace fs = std::filesystem;

namespace slim {
namespace {

std::string with_header(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data_bytes, '\x01');
}

SafetensorsFile parse(const std::string& bytes) {
  return SafetensorsFile::parse(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.safetensors");
}

void expect_refused(const std::string& bytes, const std::string& why) {
  try {
    parse(bytes);
    ADD_FAILURE() << "accepted: " << why;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB2020") << why << ": " << error.what();
    EXPECT_EQ(error.details().file, "x.safetensors");
  }
}

constexpr const char* kGood = R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";

/// Every type, an empty tensor, a scalar.
const std::vector<TensorSpec> kAll{{.name = "bool", .dtype = DType::Bool, .shape = {3}},
                                   {.name = "u8", .dtype = DType::U8, .shape = {5}},
                                   {.name = "i8", .dtype = DType::I8, .shape = {8}},
                                   {.name = "u16", .dtype = DType::U16, .shape = {2, 2}},
                                   {.name = "i16", .dtype = DType::I16, .shape = {4}},
                                   {.name = "f16", .dtype = DType::F16, .shape = {4}},
                                   {.name = "empty", .dtype = DType::F32, .shape = {0, 7}},
                                   {.name = "u32", .dtype = DType::U32, .shape = {2}},
                                   {.name = "i32", .dtype = DType::I32, .shape = {2}},
                                   {.name = "f32", .dtype = DType::F32, .shape = {1, 2, 3}},
                                   {.name = "u64", .dtype = DType::U64, .shape = {1}},
                                   {.name = "i64", .dtype = DType::I64, .shape = {}},
                                   {.name = "f64", .dtype = DType::F64, .shape = {2}},
                                   {.name = "n\"\u00e4me", .dtype = DType::U8, .shape = {1}}};

void write_all(const fs::path& path, size_t piece) {
  SafetensorsWriter writer(path, kAll, {{"key", "value"}, {"\u00fc", "\"quoted\"\n"}});
  std::string bytes;
  for (const TensorSpec& tensor : kAll) {
    std::string data(tensor.bytes(), '\0');
    std::iota(data.begin(), data.end(), static_cast<char>(0));
    if (tensor.dtype == DType::Bool) {
      data = std::string("\1\0\1", 3);
    }
    bytes += data;
  }
  for (size_t at = 0; at < bytes.size(); at += piece) {
    const std::string part = bytes.substr(at, piece);
    writer.append(std::as_bytes(std::span(part.data(), part.size())));
  }
  writer.finish();
}

TEST(Safetensors, RoundTripKeepsEveryTypeShapeByteAndText) {
  const test::TempFolder folder;
  write_all(folder / "a.safetensors", 3);
  const SafetensorsFile file = SafetensorsFile::open(folder / "a.safetensors");
  ASSERT_EQ(file.tensors().size(), kAll.size());
  EXPECT_EQ(file.metadata().at("\u00fc"), "\"quoted\"\n");
  for (const TensorSpec& spec : kAll) {
    const TensorSpec* found = file.find(spec.name);
    ASSERT_NE(found, nullptr) << spec.name;
    EXPECT_EQ(found->dtype, spec.dtype);
    EXPECT_EQ(found->shape, spec.shape);
    const auto data = file.data(*found);
    ASSERT_EQ(data.size(), spec.bytes());
    for (size_t i = 0; i < data.size() && spec.dtype != DType::Bool; ++i) {
      EXPECT_EQ(static_cast<size_t>(data[i]), i);
    }
  }
  EXPECT_EQ(file.find("none"), nullptr);
}

TEST(Safetensors, DataStartsAtAMultipleOf4096AndPiecesDoNotMatter) {
  const test::TempFolder folder;
  write_all(folder / "a", 1);
  write_all(folder / "b", 1000);
  EXPECT_EQ(read_text(folder / "a"), read_text(folder / "b"));
  const SafetensorsFile file = SafetensorsFile::open(folder / "a");
  EXPECT_EQ(file.file_offset(file.tensors().front()) % 4096, 0u);
  const std::string bytes = read_text(folder / "a");
  const TensorSpec& last = file.tensors().back();
  EXPECT_EQ(file.file_offset(last) + last.bytes(), bytes.size());
}

TEST(Safetensors, PythonReadsOursAndWeReadPythons) {
  const auto python = test::judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  const test::TempFolder folder;
  write_all(folder / "ours.safetensors", 1000);
  const test::ProgramResult result =
      test::run_program(*python, {SLIM_SOURCE_DIR "/tests/core/judge_safetensors.py",
                                  folder / "ours.safetensors", folder / "theirs.safetensors"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const SafetensorsFile file = SafetensorsFile::open(folder / "theirs.safetensors");
  EXPECT_EQ(file.metadata().at("made by"), "python");
  const TensorSpec* f64 = file.find("f64");
  ASSERT_NE(f64, nullptr);
  EXPECT_EQ(f64->shape, (std::vector<int64_t>{2, 3}));
  double third = 0;
  std::memcpy(&third, file.data(*f64).data() + 16, 8);
  EXPECT_EQ(third, 2.5);
  ASSERT_NE(file.find("empty"), nullptr);
  EXPECT_EQ(file.find("empty")->count(), 0);
  ASSERT_NE(file.find("scalar"), nullptr);
  EXPECT_EQ(file.find("scalar")->count(), 1);
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const test::TempFolder folder;
  write_all(folder / "a", 1000);
  const std::string bytes = read_text(folder / "a");
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(parse(bytes.substr(0, length)), Error) << length;
  }
  EXPECT_NO_THROW(parse(bytes));
  EXPECT_THROW(parse(bytes + "x"), Error);
}

TEST(Safetensors, HostileHeadersAreRefused) {
  EXPECT_NO_THROW(parse(with_header(kGood, 16)));
  expect_refused(std::string(8, '\xff') + "{}", "length beyond everything");
  expect_refused(with_header("", 0), "no header");
  expect_refused(with_header(" {}", 0), "does not begin with a brace");
  expect_refused(with_header("[]", 0), "not an object");
  expect_refused(with_header("{}x", 0), "text after the object");
  expect_refused(with_header(std::string("{}\0", 3), 0), "zero after the object");
  const auto entry = [](const std::string& inner) { return "{\"a\":{" + inner + "}}"; };
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,2])"), 16), "no offsets");
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,2],"data_offsets":[0,16],"x":1)"), 16),
                 "unknown key");
  expect_refused(with_header(entry(R"("dtype":"F99","shape":[2,2],"data_offsets":[0,16])"), 16),
                 "unknown type");
  expect_refused(with_header(entry(R"("dtype":7,"shape":[2,2],"data_offsets":[0,16])"), 16),
                 "type is a number");
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,-2],"data_offsets":[0,16])"), 16),
                 "negative length");
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,2.0],"data_offsets":[0,16])"), 16),
                 "fraction");
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,3],"data_offsets":[0,16])"), 16),
                 "shape too large");
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,2],"data_offsets":[16,0])"), 16),
                 "turned offsets");
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,2],"data_offsets":[0,16,16])"), 16),
                 "three offsets");
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,2],"data_offsets":[4,20])"), 20),
                 "gap at the front");
  expect_refused(with_header(entry(R"("dtype":"F32","shape":[2,2],"data_offsets":[0,16])"), 20),
                 "bytes behind");
  expect_refused(
      with_header(entry(R"("dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0])"), 0),
      "overflow");
  expect_refused(with_header(entry(R"("dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0])"), 0),
                 "length beyond int64");
  expect_refused(with_header(entry(R"("dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0])"), 0),
                 "bytes overflow");
  expect_refused(with_header(R"({"__metadata__":{"a":1}})", 0), "metadata that is not text");
  expect_refused(with_header(R"({"__metadata__":[]})", 0), "metadata that is no object");
  expect_refused(with_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                             1),
                 "two tensors on the same bytes");
  expect_refused(with_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                             2),
                 "one name twice");
}

TEST(Safetensors, WhatIsNoFileIsRefusedWithoutWaiting) {
  const test::TempFolder folder;
  EXPECT_THROW(SafetensorsFile::open(folder.path()), Error);
  write_text(folder / "empty", "");
  EXPECT_THROW(SafetensorsFile::open(folder / "empty"), Error);
  try {
    SafetensorsFile::open(folder / "none");
    FAIL() << "opened a file that does not exist";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "SB2101");
  }
}

TEST(Safetensors, TheDataOutlivesTheFileObjectItWasCopiedFrom) {
  const test::TempFolder folder;
  write_all(folder / "a", 1000);
  SafetensorsFile copy;
  {
    const SafetensorsFile file = SafetensorsFile::open(folder / "a");
    copy = file;
  }
  EXPECT_EQ(static_cast<int>(copy.data(*copy.find("u8"))[4]), 4);
}

TEST(Safetensors, TheWriterRefusesWrongAmountsAndImpossibleNames) {
  const test::TempFolder folder;
  const std::string bytes(5, 'x');
  const auto span = std::as_bytes(std::span(bytes.data(), bytes.size()));
  SafetensorsWriter less(folder / "a", {{.name = "a", .dtype = DType::U8, .shape = {6}}}, {});
  less.append(span);
  EXPECT_THROW(less.finish(), Error);
  EXPECT_THROW(less.append(span), Error);
  const TensorSpec one{.name = "a", .dtype = DType::U8, .shape = {1}};
  EXPECT_THROW(SafetensorsWriter(folder / "b", {one, one}, {}), Error);
  EXPECT_THROW(
      SafetensorsWriter(folder / "b", {{.name = "__metadata__", .dtype = DType::U8, .shape = {1}}}, {}),
      Error);
  EXPECT_THROW(SafetensorsWriter(folder / "b", {{.name = "\xff", .dtype = DType::U8, .shape = {1}}}, {}),
               Error);
  EXPECT_FALSE(fs::exists(folder / "b"));
}

}  // namespace
}  // namespace slim
