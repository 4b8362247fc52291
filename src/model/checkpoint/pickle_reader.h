// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace slim::model {

/// Index of a node of a PickleTree.
using NodeId = uint32_t;

/// A Python object, as far as it is understood.
struct PickleNode {
  enum class Kind {
    None,
    Bool,     // integer
    Int,      // integer
    Float,    // number
    Text,     // text
    Bytes,    // text
    List,     // children
    Tuple,    // children
    Dict,     // children: key, value, key, value, ...
    Global,   // text "module.name"; a name, never looked up
    Storage,  // children: the tuple of the persistent id
    Tensor,   // children: storage, size tuple, stride tuple [, dtype]; integer = offset in elements
    Opaque    // text: what it would have been made by; children: its arguments, its state
  };
  Kind kind = Kind::None;
  int64_t integer = 0;
  double number = 0.0;
  std::string text{};
  std::vector<NodeId> children{};
};

/// What a pickle describes. Nodes may be shared, and lists and dicts may contain themselves.
struct PickleTree {
  std::vector<PickleNode> nodes;
  NodeId root = 0;
  const PickleNode& at(NodeId id) const { return nodes[id]; }
};

// Note [Restricted unpickler]. A pickle is a program for a machine that may call any Python function. This
// machine calls none: it builds neutral nodes. A closed table of callables that torch and numpy use in
// checkpoints is understood; any other becomes an Opaque node that keeps its name as text. Input size, nodes,
// stack and text lengths are bounded, and nodes live in one array, so that cycles and depth cost nothing.
/// Reads one pickle of protocol 2-5 from the front of `bytes` and sets `used` to its length; `name` stands in
/// errors. Every defect and unknown opcode is Error SB2021.
PickleTree read_pickle(std::span<const std::byte> bytes, const std::filesystem::path& name, size_t& used);
PickleTree read_pickle(std::span<const std::byte> bytes, const std::filesystem::path& name);

}  // namespace slim::model
