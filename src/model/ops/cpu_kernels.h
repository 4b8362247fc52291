// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace slim::model::cpu {

// Note [CPU kernels]. One source (cpu_kernels.inc) is compiled for AVX2 and for AVX-512. Both work on 16
// lanes and add in the same order, so their results are equal bit for bit, and so are those of any number of
// threads or clips: no sum is ever split by either. Machines without AVX2 and FMA take the ATen form of the
// model.

inline constexpr int64_t kLanes = 16;
/// Columns of a packed matrix are kept in panels of this many.
inline constexpr int64_t kPanel = 64;

/// How a matrix product begins and ends.
enum class Begin { Bias, AddBias };  // C = A B + b, C = C + A B + b
enum class End { Store, Gelu };

/// A right-hand matrix [k, n] in panels of 64 columns, each [k][64] (the last one narrower); n is a multiple
/// of 16.
struct Packed {
  const float* panels = nullptr;
  const float* bias = nullptr;  // [n]
  int64_t k = 0, n = 0;
};

/// Working memory of one thread's attention.
inline constexpr int64_t kQueryBlock = 48, kKeyBlock = 256;
inline constexpr int64_t kAttentionScratch = kQueryBlock * (kKeyBlock + 2 * kPanel);

/// The kernels of one instruction set; all run on the calling thread.
struct Kernels {
  std::string_view name;
  /// C [m, n] (row stride ldc) from A [m, k] (row stride lda).
  void (*gemm)(const float* a, int64_t lda, int64_t m, const Packed& b, float* c, int64_t ldc, Begin begin,
               End end);
  /// Normalises m rows of `width` values, stride ldx, into contiguous rows.
  void (*layer_norm)(const float* x, int64_t ldx, int64_t m, int64_t width, const float* weight,
                     const float* bias, float eps, float* out);
  /// out = max(out, x) over `width` values.
  void (*maximum)(const float* x, int64_t width, float* out);
  /// softmax(q k^T / sqrt(head)) v for one head: q [nq, head] (stride ldq), keys and values as
  /// pack_keys_values made them, out [nq, head] (stride ldo); head is 16, 32, 48 or 64; scratch holds
  /// kAttentionScratch values.
  void (*attend)(const float* q, int64_t ldq, int64_t nq, const float* keys, const float* values, int64_t nk,
                 int64_t head, float* out, int64_t ldo, float* scratch);
};

/// The kernels that this machine runs, best first; empty without AVX2 and FMA.
std::vector<const Kernels*> supported_kernels();

/// Values that pack_keys_values writes for the keys of a head.
constexpr int64_t packed_keys_size(int64_t nk, int64_t head) {
  return (nk + kPanel - 1) / kPanel * kPanel * head;
}
/// Copies keys [nk, head] to panels of 64 keys [head][64] (absent keys are 0) and values to [nk, head]; both
/// come with row stride ld.
void pack_keys_values(const float* k, const float* v, int64_t ld, int64_t nk, int64_t head, float* keys,
                      float* values);

/// Values of a packed matrix.
constexpr int64_t packed_size(int64_t k, int64_t n) { return k * n; }
/// Packs a Linear's weight [n, k] (out, in); see Packed.
void pack_weight(const float* weight, int64_t k, int64_t n, float* panels);

}  // namespace slim::model::cpu
