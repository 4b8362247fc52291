// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "model/checkpoint/pickle_reader.h"

namespace slim::model {

/// What a call in a pickle stands for: a node that exists (`same`), a new one, or a sentence why it cannot be
/// (`defect`).
struct CallResult {
  std::optional<NodeId> same{};
  PickleNode node{};
  std::string defect{};
};

/// The closed table of callables: OrderedDict, torch's tensor builders and Size, numpy scalars, latin-1
/// bytes. Anything else becomes an Opaque node that keeps its name. Nothing is ever called.
CallResult call_known(const PickleTree& tree, NodeId callable, NodeId arguments);

}  // namespace slim::model
