// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "image/nifti_header.h"

namespace slim::image {
namespace {

/// Unsigned integer of N bytes.
template <size_t N>
using Bits =
    std::conditional_t<N == 1, uint8_t,
                       std::conditional_t<N == 2, uint16_t, std::conditional_t<N == 4, uint32_t, uint64_t>>>;

[[gnu::always_inline]] inline uint8_t swap_bytes(uint8_t bits) { return bits; }
[[gnu::always_inline]] inline uint16_t swap_bytes(uint16_t bits) { return __builtin_bswap16(bits); }
[[gnu::always_inline]] inline uint32_t swap_bytes(uint32_t bits) { return __builtin_bswap32(bits); }
[[gnu::always_inline]] inline uint64_t swap_bytes(uint64_t bits) { return __builtin_bswap64(bits); }

// A stored voxel may lie at any address, hence memcpy, which compiles to a plain (vector) load.
template <class Stored, bool swapped, bool scaled>
[[gnu::always_inline]] inline void convert_loop(const std::byte* raw, float* out, size_t count, double slope,
                                                double inter) {
  for (size_t i = 0; i < count; ++i) {
    Bits<sizeof(Stored)> bits;
    std::memcpy(&bits, raw + i * sizeof bits, sizeof bits);
    if constexpr (swapped) {
      bits = swap_bytes(bits);
    }
    const Stored value = std::bit_cast<Stored>(bits);
    if constexpr (scaled) {
      out[i] = static_cast<float>(static_cast<double>(value) * slope + inter);
    } else {
      out[i] = static_cast<float>(value);
    }
  }
}

template <class Stored>
[[gnu::always_inline]] inline void convert_type(const NiftiHeader& header, const std::byte* raw, float* out,
                                                size_t count) {
  const bool scaled = header.slope != 1.0 || header.inter != 0.0;
  const double slope = header.slope, inter = header.inter;
  if (header.swapped) {
    scaled ? convert_loop<Stored, true, true>(raw, out, count, slope, inter)
           : convert_loop<Stored, true, false>(raw, out, count, slope, inter);
  } else if (scaled) {
    convert_loop<Stored, false, true>(raw, out, count, slope, inter);
  } else if constexpr (std::is_same_v<Stored, float>) {
    std::memcpy(out, raw, count * sizeof(float));
  } else {
    convert_loop<Stored, false, false>(raw, out, count, slope, inter);
  }
}

[[gnu::always_inline]] inline void convert_any(const NiftiHeader& header, const std::byte* raw, float* out,
                                               size_t count) {
  switch (static_cast<VoxelType>(header.datatype)) {
    case VoxelType::UInt8:
      return convert_type<uint8_t>(header, raw, out, count);
    case VoxelType::Int8:
      return convert_type<int8_t>(header, raw, out, count);
    case VoxelType::Int16:
      return convert_type<int16_t>(header, raw, out, count);
    case VoxelType::UInt16:
      return convert_type<uint16_t>(header, raw, out, count);
    case VoxelType::Int32:
      return convert_type<int32_t>(header, raw, out, count);
    case VoxelType::UInt32:
      return convert_type<uint32_t>(header, raw, out, count);
    case VoxelType::Int64:
      return convert_type<int64_t>(header, raw, out, count);
    case VoxelType::UInt64:
      return convert_type<uint64_t>(header, raw, out, count);
    case VoxelType::Float32:
      return convert_type<float>(header, raw, out, count);
    case VoxelType::Float64:
      return convert_type<double>(header, raw, out, count);
  }
}

// The same loops for two instruction sets; without contraction every variant rounds alike, so the bits are
// equal.
using Convert = void (*)(const NiftiHeader&, const std::byte*, float*, size_t);

#if defined(__x86_64__)
[[gnu::target("avx2")]] void convert_avx2(const NiftiHeader& header, const std::byte* raw, float* out,
                                          size_t count) {
  convert_any(header, raw, out, count);
}

Convert choose() { return __builtin_cpu_supports("avx2") ? convert_avx2 : convert_portable; }
#else
Convert choose() { return convert_portable; }
#endif

}  // namespace

void convert_portable(const NiftiHeader& header, const std::byte* raw, float* out, size_t count) {
  convert_any(header, raw, out, count);
}

size_t bytes_per_voxel(const NiftiHeader& header) {
  switch (static_cast<VoxelType>(header.datatype)) {
    case VoxelType::UInt8:
    case VoxelType::Int8:
      return 1;
    case VoxelType::Int16:
    case VoxelType::UInt16:
      return 2;
    case VoxelType::Int32:
    case VoxelType::UInt32:
    case VoxelType::Float32:
      return 4;
    case VoxelType::Int64:
    case VoxelType::UInt64:
    case VoxelType::Float64:
      return 8;
  }
  return 0;
}

void convert_voxels(const NiftiHeader& header, std::span<const std::byte> raw, std::span<float> out) {
  const size_t bytes = bytes_per_voxel(header);
  if (bytes == 0 || raw.size() != out.size() * bytes) {
    throw Error(message::kBug, "convert_voxels: " + std::to_string(raw.size()) + " bytes do not hold " +
                                   std::to_string(out.size()) + " voxels.");
  }
  static const Convert convert = choose();
  convert(header, raw.data(), out.data(), out.size());
}

}  // namespace slim::image
