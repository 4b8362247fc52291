// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/pth_writer.h"

#include <limits>
#include <string_view>

#include "core/atomic_file.h"
#include "core/error.h"
#include "model/checkpoint/zip_writer.h"

namespace slim::model {
namespace {

/// Builds the text of a protocol-2 pickle.
class Pickle {
 public:
  Pickle() : bytes_("\x80\x02") {}
  Pickle& code(char opcode) {
    bytes_ += opcode;
    return *this;
  }
  Pickle& text(std::string_view value) {
    bytes_ += 'X';
    little_endian(value.size(), 4);
    bytes_ += value;
    return *this;
  }
  Pickle& integer(int64_t value) {
    const bool small =
        value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max();
    bytes_ += small ? "J" : "\x8a\x08";
    little_endian(static_cast<uint64_t>(value), small ? 4 : 8);
    return *this;
  }
  Pickle& boolean(bool value) { return code(value ? '\x88' : '\x89'); }
  Pickle& global(std::string_view module, std::string_view name) {
    bytes_ += 'c';
    bytes_ += module;
    bytes_ += '\n';
    bytes_ += name;
    bytes_ += '\n';
    return *this;
  }
  Pickle& tuple(const std::vector<int64_t>& values) {
    code('(');
    for (const int64_t value : values) {
      integer(value);
    }
    return code('t');
  }
  Pickle& ordered_dict() { return global("collections", "OrderedDict").code(')').code('R'); }
  std::string finish() && { return std::move(code('.').bytes_); }

 private:
  void little_endian(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      bytes_ += static_cast<char>((value >> (8 * i)) & 255u);
    }
  }

  std::string bytes_;
};

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

}  // namespace

std::string checkpoint_pickle(const std::vector<PthTensor>& tensors, const PthNotes& notes) {
  Pickle pickle;
  pickle.code('}').code('(');
  pickle.text("epoch").integer(notes.epoch);
  if (!notes.trained) {
    pickle.text("slimbrain").code('}').code('(').text("trained").boolean(false).code('u');
  }
  pickle.text("model_state_dict").ordered_dict().code('(');
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorSpec& spec = tensors[i].spec;
    if (spec.dtype != DType::F32 || tensors[i].data.size() != spec.bytes()) {
      throw Error(message::kBug, "A tensor cannot be exported: it is not float32 or has the wrong size.",
                  {.found = spec.name});
    }
    pickle.text(spec.name).global("torch._utils", "_rebuild_tensor_v2").code('(');
    pickle.code('(').text("storage").global("torch", "FloatStorage");
    pickle.text(std::to_string(i)).text("cpu").integer(spec.count()).code('t').code('Q');
    pickle.integer(0).tuple(spec.shape).tuple(row_major_strides(spec.shape));
    pickle.boolean(false).ordered_dict().code('t').code('R');
  }
  return std::move(pickle.code('u').code('u')).finish();
}

void write_pth(const std::filesystem::path& path, const std::vector<PthTensor>& tensors,
               const PthNotes& notes) {
  OutputFile file(path);
  ZipWriter zip([&](std::span<const std::byte> bytes) { file.write(bytes); });
  // torch takes the folder's name from the first record.
  zip.add("archive/data.pkl", checkpoint_pickle(tensors, notes));
  zip.add("archive/byteorder", std::string_view("little"));
  for (size_t i = 0; i < tensors.size(); ++i) {
    zip.add("archive/data/" + std::to_string(i), tensors[i].data);
  }
  zip.add("archive/version", std::string_view("3\n"));
  zip.finish();
  file.finish();
}

}  // namespace slim::model
