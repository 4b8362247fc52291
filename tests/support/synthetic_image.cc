// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "tests/support/synthetic_bids.h"

namespace slim::test {
namespace {

namespace fs = std::filesystem;

template <class Number>
void put(std::string& bytes, size_t place, Number value) {
  std::memcpy(bytes.data() + place, &value, sizeof value);
}

double first_of_axis(const SyntheticImage& image, int axis) {
  constexpr std::array<double, 3> kCentre_mm{0, -18, 10};
  return kCentre_mm[static_cast<size_t>(axis)] -
         image.spacing_mm * (image.size[static_cast<size_t>(axis)] - 1) / 2.0;
}

void put_affine(std::string& header, const SyntheticImage& image) {
  const double step = image.spacing_mm;
  const double sign = image.left_to_right ? 1 : -1;
  const double x0 = image.left_to_right ? first_of_axis(image, 0) : -first_of_axis(image, 0);
  const std::array<std::array<double, 4>, 3> rows{{{sign * step, 0, 0, x0},
                                                   {0, step, 0, first_of_axis(image, 1)},
                                                   {0, 0, step, first_of_axis(image, 2)}}};
  // Rotation by half a turn about y turns (x, y, z) into (-x, y, -z); qfac -1 flips z back.
  if (!image.left_to_right) put(header, 260, 1.0F);
  for (size_t axis = 0; axis < 3; ++axis) {
    put(header, 268 + 4 * axis, static_cast<float>(rows[axis][3]));
    for (size_t column = 0; column < 4; ++column) {
      put(header, 280 + 16 * axis + 4 * column, static_cast<float>(rows[axis][column]));
    }
  }
}

std::string nifti_header(const SyntheticImage& image) {
  std::string header(352, '\0');
  put(header, 0, int32_t{348});
  const auto frames = static_cast<int16_t>(std::max(image.frames, 1));
  put(header, 40, static_cast<int16_t>(image.frames > 0 ? 4 : 3));
  for (size_t axis = 0; axis < 3; ++axis) put(header, 42 + 2 * axis, static_cast<int16_t>(image.size[axis]));
  for (size_t axis = 3; axis < 7; ++axis) put(header, 42 + 2 * axis, axis == 3 ? frames : int16_t{1});
  put(header, 70, int16_t{4});   // int16
  put(header, 72, int16_t{16});  // bits
  put(header, 76, image.left_to_right ? 1.0F : -1.0F);
  for (size_t axis = 0; axis < 3; ++axis) put(header, 80 + 4 * axis, static_cast<float>(image.spacing_mm));
  put(header, 92, static_cast<float>(image.frames > 0 ? image.repetition_time_s : 0));
  put(header, 108, 352.0F);
  put(header, 112, 1.0F);
  header[123] = 2 | 8;  // mm, s
  put(header, 252, int16_t{1});
  put(header, 254, int16_t{1});
  put_affine(header, image);
  std::memcpy(header.data() + 344, "n+1", 4);
  return header;
}

bool is_inside(const SyntheticImage& image, const std::array<int, 3>& voxel) {
  constexpr std::array<double, 3> kRadius_mm{68, 86, 66};
  double sum = 0;
  for (size_t axis = 0; axis < 3; ++axis) {
    const double from_centre = image.spacing_mm * (voxel[axis] - (image.size[axis] - 1) / 2.0);
    sum += from_centre * from_centre / (kRadius_mm[axis] * kRadius_mm[axis]);
  }
  return sum <= 1;
}

std::string voxels(const SyntheticImage& image) {
  std::string bytes;
  uint32_t state = image.seed * 2654435761U + 1;
  const auto uniform = [&state] {
    state = state * 1664525U + 1013904223U;
    return static_cast<double>(state >> 8U) / 16777216.0;
  };
  for (int frame = 0; frame < std::max(image.frames, 1); ++frame) {
    for (int z = 0; z < image.size[2]; ++z) {
      for (int y = 0; y < image.size[1]; ++y) {
        for (int x = 0; x < image.size[0]; ++x) {
          double value = is_inside(image, {x, y, z}) ? (image.is_mask ? 1 : 1000) : 0;
          if (value > 1) value += image.noise * (uniform() + uniform() + uniform() - 1.5) * 2;
          const auto stored = static_cast<int16_t>(std::lround(value));
          bytes.append(reinterpret_cast<const char*>(&stored), sizeof stored);
        }
      }
    }
  }
  return bytes;
}

uint32_t crc32_of(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

/// A gzip member of stored blocks, so that no library is needed to make one.
std::string gzip(std::string_view bytes) {
  std::string out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  const auto number = [&out](uint32_t value, int length) {
    for (int i = 0; i < length; ++i) out += static_cast<char>(value >> (8 * i));
  };
  for (size_t place = 0;;) {
    const size_t length = std::min<size_t>(65535, bytes.size() - place);
    const bool last = place + length == bytes.size();
    out += static_cast<char>(last);
    number(static_cast<uint32_t>(length), 2);
    number(~static_cast<uint32_t>(length), 2);
    out.append(bytes.substr(place, length));
    place += length;
    if (last) break;
  }
  number(crc32_of(bytes), 4);
  number(static_cast<uint32_t>(bytes.size()), 4);
  return out;
}

}  // namespace

void write_file(const fs::path& path, std::string_view content) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

void write_image(const fs::path& path, const SyntheticImage& image) {
  const std::string bytes = nifti_header(image) + voxels(image);
  write_file(path, path.extension() == ".gz" ? gzip(bytes) : bytes);
}

}  // namespace slim::test
