// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace slim::bids {

/// The rules of a .bidsignore file, which follow .gitignore: the last match wins, `!` takes back, a slash
/// anchors, a trailing slash means folders only, `**` spans folders.
class IgnoreRules {
 public:
  /// No rules: nothing is ignored.
  IgnoreRules() = default;
  /// Never throws on any text; lines that are empty or start with '#' say nothing.
  explicit IgnoreRules(std::string_view text);

  bool empty() const { return rules_.empty(); }
  /// Whether the rules hide an entry, by its path from the root. What lies in a hidden folder is hidden too:
  /// the caller does not descend.
  bool ignores(std::string_view path, bool is_folder) const;

 private:
  struct Rule {
    std::vector<std::string> segments;  // between slashes
    bool takes_back = false;
    bool folders_only = false;
    bool anchored = false;  // otherwise the last name alone is compared
  };
  std::vector<Rule> rules_;
};

}  // namespace slim::bids
