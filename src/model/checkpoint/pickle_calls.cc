// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint/pickle_calls.h"

#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

namespace slim::model {
namespace {

using Kind = PickleNode::Kind;
using Arguments = const std::vector<NodeId>&;

constexpr size_t kMaxScalarText = 1024;

CallResult opaque(const PickleTree& tree, NodeId callable, NodeId arguments) {
  const PickleNode& made_by = tree.at(callable);
  return {.node = {.kind = Kind::Opaque,
                   .text = made_by.kind == Kind::Global ? made_by.text : std::string("an unnamed callable"),
                   .children = {arguments}}};
}

/// Python 2 gives the items as a list of pairs, Python 3 adds them afterwards.
std::optional<CallResult> ordered_dict(const PickleTree& tree, Arguments arguments) {
  CallResult result{.node = {.kind = Kind::Dict}};
  if (arguments.empty()) {
    return result;
  }
  const PickleNode& items = tree.at(arguments[0]);
  if (arguments.size() != 1 || (items.kind != Kind::List && items.kind != Kind::Tuple)) {
    return std::nullopt;
  }
  for (const NodeId item : items.children) {
    const PickleNode& pair = tree.at(item);
    if ((pair.kind != Kind::List && pair.kind != Kind::Tuple) || pair.children.size() != 2) {
      return std::nullopt;
    }
    result.node.children.insert(result.node.children.end(), pair.children.begin(), pair.children.end());
  }
  return result;
}

/// Arguments: storage, offset, size, stride, ... [dtype at 6 in version 3].
CallResult tensor(const PickleTree& tree, Arguments arguments, bool with_dtype) {
  const size_t needed = with_dtype ? 7 : 4;
  if (arguments.size() < needed || tree.at(arguments[0]).kind != Kind::Storage ||
      tree.at(arguments[1]).kind != Kind::Int || tree.at(arguments[2]).kind != Kind::Tuple ||
      tree.at(arguments[3]).kind != Kind::Tuple) {
    return {.defect = "a tensor is made of the wrong parts"};
  }
  CallResult result{.node = {.kind = Kind::Tensor,
                             .integer = tree.at(arguments[1]).integer,
                             .children = {arguments[0], arguments[2], arguments[3]}}};
  if (with_dtype) {
    result.node.children.push_back(arguments[6]);
  }
  return result;
}

template <class T>
T number_in(const std::string& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

/// Arguments: numpy.dtype('f8', ...) with its state (3, '<', ...), little-endian bytes.
std::optional<CallResult> numpy_scalar(const PickleTree& tree, Arguments arguments) {
  if (arguments.size() != 2) {
    return std::nullopt;
  }
  const PickleNode& dtype = tree.at(arguments[0]);
  const PickleNode& value = tree.at(arguments[1]);
  if (dtype.kind != Kind::Opaque || dtype.text != "numpy.dtype" || dtype.children.size() != 2 ||
      (value.kind != Kind::Bytes && value.kind != Kind::Text)) {
    return std::nullopt;
  }
  const PickleNode& made_of = tree.at(dtype.children[0]);
  const PickleNode& state = tree.at(dtype.children[1]);
  if (made_of.kind != Kind::Tuple || made_of.children.empty() || state.kind != Kind::Tuple ||
      state.children.size() < 2 || tree.at(state.children[1]).text == ">") {
    return std::nullopt;
  }
  const std::string_view code = tree.at(made_of.children[0]).text;
  const std::string& bytes = value.text;
  if (code == "f8" && bytes.size() == 8) {
    return CallResult{.node = {.kind = Kind::Float, .number = number_in<double>(bytes)}};
  }
  if (code == "f4" && bytes.size() == 4) {
    return CallResult{.node = {.kind = Kind::Float, .number = number_in<float>(bytes)}};
  }
  if (code == "i8" && bytes.size() == 8) {
    return CallResult{.node = {.kind = Kind::Int, .integer = number_in<int64_t>(bytes)}};
  }
  if (code == "i4" && bytes.size() == 4) {
    return CallResult{.node = {.kind = Kind::Int, .integer = number_in<int32_t>(bytes)}};
  }
  if (code == "b1" && bytes.size() == 1) {
    return CallResult{.node = {.kind = Kind::Bool, .integer = bytes[0] != 0}};
  }
  return std::nullopt;
}

/// Protocol 2 has no bytes; Python 3 writes them as text to be encoded as latin-1.
std::optional<CallResult> latin1(const PickleTree& tree, Arguments arguments) {
  if (arguments.size() != 2 || tree.at(arguments[0]).kind != Kind::Text ||
      tree.at(arguments[1]).text != "latin1" || tree.at(arguments[0]).text.size() > kMaxScalarText) {
    return std::nullopt;
  }
  const std::string& utf8 = tree.at(arguments[0]).text;
  std::string bytes;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto first = static_cast<unsigned char>(utf8[i]);
    if (first < 0x80) {
      bytes += utf8[i];
    } else if ((first == 0xC2 || first == 0xC3) && i + 1 < utf8.size() &&
               (static_cast<unsigned char>(utf8[i + 1]) & 0xC0) == 0x80) {
      ++i;
      bytes += static_cast<char>(((first & 3) << 6) | (static_cast<unsigned char>(utf8[i]) & 0x3F));
    } else {
      return std::nullopt;
    }
  }
  return CallResult{.node = {.kind = Kind::Bytes, .text = std::move(bytes)}};
}

std::optional<CallResult> in_table(const PickleTree& tree, std::string_view name, Arguments arguments) {
  if (name == "collections.OrderedDict") {
    return ordered_dict(tree, arguments);
  }
  if (name == "torch._utils._rebuild_tensor_v2" || name == "torch._utils._rebuild_tensor") {
    return tensor(tree, arguments, false);
  }
  if (name == "torch._utils._rebuild_tensor_v3") {
    return tensor(tree, arguments, true);
  }
  const bool is_parameter =
      name == "torch._utils._rebuild_parameter" || name == "torch._utils._rebuild_parameter_with_state";
  if (is_parameter && !arguments.empty()) {
    return CallResult{.same = arguments[0]};
  }
  if (name == "torch.Size" && arguments.size() == 1 && tree.at(arguments[0]).kind == Kind::Tuple) {
    return CallResult{.same = arguments[0]};
  }
  if (name == "numpy.core.multiarray.scalar" || name == "numpy._core.multiarray.scalar") {
    return numpy_scalar(tree, arguments);
  }
  if (name == "_codecs.encode") {
    return latin1(tree, arguments);
  }
  return std::nullopt;
}

}  // namespace

CallResult call_known(const PickleTree& tree, NodeId callable, NodeId arguments) {
  if (tree.at(callable).kind == Kind::Global && tree.at(arguments).kind == Kind::Tuple) {
    const std::vector<NodeId>& list = tree.at(arguments).children;
    std::string_view name = tree.at(callable).text;
    // A subclass of Tensor names the function that rebuilds the tensor within: (function, type, arguments,
    // state).
    const bool wraps = name == "torch._tensor._rebuild_from_type_v2" && list.size() >= 3 &&
                       tree.at(list[0]).kind == Kind::Global && tree.at(list[2]).kind == Kind::Tuple;
    const std::vector<NodeId>& inner = wraps ? tree.at(list[2]).children : list;
    name = wraps ? std::string_view(tree.at(list[0]).text) : name;
    if (std::optional<CallResult> known = in_table(tree, name, inner)) {
      return std::move(*known);
    }
  }
  return opaque(tree, callable, arguments);
}

}  // namespace slim::model
