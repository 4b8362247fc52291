// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/pth_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/mapped_file.h"
#include "model/checkpoint/torch_types.h"
#include "model/checkpoint/zip_reader.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

using Kind = PickleNode::Kind;

constexpr int kMaxDepth = 32;
constexpr size_t kMaxVisits = 200'000;
constexpr size_t kMaxOpaqueNames = 100;
constexpr size_t kMaxRank = 32;

/// Text from a file that may want to write on the reader's terminal.
std::string printable(std::string_view text) {
  constexpr size_t kMost = 200;
  std::string out(text.substr(0, kMost));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

/// The persistent id of a storage: ('storage', type, key, location, number of elements [, view]).
struct StorageId {
  std::string_view type;
  std::string_view key;
  uint64_t count = 0;
};

}  // namespace

/// Fills a PthFile; the two containers differ in where they keep the storages.
class PthBuilder {
 public:
  PthBuilder(std::span<const std::byte> bytes, const fs::path& name) : bytes_(bytes) { file_.path_ = name; }

  PthFile build() {
    if (ZipArchive::looks_like_one(bytes_)) {
      read_zip();
    } else if (is_legacy()) {
      read_legacy();
    } else {
      fail("This is not a PyTorch checkpoint: it is neither a zip file nor an older torch file.");
    }
    read_root();
    return std::move(file_);
  }

 private:
  // The first pickle of the older format holds one number and is always the same.
  static constexpr std::array<uint8_t, 15> kLegacyMagic{0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                                        0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

  [[noreturn]] void fail(std::string sentence, std::string found = {}, std::string remedy = {}) const {
    throw Error(message::kBadCheckpoint, std::move(sentence),
                {.file = file_.path_.string(), .found = std::move(found), .remedy = std::move(remedy)});
  }

  // --- containers
  void read_zip() {
    file_.container_ = "zip";
    const ZipArchive archive = ZipArchive::parse(bytes_, file_.path_);
    archive.verify_checksums();
    std::string prefix;
    const ZipRecord* pickle = nullptr;
    for (const auto& [record, content] : archive.records()) {
      const size_t slash = record.find('/');
      if (slash != record.npos && record.substr(slash) == "/data.pkl") {
        prefix = record.substr(0, slash + 1);
        pickle = &content;
      }
      if (record.ends_with("/constants.pkl")) {
        fail("This is a TorchScript program, not a checkpoint.", record,
             "save its state_dict() with torch.save");
      }
    }
    if (pickle == nullptr) {
      fail("The archive holds no data.pkl, so torch did not make it.");
    }
    if (const ZipRecord* order = archive.find(prefix + "byteorder")) {
      const std::string_view text(reinterpret_cast<const char*>(order->data.data()), order->data.size());
      if (text != "little") {
        fail("The checkpoint was written on a big-endian machine.", std::string(text.substr(0, 16)));
      }
    }
    tree_ = read_pickle(pickle->data, file_.path_);
    const std::string folder = prefix + "data/";
    for (const auto& [record, content] : archive.records()) {
      if (record.starts_with(folder)) {
        storages_.emplace(record.substr(folder.size()), content.data);
      }
    }
  }

  bool is_legacy() const {
    return bytes_.size() >= kLegacyMagic.size() &&
           std::memcmp(bytes_.data(), kLegacyMagic.data(), kLegacyMagic.size()) == 0;
  }

  PickleTree next_pickle(size_t& at) const {
    size_t used = 0;
    PickleTree tree = read_pickle(bytes_.subspan(at), file_.path_, used);
    at += used;
    return tree;
  }

  void read_legacy() {
    file_.container_ = "legacy";
    size_t at = kLegacyMagic.size();
    const PickleTree version = next_pickle(at);
    if (version.at(version.root).kind != Kind::Int || version.at(version.root).integer != 1001) {
      fail("The checkpoint has an unknown format version.");
    }
    const PickleTree system = next_pickle(at);
    const PickleNode* little = find(system, system.at(system.root), "little_endian");
    if (little == nullptr || little->kind != Kind::Bool || little->integer != 1) {
      fail("The checkpoint was written on a big-endian machine.");
    }
    tree_ = next_pickle(at);
    const PickleTree keys = next_pickle(at);
    std::map<std::string_view, StorageId> known;
    for (const PickleNode& node : tree_.nodes) {
      if (node.kind == Kind::Storage) {
        const StorageId id = storage_id(node);
        known.emplace(id.key, id);
      }
    }
    if (keys.at(keys.root).kind != Kind::List) {
      fail("The checkpoint's list of storages is damaged.");
    }
    for (const NodeId key : keys.at(keys.root).children) {
      const auto found = known.find(keys.at(key).text);
      const TypeRow* type = found == known.end() ? nullptr : type_of_storage(found->second.type);
      uint64_t count = 0, size = 0;
      if (type == nullptr || bytes_.size() - at < 8) {
        fail("A storage is of an unknown type or missing.", keys.at(key).text);
      }
      std::memcpy(&count, bytes_.data() + at, 8);
      at += 8;
      if (count != found->second.count || __builtin_mul_overflow(count, size_of(type->dtype), &size) ||
          size > bytes_.size() - at) {
        fail("A storage lies outside the file; the file is damaged or truncated.", keys.at(key).text);
      }
      storages_.emplace(keys.at(key).text, bytes_.subspan(at, size));
      at += size;
    }
  }

  // --- the pickle's objects
  static const PickleNode* find(const PickleTree& tree, const PickleNode& dict, std::string_view key) {
    if (dict.kind == Kind::Dict) {
      for (size_t i = 0; i + 1 < dict.children.size(); i += 2) {
        const PickleNode& name = tree.at(dict.children[i]);
        if (name.kind == Kind::Text && name.text == key) {
          return &tree.at(dict.children[i + 1]);
        }
      }
    }
    return nullptr;
  }

  StorageId storage_id(const PickleNode& storage) const {
    const PickleNode& id = tree_.at(storage.children.at(0));
    const auto kind = [&](size_t i) { return tree_.at(id.children[i]).kind; };
    if (id.kind != Kind::Tuple || id.children.size() < 5 || tree_.at(id.children[0]).text != "storage" ||
        kind(1) != Kind::Global || kind(2) != Kind::Text || kind(4) != Kind::Int ||
        tree_.at(id.children[4]).integer < 0) {
      fail("A tensor's storage is described in an unknown way.");
    }
    if (id.children.size() > 5 && kind(5) != Kind::None) {
      fail("A tensor's storage is a view of another one, as torch before 0.4 wrote it.");
    }
    return {.type = tree_.at(id.children[1]).text,
            .key = tree_.at(id.children[2]).text,
            .count = static_cast<uint64_t>(tree_.at(id.children[4]).integer)};
  }

  std::vector<int64_t> lengths(NodeId tuple, const std::string& name) const {
    std::vector<int64_t> values;
    if (tree_.at(tuple).children.size() > kMaxRank) {
      fail("A tensor has too many dimensions.", name);
    }
    for (const NodeId item : tree_.at(tuple).children) {
      if (tree_.at(item).kind != Kind::Int || tree_.at(item).integer < 0) {
        fail("A tensor's size or stride is not a whole number >= 0.", name);
      }
      values.push_back(tree_.at(item).integer);
    }
    return values;
  }

  /// Largest index that a view touches must lie in its storage.
  void check_view(const StoredTensor& tensor, uint64_t count) const {
    uint64_t elements = 1, last = static_cast<uint64_t>(tensor.offset);
    bool overflow = tensor.offset < 0 || tensor.strides.size() != tensor.spec.shape.size();
    for (size_t i = 0; !overflow && i < tensor.spec.shape.size(); ++i) {
      overflow = __builtin_mul_overflow(elements, static_cast<uint64_t>(tensor.spec.shape[i]), &elements);
    }
    for (size_t i = 0; !overflow && elements > 0 && i < tensor.spec.shape.size(); ++i) {
      uint64_t step = 0;
      overflow = __builtin_mul_overflow(static_cast<uint64_t>(tensor.spec.shape[i] - 1),
                                        static_cast<uint64_t>(tensor.strides[i]), &step) ||
                 __builtin_add_overflow(last, step, &last);
    }
    constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / 8;
    if (overflow || elements > kMost || (elements > 0 && last >= count)) {
      fail("A tensor reaches outside its storage.", tensor.spec.name);
    }
  }

  /// Nothing when the element type is one that no weight has (complex, quantised).
  std::optional<StoredTensor> tensor(const PickleNode& node, std::string name) {
    const StorageId id = storage_id(tree_.at(node.children.at(0)));
    const bool untyped = last_part(id.type) == "UntypedStorage";
    const TypeRow* type = untyped && node.children.size() > 3 ? type_of_name(tree_.at(node.children[3]).text)
                                                              : type_of_storage(id.type);
    if (type == nullptr) {
      note_opaque("tensor of " + std::string(id.type));
      return std::nullopt;
    }
    const auto stored = storages_.find(std::string(id.key));
    const uint64_t item = size_of(type->dtype);
    const uint64_t count = untyped ? id.count / item : id.count;
    if (stored == storages_.end() || count > stored->second.size() / item) {
      fail("The data of a tensor is missing or too short; the file is damaged or truncated.", name);
    }
    StoredTensor result;
    result.spec.name = std::move(name);
    result.spec.dtype = type->dtype;
    result.storage = stored->second.first(count * item);
    result.offset = node.integer;
    result.source_dtype = type->torch_name;
    result.spec.shape = lengths(node.children[1], result.spec.name);
    result.strides = lengths(node.children[2], result.spec.name);
    check_view(result, count);
    return result;
  }

  void note_opaque(const std::string& name) {
    if (opaque_.size() < kMaxOpaqueNames) {
      opaque_.insert(printable(name));
    }
  }

  void walk(const PickleNode& dict, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) {
      fail("The state dict is nested too deeply.");
    }
    for (size_t i = 0; i + 1 < dict.children.size(); i += 2) {
      if (++visits_ > kMaxVisits) {
        fail("The state dict has too many entries.");
      }
      const PickleNode& key = tree_.at(dict.children[i]);
      const PickleNode& value = tree_.at(dict.children[i + 1]);
      if (value.kind != Kind::Tensor && value.kind != Kind::Dict) {
        continue;
      }
      std::string name = prefix + (key.kind == Kind::Int ? std::to_string(key.integer) : key.text);
      if (name != printable(name)) {
        fail("A key of the state dict is too long or holds other characters than printable ASCII.",
             printable(name));
      }
      if (value.kind == Kind::Dict) {
        walk(value, name + ".", depth + 1);
      } else if (std::optional<StoredTensor> stored = tensor(value, std::move(name))) {
        file_.tensors_.push_back(std::move(*stored));
      }
    }
  }

  void read_root() {
    const PickleNode& root = tree_.at(tree_.root);
    if (root.kind == Kind::Opaque) {
      fail("The file holds a whole Python object, not a state dict.", root.text,
           "in Python: torch.save(model.state_dict(), FILE)");
    }
    if (root.kind != Kind::Dict) {
      fail("The file does not hold a dict of tensors.");
    }
    for (size_t i = 0; i + 1 < root.children.size(); i += 2) {
      file_.top_keys_.push_back(printable(tree_.at(root.children[i]).text));
    }
    for (const PickleNode& node : tree_.nodes) {
      // numpy.dtype is a part of numbers that are read.
      if (node.kind == Kind::Opaque && node.text != "numpy.dtype") {
        note_opaque(node.text);
      }
    }
    if (const PickleNode* epoch = find(tree_, root, "epoch"); epoch != nullptr && epoch->kind == Kind::Int) {
      file_.epoch_ = epoch->integer;
    }
    if (const PickleNode* ours = find(tree_, root, "slimbrain")) {
      const PickleNode* trained = find(tree_, *ours, "trained");
      file_.says_untrained_ = trained != nullptr && trained->kind == Kind::Bool && trained->integer == 0;
    }
    const PickleNode* state = &root;
    for (const char* key : {"model_state_dict", "state_dict", "model"}) {
      const PickleNode* inner = find(tree_, root, key);
      if (inner != nullptr && inner->kind == Kind::Dict) {
        state = inner;
        file_.state_key_ = key;
        break;
      }
    }
    walk(*state, "", 0);
    file_.opaque_names_.assign(opaque_.begin(), opaque_.end());
  }

  std::span<const std::byte> bytes_;
  PthFile file_;
  PickleTree tree_;
  std::map<std::string, std::span<const std::byte>> storages_;
  std::set<std::string> opaque_;
  size_t visits_ = 0;
};

std::vector<std::byte> StoredTensor::contiguous() const {
  const size_t item = size_of(spec.dtype);
  const auto total = static_cast<size_t>(spec.count());
  std::vector<std::byte> out(total * item);
  if (total == 0) {
    return out;
  }
  // The longest run of trailing dimensions that lies in one piece is copied at once.
  size_t inner = spec.shape.size();
  int64_t run = 1;
  while (inner > 0 && (spec.shape[inner - 1] == 1 || strides[inner - 1] == run)) {
    run *= spec.shape[--inner];
  }
  const size_t run_bytes = static_cast<size_t>(run) * item;
  std::vector<int64_t> at(inner, 0);
  for (size_t done = 0; done < out.size(); done += run_bytes) {
    int64_t from = offset;
    for (size_t i = 0; i < inner; ++i) {
      from += at[i] * strides[i];
    }
    std::memcpy(out.data() + done, storage.data() + static_cast<size_t>(from) * item, run_bytes);
    for (size_t i = inner; i-- > 0 && ++at[i] == spec.shape[i];) {
      at[i] = 0;
    }
  }
  return out;
}

PthFile PthFile::open(const fs::path& path) {
  const MappedFile mapping = MappedFile::open(path, message::kBadCheckpoint);
  PthFile file = parse(mapping.bytes(), path);
  file.mapping_ = std::make_shared<MappedFile>(mapping);
  return file;
}

PthFile PthFile::parse(std::span<const std::byte> bytes, const fs::path& name) {
  return PthBuilder(bytes, name).build();
}

}  // namespace slim::model
