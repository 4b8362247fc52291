// SPDX-License-Identifier: Apache-2.0
#include "clips/clip_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <future>
#include <numeric>
#include <system_error>

#include "core/error.h"
#include "core/half.h"

namespace fs = std::filesystem;

namespace slim::clips {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kSumBlock = 64 * static_cast<size_t>(kTokenVoxels);

struct FrameSums {
  double sum = 0.0, squares = 0.0;
};

double tree_sum(std::array<double, kLanes> lanes) {
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) {
      lanes[lane] += lanes[lane + width];
    }
  }
  return lanes[0];
}

/// Sums of a frame's stored values in a fixed order; values outside the valid voxels are 0 and add nothing.
FrameSums sums_of(std::span<const uint16_t> frame, std::vector<float>& values) {
  values.resize(frame.size());
  floats_from_halves(frame, values);
  FrameSums sums;
  for (size_t block = 0; block < values.size(); block += kSumBlock) {
    const size_t end = std::min(values.size(), block + kSumBlock);
    std::array<double, kLanes> sum{}, squares{};
    for (size_t i = block; i < end; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const double value = static_cast<double>(values[i + lane]);
        sum[lane] += value;
        squares[lane] += value * value;
      }
    }
    sums.sum += tree_sum(sum);
    sums.squares += tree_sum(squares);
  }
  return sums;
}

/// Whether a frame is +0 wherever the valid bit is not set.
bool background_is_zero(std::span<const uint16_t> frame, std::span<const uint8_t> valid) {
  uint32_t stray = 0;
  for (size_t byte = 0; byte < valid.size(); ++byte) {
    for (size_t bit = 0; bit < 8 && valid[byte] != 0xff; ++bit) {
      stray |= ((valid[byte] >> bit) & 1u) == 0 ? frame[8 * byte + bit] : 0u;
    }
  }
  return stray == 0;
}

struct StoreSums {
  std::vector<double> sum, squares;  // [frames]
};

StoreSums sums_of_store(const fs::path& path, const ClipStoreContent& content) {
  StoreSums sums;
  std::vector<float> values;
  const size_t row = 8 * content.valid.size();
  for (size_t t = 0; t < static_cast<size_t>(content.n_frames); ++t) {
    const std::span<const uint16_t> frame = content.bold.subspan(t * row, row);
    if (!background_is_zero(frame, content.valid)) {
      throw Error(message::kBug, "A clip store's background is not 0.", {.file = path.string()});
    }
    const FrameSums of_frame = sums_of(frame, values);
    sums.sum.push_back(of_frame.sum);
    sums.squares.push_back(of_frame.squares);
  }
  return sums;
}

[[noreturn]] void broken(const fs::path& path, const std::string& sentence) {
  throw Error(message::kBadStore, sentence,
              {.file = path.string(), .remedy = "run the prep stage again with --force"});
}

const TensorSpec& tensor_of(const SafetensorsFile& file, const std::string& name, DType dtype,
                            const std::vector<int64_t>& shape) {
  const TensorSpec* tensor = file.find(name);
  if (tensor == nullptr || tensor->dtype != dtype || tensor->shape != shape) {
    broken(file.path(), "This clip store has no tensor " + name + " of the right type and shape.");
  }
  return *tensor;
}

template <class T>
std::span<const T> values_of(const SafetensorsFile& file, const std::string& name) {
  const std::span<const std::byte> bytes = file.data(*file.find(name));
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <class Number>
Number number_of(const ClipStore& store, const fs::path& path, const std::string& key) {
  const std::string& text = store.get(key);
  Number value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) {
    broken(path, "This clip store says " + key + " is \"" + text + "\", which is no number.");
  }
  return value;
}

}  // namespace

void write_clip_store(const fs::path& path, const ClipStoreContent& content) {
  const auto frames = static_cast<size_t>(content.n_frames);
  const size_t row = 8 * content.valid.size();
  if (content.n_frames < 1 || row == 0 || row % static_cast<size_t>(kTokenVoxels) != 0 ||
      content.bold.size() != frames * row) {
    throw Error(message::kBug, "The parts of a clip store differ in size.", {.file = path.string()});
  }
  const int64_t tokens = static_cast<int64_t>(row) / kTokenVoxels;
  SafetensorsWriter writer(path,
                           {{"bold", DType::F16, {content.n_frames, tokens, kTokenVoxels}},
                            {"frame_sum", DType::F64, {content.n_frames}},
                            {"frame_sumsq", DType::F64, {content.n_frames}},
                            {"valid", DType::U8, {static_cast<int64_t>(content.valid.size())}}},
                           content.metadata);
  // Summing takes about as long as writing into the page cache, so the two run side by side.
  std::future<StoreSums> summing =
      std::async(std::launch::async, [&] { return sums_of_store(path, content); });
  for (size_t t = 0; t < frames; ++t) {
    writer.append(std::as_bytes(content.bold.subspan(t * row, row)));
  }
  const StoreSums sums = summing.get();
  writer.append(std::as_bytes(std::span(sums.sum)));
  writer.append(std::as_bytes(std::span(sums.squares)));
  writer.append(std::as_bytes(content.valid));
  writer.finish();
}

ClipStore ClipStore::open(const fs::path& path, const TokenSet& tokens) {
  ClipStore store;
  store.file_ = SafetensorsFile::open(path);
  if (!store.metadata().contains("slimbrain_clips") || store.get("slimbrain_clips") != "1") {
    broken(path, "This file is no clip store of a version that can be read.");
  }
  if (store.get("token_mask_sha256") != tokens.mask_sha256 ||
      store.get("token_order_sha256") != tokens.order_sha256) {
    throw Error(
        message::kUnfitModel, "The clip store was made with another token set.",
        {.file = path.string(), .expected = tokens.mask_sha256, .found = store.get("token_mask_sha256")});
  }
  store.n_frames_ = number_of<int64_t>(store, path, "n_frames");
  store.frame_values_ = tokens.size() * kTokenVoxels;
  if (store.n_frames_ < 1) {
    broken(path, "This clip store holds no frames.");
  }
  tensor_of(store.file_, "bold", DType::F16, {store.n_frames_, tokens.size(), kTokenVoxels});
  tensor_of(store.file_, "frame_sum", DType::F64, {store.n_frames_});
  tensor_of(store.file_, "frame_sumsq", DType::F64, {store.n_frames_});
  tensor_of(store.file_, "valid", DType::U8, {store.frame_values_ / 8});
  if (store.file_.file_offset(*store.file_.find("frame_sum")) % sizeof(double) != 0) {
    broken(path, "The tensors of this clip store are not aligned.");
  }
  const double repetition_time_s = store.repetition_time_s();
  if (!(repetition_time_s > 0.0) || !std::isfinite(repetition_time_s)) {
    broken(path, "This clip store has no repetition time.");
  }
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    throw Error(message::kInputOutput, "Cannot open a clip store: " + std::string(std::strerror(errno)) + ".",
                {.file = path.string()});
  }
  store.descriptor_ = std::shared_ptr<const int>(new int(descriptor), [](const int* open) {
    ::close(*open);
    delete open;
  });
  return store;
}

double ClipStore::repetition_time_s() const {
  return number_of<double>(*this, file_.path(), "repetition_time_s");
}

const std::string& ClipStore::get(const std::string& key) const {
  const auto found = metadata().find(key);
  if (found == metadata().end()) {
    broken(file_.path(), "This clip store does not say its " + key + ".");
  }
  return found->second;
}

std::span<const uint8_t> ClipStore::valid() const { return values_of<uint8_t>(file_, "valid"); }
std::span<const double> ClipStore::frame_sum() const { return values_of<double>(file_, "frame_sum"); }
std::span<const double> ClipStore::frame_sumsq() const { return values_of<double>(file_, "frame_sumsq"); }

void ClipStore::read_frames(int64_t first, int64_t count, std::span<uint16_t> out) const {
  if (first < 0 || count < 0 || first > n_frames_ - count ||
      out.size() != static_cast<size_t>(count) * static_cast<size_t>(frame_values_)) {
    throw Error(message::kBug, "Frames outside a clip store were asked for.",
                {.file = file_.path().string()});
  }
  const std::span<std::byte> bytes = std::as_writable_bytes(out);
  const uint64_t start = file_.file_offset(*file_.find("bold")) +
                         static_cast<uint64_t>(first * frame_values_) * sizeof(uint16_t);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got =
        ::pread(*descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(start + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      throw Error(
          message::kInputOutput,
          "Cannot read a clip store: " + std::string(got == 0 ? "it ends early" : std::strerror(errno)) + ".",
          {.file = file_.path().string(), .found = "byte " + std::to_string(start + done)});
    }
    done += static_cast<size_t>(got);
  }
}

WindowStatistics window_statistics(const ClipStore& store, int64_t first, int64_t count) {
  if (first < 0 || count < 1 || first > store.n_frames() - count) {
    throw Error(message::kBug, "A window outside a clip store was asked for.");
  }
  int64_t voxels = 0;
  for (const uint8_t byte : store.valid()) {
    voxels += std::popcount(byte);
  }
  const auto from = static_cast<std::ptrdiff_t>(first), to = static_cast<std::ptrdiff_t>(first + count);
  const std::span<const double> sum = store.frame_sum(), squares = store.frame_sumsq();
  const double values = static_cast<double>(count) * static_cast<double>(voxels);
  const double mean = std::accumulate(sum.begin() + from, sum.begin() + to, 0.0) / values;
  const double square = std::accumulate(squares.begin() + from, squares.begin() + to, 0.0) / values;
  return {.mean = mean, .sd = std::sqrt(std::max(0.0, square - mean * mean))};
}

}  // namespace slim::clips
