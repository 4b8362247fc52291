// SPDX-License-Identifier: Apache-2.0
#include "bids/search_text.h"

#include "bids/bold_run.h"

namespace slim::bids {

std::string places_text(const std::vector<SearchedPlace>& searched) {
  std::string text;
  for (const SearchedPlace& place : searched) {
    text += (text.empty() ? "" : "; ") + place.path.string() + " (" + place.verdict + ")";
  }
  return text;
}

std::string failing_value(const SelectionStep& step, const BidsFile& file) {
  std::string text;
  for (const EntityRule& rule : step.rules) {
    if (rule.accepts(file) == step.excludes) {
      const std::string* value = file.name.get(rule.entity);
      text += (text.empty() ? "" : ", ") +
              (value == nullptr ? "no matching " + rule.entity : rule.entity + "-" + *value);
    }
  }
  return text;
}

std::string funnel_text(const std::vector<FunnelStep>& funnel) {
  std::string text;
  for (const FunnelStep& step : funnel) {
    text +=
        "  " + step.name + ": " + std::to_string(step.before) + " -> " + std::to_string(step.after) + "\n";
    for (const std::string& example : step.examples) {
      text += "    left out: " + example + "\n";
    }
  }
  return text;
}

}  // namespace slim::bids
