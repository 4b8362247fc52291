// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

namespace slim::preproc {

// Note [Vectors]. Hot loops exist once as an inlined body and are compiled for several instruction sets; the
// processor's best is chosen at run time. No variant contracts a product and a sum, and sums have a fixed
// order, so that all give the same bits.
/// Instruction sets for which hot loops are compiled.
enum class Vectors { kPortable, kAvx2, kAvx512 };

/// The best set of this processor.
inline Vectors best_vectors() {
#if defined(__x86_64__)
  static const Vectors best = [] {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
      return Vectors::kAvx512;
    }
    return __builtin_cpu_supports("avx2") ? Vectors::kAvx2 : Vectors::kPortable;
  }();
  return best;
#else
  return Vectors::kPortable;
#endif
}

/// All sets that this processor has, for tests.
inline std::vector<Vectors> usable_vectors() {
  std::vector<Vectors> sets{Vectors::kPortable};
  if (best_vectors() != Vectors::kPortable) {
    sets.push_back(Vectors::kAvx2);
  }
  if (best_vectors() == Vectors::kAvx512) {
    sets.push_back(Vectors::kAvx512);
  }
  return sets;
}

}  // namespace slim::preproc

#if defined(__x86_64__)
#define SLIM_AVX2 __attribute__((target("avx2")))
#define SLIM_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl")))
#else
#define SLIM_AVX2
#define SLIM_AVX512
#endif
#define SLIM_INLINE [[gnu::always_inline]] inline
