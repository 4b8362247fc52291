// SPDX-License-Identifier: Apache-2.0
#include "core/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <string_view>
#include <tuple>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"
#include "core/mapped_file.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is used in place");

struct DTypeRow {
  DType dtype;
  std::string_view name;
  size_t size;
};
constexpr std::array kDTypes{
    DTypeRow{DType::Bool, "BOOL", 1}, DTypeRow{DType::U8, "U8", 1},   DTypeRow{DType::I8, "I8", 1},
    DTypeRow{DType::U16, "U16", 2},   DTypeRow{DType::I16, "I16", 2}, DTypeRow{DType::F16, "F16", 2},
    DTypeRow{DType::BF16, "BF16", 2}, DTypeRow{DType::U32, "U32", 4}, DTypeRow{DType::I32, "I32", 4},
    DTypeRow{DType::F32, "F32", 4},   DTypeRow{DType::U64, "U64", 8}, DTypeRow{DType::I64, "I64", 8},
    DTypeRow{DType::F64, "F64", 8}};

const DTypeRow& row_of(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kDataAlignment = 4096;
// A model has some hundred tensors (60 kB of header); a hostile header must not make us build gigabytes of
// JSON.
constexpr uint64_t kMaxHeaderBytes = uint64_t{32} << 20;
constexpr size_t kMaxRank = 32;

[[noreturn]] void fail(const fs::path& path, std::string sentence, std::string expected = {},
                       std::string found = {}) {
  throw Error(message::kBadStore, "This safetensors file is broken: " + std::move(sentence),
              {.file = path.string(), .expected = std::move(expected), .found = std::move(found)});
}

/// Bytes of a tensor; nullopt where the product does not fit.
bool checked_bytes(const std::vector<int64_t>& shape, DType dtype, uint64_t& bytes) {
  bytes = size_of(dtype);
  for (const int64_t length : shape) {
    if (length < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(length), &bytes)) {
      return false;
    }
  }
  return bytes <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

uint64_t unsigned_number(const json& value, const fs::path& path, const std::string& tensor,
                         const char* key) {
  if (!value.is_number_unsigned()) {
    fail(path,
         "\"" + std::string(key) + "\" of \"" + tensor + "\" holds something else than whole numbers >= 0.");
  }
  const auto number = value.get<uint64_t>();
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    fail(path, "\"" + std::string(key) + "\" of \"" + tensor + "\" is out of range.");
  }
  return number;
}

struct Entry {
  TensorSpec spec;
  uint64_t begin = 0, end = 0;
};

Entry parse_entry(const std::string& name, const json& value, const fs::path& path) {
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets")) {
    fail(path, "the entry of \"" + name + "\" is not one object of dtype, shape and data_offsets.");
  }
  const json& dtype = value.at("dtype");
  const json& shape = value.at("shape");
  const json& offsets = value.at("data_offsets");
  if (!dtype.is_string() || !shape.is_array() || !offsets.is_array() || offsets.size() != 2) {
    fail(path, "the entry of \"" + name + "\" holds values of the wrong kind.");
  }
  const auto* row = std::find_if(kDTypes.begin(), kDTypes.end(), [&](const DTypeRow& candidate) {
    return candidate.name == dtype.get_ref<const std::string&>();
  });
  if (row == kDTypes.end()) {
    fail(path, "\"" + name + "\" has an unknown type.", {}, dtype.get<std::string>());
  }
  if (shape.size() > kMaxRank) {
    fail(path, "\"" + name + "\" has too many dimensions.");
  }
  Entry entry{.spec = {.name = name, .dtype = row->dtype, .shape = {}},
              .begin = unsigned_number(offsets[0], path, name, "data_offsets"),
              .end = unsigned_number(offsets[1], path, name, "data_offsets")};
  for (const json& length : shape) {
    entry.spec.shape.push_back(static_cast<int64_t>(unsigned_number(length, path, name, "shape")));
  }
  uint64_t bytes = 0;
  if (!checked_bytes(entry.spec.shape, row->dtype, bytes) || entry.begin > entry.end ||
      entry.end - entry.begin != bytes) {
    fail(path, "shape, type and offsets of \"" + name + "\" disagree.");
  }
  return entry;
}

std::map<std::string, std::string> parse_metadata(const json& value, const fs::path& path) {
  if (!value.is_object()) {
    fail(path, "\"__metadata__\" is not an object.");
  }
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      fail(path, "\"" + key + "\" of \"__metadata__\" is not text.");
    }
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

}  // namespace

size_t size_of(DType dtype) { return row_of(dtype).size; }
std::string name_of(DType dtype) { return std::string(row_of(dtype).name); }

int64_t TensorSpec::count() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

SafetensorsFile SafetensorsFile::open(const fs::path& path) {
  const MappedFile mapping = MappedFile::open(path, message::kBadStore);
  SafetensorsFile file = parse(mapping.bytes(), path);
  file.mapping_ = std::make_shared<MappedFile>(mapping);
  return file;
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, const fs::path& name) {
  uint64_t header_bytes = 0;
  if (bytes.size() < kLengthBytes) {
    fail(name, "it ends inside the header's length.");
  }
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - kLengthBytes) {
    fail(name, "the header's length cannot be right.",
         "at most " + std::to_string(std::min<uint64_t>(kMaxHeaderBytes, bytes.size() - kLengthBytes)),
         std::to_string(header_bytes));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, header_bytes);
  if (!text.starts_with('{')) {
    fail(name, "the header does not begin with a brace.");
  }
  const json header = parse_json(text, name, message::kBadStore);

  SafetensorsFile file;
  file.path_ = name;
  file.bytes_ = bytes;
  std::vector<Entry> entries;
  for (const auto& [key, value] : header.items()) {
    if (key == "__metadata__") {
      file.metadata_ = parse_metadata(value, name);
    } else {
      entries.push_back(parse_entry(key, value, name));
    }
  }
  // The end breaks ties, so that tensors without elements come before the one that starts at the same byte.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.spec.name) < std::tie(b.begin, b.end, b.spec.name);
  });
  uint64_t at = 0;
  const uint64_t data_start = kLengthBytes + header_bytes;
  for (Entry& entry : entries) {
    if (entry.begin != at) {
      fail(name, "the data of \"" + entry.spec.name + "\" overlaps another tensor's or leaves a gap.",
           "offset " + std::to_string(at), std::to_string(entry.begin));
    }
    at = entry.end;
    file.index_.emplace(entry.spec.name, file.tensors_.size());
    // May be past the end of a truncated file; checked below, before anybody sees it.
    file.offsets_.push_back(data_start + entry.begin);
    file.tensors_.push_back(std::move(entry.spec));
  }
  if (at != bytes.size() - data_start) {
    fail(name, "its length is not what the header announces.", std::to_string(at) + " bytes of data",
         std::to_string(bytes.size() - data_start));
  }
  return file;
}

const TensorSpec* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

uint64_t SafetensorsFile::file_offset(const TensorSpec& tensor) const {
  const auto found = index_.find(tensor.name);
  if (found == index_.end() || tensors_[found->second].bytes() != tensor.bytes()) {
    throw Error(message::kBug, "A tensor of another file was asked for.",
                {.file = path_.string(), .found = tensor.name});
  }
  return offsets_[found->second];
}

std::span<const std::byte> SafetensorsFile::data(const TensorSpec& tensor) const {
  return bytes_.subspan(file_offset(tensor), tensor.bytes());
}

struct SafetensorsWriter::State {
  OutputFile file;
  uint64_t announced = 0, appended = 0;
};

SafetensorsWriter::SafetensorsWriter(const fs::path& path, std::vector<TensorSpec> tensors,
                                     const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    header["__metadata__"] = metadata;
  }
  uint64_t at = 0;
  std::set<std::string_view> names;
  for (const TensorSpec& tensor : tensors) {
    uint64_t bytes = 0, end = 0;
    if (!checked_bytes(tensor.shape, tensor.dtype, bytes) || __builtin_add_overflow(at, bytes, &end) ||
        tensor.name == "__metadata__" || !names.insert(tensor.name).second) {
      throw Error(message::kBug, "A tensor cannot be written: its name or its shape is not possible.",
                  {.file = path.string(), .found = tensor.name});
    }
    header[tensor.name] = {
        {"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    throw Error(message::kBug, "A safetensors name or metadata value is not UTF-8.", {.file = path.string()});
  }
  text.append((kDataAlignment - (kLengthBytes + text.size()) % kDataAlignment) % kDataAlignment, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw Error(message::kBug, "The safetensors header is too long.", {.file = path.string()});
  }
  state_.reset(new State{.file = OutputFile(path), .announced = at, .appended = 0});
  const uint64_t length = text.size();
  state_->file.write(std::as_bytes(std::span(&length, 1)));
  state_->file.write(text);
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  if (bytes.size() > state_->announced - state_->appended) {
    throw Error(message::kBug, "More bytes were appended to a safetensors file than announced.");
  }
  state_->file.write(bytes);
  state_->appended += bytes.size();
}

void SafetensorsWriter::finish() {
  if (state_->appended != state_->announced) {
    throw Error(message::kBug, "Fewer bytes were appended to a safetensors file than announced.",
                {.expected = std::to_string(state_->announced), .found = std::to_string(state_->appended)});
  }
  state_->file.finish();
}

}  // namespace slim
