// SPDX-License-Identifier: Apache-2.0
#include "core/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace slim {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

/// Case counts least, then equal length decides nothing: 7 is as near to 07 as to 17.
std::pair<size_t, size_t> remoteness(std::string_view word, std::string_view candidate) {
  return {edit_distance(lowered(word), lowered(candidate)), edit_distance(word, candidate)};
}

template <class Text>
std::vector<size_t> by_nearness(std::string_view word, std::span<const Text> candidates) {
  std::vector<std::pair<size_t, size_t>> distances(candidates.size());
  std::transform(candidates.begin(), candidates.end(), distances.begin(),
                 [&](std::string_view candidate) { return remoteness(word, candidate); });
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return distances[a] < distances[b]; });
  return order;
}

template <class Text>
std::string first_of(std::string_view word, std::span<const Text> candidates) {
  return candidates.empty() ? std::string() : std::string(candidates[by_nearness(word, candidates).front()]);
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  return first_of(word, candidates);
}

std::string nearest(std::string_view word, std::span<const std::string_view> candidates) {
  return first_of(word, candidates);
}

std::vector<std::string> nearest_few(std::string_view word, std::span<const std::string> candidates,
                                     size_t count) {
  std::vector<std::string> result;
  for (const size_t place : by_nearness(word, candidates)) {
    if (result.size() == count) break;
    result.push_back(candidates[place]);
  }
  return result;
}

}  // namespace slim
