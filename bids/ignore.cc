// SPDX-License-Identifier: Apache-2.0
#include "bids/ignore.h"

#include <algorithm>
#include <optional>
#include <span>

namespace slim::bids {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t end = text.find('/');
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// Length of the bracket expression at the start of `pattern` if it is one, and whether it takes `c`.
struct Bracket {
  size_t length;
  bool takes;
};
std::optional<Bracket> match_bracket(std::string_view pattern, char c) {
  size_t place = 1;
  const bool inverted = place < pattern.size() && (pattern[place] == '!' || pattern[place] == '^');
  if (inverted) ++place;
  bool found = false;
  for (bool first = true; place < pattern.size(); first = false) {
    if (pattern[place] == ']' && !first) return Bracket{place + 1, found != inverted};
    if (place + 2 < pattern.size() && pattern[place + 1] == '-' && pattern[place + 2] != ']') {
      found = found || (pattern[place] <= c && c <= pattern[place + 2]);
      place += 3;
    } else {
      found = found || pattern[place] == c;
      ++place;
    }
  }
  return std::nullopt;  // no closing bracket: an ordinary character
}

/// Length of the pattern's first element if it takes `c`, else 0. `*` is the caller's.
size_t match_one(std::string_view pattern, char c) {
  if (pattern.front() == '?') return 1;
  if (pattern.front() == '[') {
    if (const std::optional<Bracket> bracket = match_bracket(pattern, c))
      return bracket->takes ? bracket->length : 0;
  }
  const bool escaped = pattern.front() == '\\' && pattern.size() > 1;
  return pattern[escaped ? 1 : 0] == c ? (escaped ? 2 : 1) : 0;
}

/// One name against one pattern without slashes; goes back to the last star only, so time is at most their
/// product.
bool match_name(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0;
  std::optional<size_t> star;
  size_t star_name = 0;
  while (n < name.size()) {
    const size_t step = p < pattern.size() && pattern[p] != '*' ? match_one(pattern.substr(p), name[n]) : 0;
    if (step > 0) {
      p += step;
      ++n;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_name = n;
    } else if (star) {
      p = *star;
      n = ++star_name;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

/// Segments of a path against segments of a pattern, by dynamic programming from the end: no blow-up on many
/// `**`.
bool match_path(std::span<const std::string> pattern, std::span<const std::string> path) {
  std::vector<char> below(path.size() + 1, 0);  // below[i]: the rest of the pattern takes path[i..]
  below[path.size()] = 1;
  for (size_t p = pattern.size(); p-- > 0;) {
    std::vector<char> here(path.size() + 1, 0);
    const bool spans = pattern[p] == "**", last = p + 1 == pattern.size();
    for (size_t i = path.size() + 1; i-- > 0;) {
      if (spans) {
        // At the end `a/**` takes what lies in a, not a itself.
        here[i] = last ? (i < path.size()) : (below[i] || (i < path.size() && here[i + 1]));
      } else {
        here[i] = i < path.size() && below[i + 1] && match_name(pattern[p], path[i]);
      }
    }
    below = std::move(here);
  }
  return below[0] != 0;
}

}  // namespace

IgnoreRules::IgnoreRules(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (line.ends_with(' ') && !line.ends_with("\\ ")) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    Rule rule;
    if (line.front() == '!') {
      rule.takes_back = true;
      line.remove_prefix(1);
    }
    if (line.ends_with('/')) {
      rule.folders_only = true;
      line.remove_suffix(1);
    }
    rule.anchored = line.find('/') != std::string_view::npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    if (line.empty()) continue;
    rule.segments = split(line);
    rules_.push_back(std::move(rule));
  }
}

bool IgnoreRules::ignores(std::string_view path, bool is_folder) const {
  if (rules_.empty()) return false;
  const std::vector<std::string> segments = split(path);
  const auto matches = [&](const Rule& rule) {
    if (rule.folders_only && !is_folder) return false;
    return rule.anchored ? match_path(rule.segments, segments)
                         : match_name(rule.segments.front(), segments.back());
  };
  const auto last = std::find_if(rules_.rbegin(), rules_.rend(), matches);
  return last != rules_.rend() && !last->takes_back;
}

}  // namespace slim::bids
