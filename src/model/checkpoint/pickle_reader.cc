// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/pickle_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "model/checkpoint/pickle_calls.h"

namespace fs = std::filesystem;

namespace slim::model {
namespace {

using Kind = PickleNode::Kind;

// A published checkpoint has a pickle of some 100 kB and a few thousand nodes.
constexpr size_t kMaxPickleBytes = size_t{64} << 20;
constexpr size_t kMaxNodes = size_t{1} << 21;
constexpr size_t kMaxStack = size_t{1} << 21;
constexpr size_t kMaxNameBytes = 1024;

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const fs::path& name)
      : bytes_(bytes.first(std::min(bytes.size(), kMaxPickleBytes))), name_(name) {
    none_ = add({});
    true_ = add({.kind = Kind::Bool, .integer = 1});
    false_ = add({.kind = Kind::Bool, .integer = 0});
  }

  PickleTree run(size_t& used) {
    if (byte() != 0x80) {
      fail("it does not begin with a protocol number", "protocols 2 to 5");
    }
    if (const uint8_t protocol = byte(); protocol < 2 || protocol > 5) {
      fail("it has protocol " + std::to_string(protocol), "protocols 2 to 5");
    }
    for (uint8_t opcode = byte(); opcode != '.'; opcode = byte()) {
      step(opcode);
    }
    tree_.root = pop();
    used = at_;
    return std::move(tree_);
  }

 private:
  [[noreturn]] void fail(const std::string& sentence, std::string expected = {}) const {
    throw Error(message::kBadCheckpoint,
                "The pickle cannot be read: " + sentence + " (at byte " + std::to_string(at_) + ").",
                {.file = name_.string(), .expected = std::move(expected)});
  }

  // --- input
  std::span<const std::byte> take(uint64_t count) {
    if (count > bytes_.size() - at_) {
      fail(bytes_.size() == kMaxPickleBytes ? "it is too long" : "it ends early");
    }
    const auto piece = bytes_.subspan(at_, count);
    at_ += count;
    return piece;
  }
  uint8_t byte() { return static_cast<uint8_t>(take(1)[0]); }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text(uint64_t count) {
    const auto piece = take(count);
    return {reinterpret_cast<const char*>(piece.data()), piece.size()};
  }
  std::string line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, bytes_.size() - at_);
    const size_t end = rest.substr(0, kMaxNameBytes + 1).find('\n');
    if (end == rest.npos) {
      fail("a name has no end");
    }
    at_ += end + 1;
    return std::string(rest.substr(0, end));
  }

  // --- nodes and stack
  NodeId add(PickleNode node) {
    if (tree_.nodes.size() >= kMaxNodes) {
      fail("it describes too many objects");
    }
    tree_.nodes.push_back(std::move(node));
    return static_cast<NodeId>(tree_.nodes.size() - 1);
  }
  /// Counts bytes that a few bytes of input can ask for again and again.
  void charge(size_t bytes) {
    copied_ += bytes;
    if (copied_ > kMaxPickleBytes) {
      fail("it describes too large objects");
    }
  }
  void push(NodeId id) {
    if (stack_.size() >= kMaxStack) {
      fail("its stack grows too high");
    }
    stack_.push_back(id);
  }
  void push(PickleNode node) { push(add(std::move(node))); }
  NodeId pop() {
    if (stack_.size() <= floor()) {
      fail("its stack is empty where an object is needed");
    }
    const NodeId id = stack_.back();
    stack_.pop_back();
    return id;
  }
  NodeId top() {
    const NodeId id = pop();
    stack_.push_back(id);
    return id;
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  std::vector<NodeId> pop_to_mark() {
    if (marks_.empty()) {
      fail("a mark is missing");
    }
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<NodeId> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }
  void tuple(size_t count) {
    PickleNode node{.kind = Kind::Tuple};
    node.children.resize(count);
    for (size_t i = count; i-- > 0;) {
      node.children[i] = pop();
    }
    push(std::move(node));
  }
  void memoise(uint64_t key) {
    memo_[key] = top();
    if (memo_.size() > kMaxNodes) {
      fail("it remembers too many objects");
    }
  }
  void recall(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) {
      fail("it recalls an object that was not stored");
    }
    push(found->second);
  }

  /// Adds items to a container; what is added to an object that is not understood is dropped.
  void extend(std::vector<NodeId> items, Kind kind) {
    PickleNode& target = tree_.nodes[top()];
    if (target.kind == Kind::Opaque) {
      return;
    }
    if (target.kind != kind || (kind == Kind::Dict && items.size() % 2 != 0)) {
      fail("items are added to something that cannot hold them");
    }
    target.children.insert(target.children.end(), items.begin(), items.end());
  }

  void global(std::string module, std::string name) {
    charge(module.size() + name.size());
    push({.kind = Kind::Global, .text = std::move(module) + "." + std::move(name)});
  }
  void call() {
    const NodeId arguments = pop();
    const NodeId callable = pop();
    CallResult result = call_known(tree_, callable, arguments);
    if (!result.defect.empty()) {
      fail(result.defect);
    }
    if (result.same) {
      push(*result.same);
      return;
    }
    charge(result.node.text.size() + result.node.children.size() * sizeof(NodeId));
    push(std::move(result.node));
  }
  void persistent() {
    const NodeId id = pop();
    push({.kind = Kind::Storage, .children = {id}});
  }
  void build() {
    const NodeId state = pop();
    PickleNode& target = tree_.nodes[top()];
    if (target.kind == Kind::Opaque) {
      target.children.push_back(state);
    } else if (target.kind != Kind::Dict && target.kind != Kind::Tensor) {
      // OrderedDict carries torch's `_metadata`, a tensor subclass its attributes; both are of no use here.
      fail("a state is given to something that has none");
    }
  }
  void long_integer(uint64_t count) {
    const auto piece = take(count);
    if (piece.size() > 8) {
      push({.kind = Kind::Opaque, .text = "int of " + std::to_string(piece.size()) + " bytes"});
      return;
    }
    uint64_t value = !piece.empty() && (piece.back() & std::byte{0x80}) != std::byte{0} ? ~uint64_t{0} : 0;
    std::memcpy(&value, piece.data(), piece.size());
    push({.kind = Kind::Int, .integer = static_cast<int64_t>(value)});
  }

  double big_endian_double() { return std::bit_cast<double>(__builtin_bswap64(number<uint64_t>())); }
  void dict() {
    PickleNode node{.kind = Kind::Dict, .children = pop_to_mark()};
    if (node.children.size() % 2 != 0) {
      fail("a dict has a key without a value");
    }
    push(std::move(node));
  }
  void set_item() {
    const NodeId value = pop();
    const NodeId key = pop();
    extend({key, value}, Kind::Dict);
  }
  void mark() {
    if (marks_.size() >= kMaxStack) {
      fail("it sets too many marks");
    }
    marks_.push_back(stack_.size());
  }
  void discard() {
    if (stack_.size() == floor() && !marks_.empty()) {
      marks_.pop_back();  // Python's POP takes a mark, too
    } else {
      pop();
    }
  }
  void global_from_lines() {
    std::string module = line();
    global(std::move(module), line());
  }
  void global_from_stack() {
    const PickleNode& name = tree_.at(pop());
    const PickleNode& module = tree_.at(pop());
    if (name.kind != Kind::Text || module.kind != Kind::Text || name.text.size() > kMaxNameBytes ||
        module.text.size() > kMaxNameBytes) {
      fail("a global has no proper name");
    }
    global(module.text, name.text);
  }

  void step(uint8_t opcode);
  bool step_scalar(uint8_t opcode);
  bool step_container(uint8_t opcode);

  std::span<const std::byte> bytes_;
  const fs::path& name_;
  size_t at_ = 0, copied_ = 0;
  PickleTree tree_;
  NodeId none_ = 0, true_ = 0, false_ = 0;
  std::vector<NodeId> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, NodeId> memo_;
};

// The tables of opcodes read best as tables.
// clang-format off
bool Machine::step_scalar(uint8_t opcode) {
  switch (opcode) {
    case 'N': push(none_); return true;
    case 0x88: push(true_); return true;
    case 0x89: push(false_); return true;
    case 'J': push({.kind = Kind::Int, .integer = number<int32_t>()}); return true;
    case 'K': push({.kind = Kind::Int, .integer = byte()}); return true;
    case 'M': push({.kind = Kind::Int, .integer = number<uint16_t>()}); return true;
    case 0x8a: long_integer(byte()); return true;
    case 0x8b: long_integer(number<uint32_t>()); return true;
    case 'G': push({.kind = Kind::Float, .number = big_endian_double()}); return true;
    case 'X': push({.kind = Kind::Text, .text = text(number<uint32_t>())}); return true;
    case 0x8c: push({.kind = Kind::Text, .text = text(byte())}); return true;
    case 0x8d: push({.kind = Kind::Text, .text = text(number<uint64_t>())}); return true;
    case 'T': push({.kind = Kind::Text, .text = text(number<uint32_t>())}); return true;  // Python 2 wrote
    case 'U': push({.kind = Kind::Text, .text = text(byte())}); return true;  // its text as bytes
    case 'B': push({.kind = Kind::Bytes, .text = text(number<uint32_t>())}); return true;
    case 'C': push({.kind = Kind::Bytes, .text = text(byte())}); return true;
    case 0x8e:
    case 0x96: push({.kind = Kind::Bytes, .text = text(number<uint64_t>())}); return true;
    default: return false;
  }
}

bool Machine::step_container(uint8_t opcode) {
  switch (opcode) {
    case ')': push({.kind = Kind::Tuple}); return true;
    case ']': push({.kind = Kind::List}); return true;
    case '}': push({.kind = Kind::Dict}); return true;
    case 0x8f: push({.kind = Kind::Opaque, .text = "set"}); return true;
    case 0x85: tuple(1); return true;
    case 0x86: tuple(2); return true;
    case 0x87: tuple(3); return true;
    case 't': push({.kind = Kind::Tuple, .children = pop_to_mark()}); return true;
    case 'l': push({.kind = Kind::List, .children = pop_to_mark()}); return true;
    case 0x91: push({.kind = Kind::Opaque, .text = "frozenset", .children = pop_to_mark()}); return true;
    case 'd': dict(); return true;
    case 'a': extend({pop()}, Kind::List); return true;
    case 'e': extend(pop_to_mark(), Kind::List); return true;
    case 's': set_item(); return true;
    case 'u': extend(pop_to_mark(), Kind::Dict); return true;
    case 0x90: extend(pop_to_mark(), Kind::Opaque); return true;
    default: return false;
  }
}

void Machine::step(uint8_t opcode) {
  if (step_scalar(opcode) || step_container(opcode)) {
    return;
  }
  switch (opcode) {
    case '(': mark(); return;
    case '0': discard(); return;
    case '1': pop_to_mark(); return;
    case '2': push(top()); return;
    case 'c': global_from_lines(); return;
    case 0x93: global_from_stack(); return;
    case 'R':
    case 0x81: call(); return;
    case 0x92: pop(); call(); return;  // keyword arguments: nothing in the table takes any
    case 'b': build(); return;
    case 'Q': persistent(); return;
    case 'q': memoise(byte()); return;
    case 'r': memoise(number<uint32_t>()); return;
    case 0x94: memoise(memo_.size()); return;
    case 'h': recall(byte()); return;
    case 'j': recall(number<uint32_t>()); return;
    case 0x95: number<uint64_t>(); return;  // a frame only helps buffering
    default: fail("it holds opcode " + std::to_string(opcode) + ", which no checkpoint needs");
  }
}
// clang-format on

}  // namespace

PickleTree read_pickle(std::span<const std::byte> bytes, const fs::path& name, size_t& used) {
  return Machine(bytes, name).run(used);
}

PickleTree read_pickle(std::span<const std::byte> bytes, const fs::path& name) {
  size_t used = 0;
  return read_pickle(bytes, name, used);
}

}  // namespace slim::model
