// SPDX-License-Identifier: Apache-2.0
#include "model/ops/cpu_attention.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "model/ops/buffer.h"
#include "model/ops/cpu_kernels.h"
#include "model/ops/run_tasks.h"

namespace slim::model::cpu {
namespace {

/// One head of one group of a slab.
struct Piece {
  int64_t query, queries, key, keys, head;  // first rows and their numbers
};

/// All pieces, the longest first, so that threads end together.
struct Pieces : torch::CustomClassHolder {
  Pieces(const std::vector<Slab>& q_slabs, const std::vector<Slab>& kv_slabs, int64_t number_of_heads)
      : heads(number_of_heads) {
    for (size_t i = 0; i < q_slabs.size(); ++i) {
      const Slab &q = q_slabs[i], &kv = kv_slabs[i];
      most_keys = std::max(most_keys, kv.rows);
      for (int64_t group = 0; group < q.groups; ++group) {
        for (int64_t head = 0; head < heads; ++head) {
          list.push_back(
              {q.first_row + group * q.rows, q.rows, kv.first_row + group * kv.rows, kv.rows, head});
        }
      }
    }
    std::stable_sort(list.begin(), list.end(),
                     [](const Piece& a, const Piece& b) { return a.queries * a.keys > b.queries * b.keys; });
  }

  /// Runs fn(piece, buffer) for every piece; each thread has its own buffer of `values` floats.
  template <class Fn>
  void run(int64_t values, const Fn& fn) const {
    std::vector<Buffer> buffers(static_cast<size_t>(task_workers()));
    run_tasks(static_cast<int64_t>(list.size()), [&](int64_t task, int64_t worker) {
      Buffer& own = buffers[static_cast<size_t>(worker)];
      if (own.get() == nullptr) {
        own = Buffer(values);
      }
      fn(list[static_cast<size_t>(task)], own.get());
    });
  }

  int64_t heads, most_keys = 0;
  std::vector<Piece> list;
};

/// Rows of a matrix [rows, heads x head]; the values of a row lie side by side.
template <class T>
struct Rows {
  T* first;
  int64_t stride, head;
  T* of(int64_t row, int64_t number) const { return first + row * stride + number * head; }
};
Rows<const float> rows_in(const at::Tensor& x, int64_t head) {
  return {x.const_data_ptr<float>(), x.stride(0), head};
}
Rows<float> rows_of(const at::Tensor& x, int64_t head) { return {x.data_ptr<float>(), x.stride(0), head}; }

at::Tensor with_dense_rows(const at::Tensor& x) { return x.stride(1) == 1 ? x : x.contiguous(); }

struct CpuAttention : torch::autograd::Function<CpuAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q_given,
                            const at::Tensor& k_given, const at::Tensor& v_given,
                            const c10::intrusive_ptr<Pieces>& pieces) {
    const at::Tensor q = with_dense_rows(q_given), k = with_dense_rows(k_given), v = with_dense_rows(v_given);
    const at::Tensor out = at::empty(q.sizes(), q.options());
    const at::Tensor log_sums = at::empty({pieces->heads, q.size(0)}, q.options());
    const int64_t head = q.size(1) / pieces->heads, panels = panels_size(pieces->most_keys, head);
    const auto qs = rows_in(q, head), ks = rows_in(k, head), vs = rows_in(v, head);
    const auto outs = rows_of(out, head), sums = rows_of(log_sums, 1);
    const Kernels& kernels = *supported_kernels().front();
    pieces->run(2 * panels + kAttentionScratch, [&](const Piece& piece, float* buffer) {
      float *const keys = buffer, *const values = keys + panels;
      pack_panels(ks.of(piece.key, piece.head), ks.stride, piece.keys, head, keys);
      pack_rows(vs.of(piece.key, piece.head), vs.stride, piece.keys, head, values);
      kernels.attend(qs.of(piece.query, piece.head), qs.stride, piece.queries, keys, values, piece.keys, head,
                     outs.of(piece.query, piece.head), outs.stride, sums.of(piece.head, piece.query),
                     values + panels);
    });
    context->save_for_backward({q, k, v, out, log_sums});
    context->saved_data["pieces"] = c10::IValue::make_capsule(pieces);
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto pieces = c10::static_intrusive_pointer_cast<Pieces>(context->saved_data["pieces"].toCapsule());
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &log_sums = saved[4];
    const at::Tensor dout = gradients[0].contiguous();
    const at::Tensor dq = at::empty(q.sizes(), out.options()), dk = at::empty(k.sizes(), out.options()),
                     dv = at::empty(v.sizes(), out.options());
    const int64_t head = q.size(1) / pieces->heads, panels = panels_size(pieces->most_keys, head);
    const auto qs = rows_in(q, head), ks = rows_in(k, head), vs = rows_in(v, head), outs = rows_in(out, head),
               douts = rows_in(dout, head), sums = rows_in(log_sums, 1);
    const auto dqs = rows_of(dq, head), dks = rows_of(dk, head), dvs = rows_of(dv, head);
    const Kernels& kernels = *supported_kernels().front();
    pieces->run(5 * panels + kAttentionBackScratch, [&](const Piece& piece, float* buffer) {
      float *const key_panels = buffer, *const keys = key_panels + panels,
                   *const value_panels = keys + panels;
      float *const dk_across = value_panels + panels, *const dv_across = dk_across + panels;
      pack_panels(ks.of(piece.key, piece.head), ks.stride, piece.keys, head, key_panels);
      pack_rows(ks.of(piece.key, piece.head), ks.stride, piece.keys, head, keys);
      pack_panels(vs.of(piece.key, piece.head), vs.stride, piece.keys, head, value_panels);
      kernels.attend_back({.q = qs.of(piece.query, piece.head),
                           .ldq = qs.stride,
                           .nq = piece.queries,
                           .nk = piece.keys,
                           .head = head,
                           .key_panels = key_panels,
                           .keys = keys,
                           .value_panels = value_panels,
                           .out = outs.of(piece.query, piece.head),
                           .dout = douts.of(piece.query, piece.head),
                           .ldo = outs.stride,
                           .log_sums = sums.of(piece.head, piece.query),
                           .dq = dqs.of(piece.query, piece.head),
                           .lddq = dqs.stride,
                           .dk = dk_across,
                           .dv = dv_across},
                          dv_across + panels);
      unpack_across(dk_across, piece.keys, head, dks.of(piece.key, piece.head), dks.stride);
      unpack_across(dv_across, piece.keys, head, dvs.of(piece.key, piece.head), dvs.stride);
    });
    return {dq, dk, dv, at::Tensor()};
  }
};

}  // namespace

bool fits_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  const auto fits = [](const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; };
  const int64_t head = q.size(1) / heads;
  return fits(q) && fits(k) && fits(v) && head % kLanes == 0 && head <= kPanel &&
         !supported_kernels().empty();
}

at::Tensor attention_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const std::vector<Slab>& q_slabs, const std::vector<Slab>& kv_slabs, int64_t heads) {
  return CpuAttention::apply(q, k, v, c10::make_intrusive<Pieces>(q_slabs, kv_slabs, heads));
}

}  // namespace slim::model::cpu
