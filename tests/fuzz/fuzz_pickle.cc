// SPDX-License-Identifier: Apache-2.0
// Inputs are pickles: first alone, then as the pickle of a checkpoint with four storages.
#include <cstdlib>
#include <span>

#include "core/error.h"
#include "model/checkpoint/key_match.h"
#include "model/checkpoint/pickle_reader.h"
#include "model/checkpoint/pth_reader.h"
#include "model/checkpoint/pth_writer.h"
#include "model/checkpoint/zip_writer.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr size_t kLargestTensor = 1 << 20;

std::string checkpoint_of(std::span<const std::byte> pickle) {
  std::string out;
  slim::model::ZipWriter zip([&](std::span<const std::byte> bytes) {
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  zip.add("archive/data.pkl", pickle);
  for (const char* key : {"0", "1", "2", "3"}) {
    zip.add(std::string("archive/data/") + key, std::string_view("0123456789abcdefghijklmnopqrstuv"));
  }
  zip.finish();
  return out;
}

void check_tree(const slim::model::PickleTree& tree) {
  for (const slim::model::PickleNode& node : tree.nodes) {
    for (const slim::model::NodeId child : node.children) {
      if (child >= tree.nodes.size()) {
        std::abort();
      }
    }
  }
  if (tree.root >= tree.nodes.size()) {
    std::abort();
  }
}

std::string rich_pickle() {
  using namespace std::string_literals;
  return "\x80\x02}q\0(X\x05\0\0\0epochK\x07X\x04\0\0\0argscargparse\nNamespace\nq\x01)\x81q\x02}"
         "q\x03X\x02\0\0\0lrG\x3f\x50"
         "\x62\x4d\xd2\xf1\xa9\xfcsbX\x04\0\0\0losscnumpy.core.multiarray\nscalar\n("
         "cnumpy\ndtype\nX\x02\0\0\0f8\x89\x88\x87"
         "R(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tbc_"
         "codecs\nencode\nX\x08\0\0\0abcdefghX\x06\0\0\0latin1"
         "\x86RtRX\x05\0\0\0model"
         "ccollections\nOrderedDict\n)Rq\x04(X\x03\0\0\0a.b"
         "ctorch._utils\n_rebuild_tensor_v2\n"
         "((X\x07\0\0\0storagectorch\nHalfStorage\nX\x01\0\0\0"
         "1X\x03\0\0\0cpuK\x10tQK\x01K\x02K\x03\x86K\x01K\x02\x86\x89"
         "ccollections\nOrderedDict\n)RtRX\x03\0\0\0par"
         "ctorch._utils\n_rebuild_parameter\n(ctorch._utils\n"
         "_rebuild_tensor_v3\n((X\x07\0\0\0storagectorch.storage\nUntypedStorage\nX\x01\0\0\0"
         "2X\x03\0\0\0cpuK\x20tQ"
         "K\0K\x04\x85K\x01\x85\x89}ctorch\nuint16\nNtR\x88}tRu}X\x09\0\0\0_metadata}sbX\x04\0\0\0listl"
         ""s
         "](K\x01\x88\x89Neuu."s;
}

}  // namespace

FuzzCorpus fuzz_corpus() {
  using namespace std::string_literals;
  const std::string four(16, '\0');
  const std::vector<slim::model::PthTensor> tensors{
      {.spec = {.name = "encoder_norm.bias", .dtype = slim::DType::F32, .shape = {4}},
       .data = std::as_bytes(std::span(four.data(), 16))},
      {.spec = {.name = "blocks.0.attn.proj.weight", .dtype = slim::DType::F32, .shape = {2, 2}},
       .data = std::as_bytes(std::span(four.data(), 16))}};
  return {.seeds = {slim::model::checkpoint_pickle(tensors, {.epoch = 1, .trained = false}), rich_pickle(),
                    "\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94\x8c\x01"
                    "a\x94K\x01s."s,
                    "\x80\x04\x8c\x0b"
                    "collections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94."s},
          .words = {"ctorch._utils\n_rebuild_tensor_v2\n",
                    "ctorch._utils\n_rebuild_parameter\n",
                    "ctorch._tensor\n_rebuild_from_type_v2\n",
                    "ctorch\nFloatStorage\n",
                    "ctorch\nBFloat16Storage\n",
                    "ccollections\nOrderedDict\n",
                    "ctorch\nSize\n",
                    "cnumpy._core.multiarray\nscalar\n",
                    "c_codecs\nencode\n",
                    "cposix\nsystem\n",
                    "X\x10\0\0\0model_state_dict"s,
                    "X\x05\0\0\0model"s,
                    "X\x0d\0\0\0module.target"s,
                    "tQ",
                    "tR",
                    "\x85R",
                    "}(",
                    "](",
                    "u.",
                    "e.",
                    "q\0"s,
                    "h\0"s,
                    "\x94",
                    "\x93",
                    "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"s,
                    "J\xff\xff\xff\xff"s,
                    "\x81",
                    "b",
                    "N",
                    "2",
                    "0"}};
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    check_tree(slim::model::read_pickle(bytes, "fuzz.pkl"));
  } catch (const slim::Error&) {
    // A coded refusal is the right answer to most inputs.
  }
  try {
    const std::string zip = checkpoint_of(bytes);
    const auto file =
        slim::model::PthFile::parse(std::as_bytes(std::span(zip.data(), zip.size())), "fuzz.pth");
    for (const slim::model::StoredTensor& tensor : file.tensors()) {
      if (tensor.spec.bytes() <= kLargestTensor && tensor.contiguous().size() != tensor.spec.bytes()) {
        std::abort();
      }
    }
    slim::model::compare_keys(file.tensors(), {.import_ema = size % 2 == 0});
  } catch (const slim::Error&) {
  }
  return 0;
}
