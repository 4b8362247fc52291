// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace slim {

/// Element types of a safetensors file.
enum class DType { Bool, U8, I8, U16, I16, F16, BF16, U32, I32, F32, U64, I64, F64 };
size_t size_of(DType dtype);
std::string name_of(DType dtype);  // "F32", as in the file

/// A tensor's name, type and shape.
struct TensorSpec {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  /// Number of elements; 1 for a scalar.
  int64_t count() const;
  size_t bytes() const { return static_cast<size_t>(count()) * size_of(dtype); }
};

/// A safetensors file opened for reading (memory-mapped). Every defect of the header is Error SB2020.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& path);
  /// Parses bytes that outlive the result.
  static SafetensorsFile parse(std::span<const std::byte> bytes, const std::filesystem::path& name);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// In the order of their data.
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  /// nullptr when there is none of that name.
  const TensorSpec* find(const std::string& name) const;
  /// The raw little-endian bytes of a tensor, and where they start in the file.
  std::span<const std::byte> data(const TensorSpec& tensor) const;
  uint64_t file_offset(const TensorSpec& tensor) const;

 private:
  std::filesystem::path path_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorSpec> tensors_;
  std::map<std::string, size_t> index_;     // name -> place in tensors_
  std::vector<uint64_t> offsets_;           // from the start of the file
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> mapping_;     // unmaps when the last copy goes
};

/// Writes a safetensors file front to back: the header (padded with blanks so that data starts at a multiple of 4,096)
/// at once, then the tensors' bytes in the order of `tensors`, in pieces of any size.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorSpec> tensors,
                    const std::map<std::string, std::string>& metadata);
  ~SafetensorsWriter();
  void append(std::span<const std::byte> bytes);
  /// Error SB9001 unless exactly the announced bytes were appended; synchronises and closes.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace slim
