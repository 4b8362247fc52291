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

/// Working memory of one thread's attention, and of its gradients.
inline constexpr int64_t kQueryBlock = 48, kKeyBlock = 256;
inline constexpr int64_t kAttentionScratch = kQueryBlock * (kKeyBlock + 2 * kPanel);
inline constexpr int64_t kAttentionBackScratch = kQueryBlock * (2 * kKeyBlock + 2 * kPanel);

/// What the gradients of one head's attention are made from, and where they go. Row strides stand beside.
struct AttendBack {
  const float* q;  // [nq, head]
  int64_t ldq, nq, nk, head;
  const float *key_panels, *keys, *value_panels;  // by pack_panels and pack_rows
  const float *out, *dout;                        // the result and the gradient that came for it
  int64_t ldo;
  const float* log_sums;  // [nq], from attend
  float* dq;
  int64_t lddq;
  float *dk, *dv;  // transposed, [head][nk rounded up to 64]; what is beyond nk means nothing
};

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
  /// softmax(q k^T / sqrt(head)) v for one head: q [nq, head] (stride ldq), keys by pack_panels, values by
  /// pack_rows, out [nq, head] (stride ldo); head is 16, 32, 48 or 64. log_sums [nq], the logarithms of the
  /// sums of exp(score), unless null. Scratch holds kAttentionScratch values.
  void (*attend)(const float* q, int64_t ldq, int64_t nq, const float* key_panels, const float* values,
                 int64_t nk, int64_t head, float* out, int64_t ldo, float* log_sums, float* scratch);
  /// Gradients of attend (Dao 2022, algorithm 4: scores are made again, block by block). Scratch holds
  /// kAttentionBackScratch values.
  void (*attend_back)(const AttendBack& what, float* scratch);
};

/// The kernels that this machine runs, best first; empty without AVX2 and FMA.
std::vector<const Kernels*> supported_kernels();

/// Values that pack_panels writes for n rows.
constexpr int64_t panels_size(int64_t n, int64_t head) { return (n + kPanel - 1) / kPanel * kPanel * head; }
/// Copies rows [n, head] of stride ld to panels of 64 rows, each transposed to [head][64]; absent rows are 0.
void pack_panels(const float* rows, int64_t ld, int64_t n, int64_t head, float* panels);
/// Copies rows [n, head] of stride ld to lie without gaps.
void pack_rows(const float* rows, int64_t ld, int64_t n, int64_t head, float* packed);

/// Copies [head][n rounded up to 64] to rows [n, head] of stride ld.
void unpack_across(const float* across, int64_t n, int64_t head, float* rows, int64_t ld);

/// Values of a packed matrix.
constexpr int64_t packed_size(int64_t k, int64_t n) { return k * n; }
/// Packs a Linear's weight [n, k] (out, in); see Packed.
void pack_weight(const float* weight, int64_t k, int64_t n, float* panels);

}  // namespace slim::model::cpu
