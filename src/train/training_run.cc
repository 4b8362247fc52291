// SPDX-License-Identifier: Apache-2.0
#include "train/training_run.h"

#include <cmath>
#include <cstdio>

#include "core/error.h"

namespace slim::train {

void EpochMeans::add(const std::vector<Scalar>& values) {
  for (const auto& [name, value] : values) {
    if (std::isfinite(value)) {
      sums_["sum." + name] += value;
      sums_["count." + name] += 1;
    }
  }
}

std::vector<Scalar> EpochMeans::means() const {
  std::vector<Scalar> values;
  for (const auto& [name, sum] : sums_) {
    if (name.starts_with("sum.")) {
      values.emplace_back(name.substr(4), mean(name.substr(4)));
    }
  }
  return values;
}

double EpochMeans::mean(const std::string& name) const {
  return sums_.at("sum." + name) / sums_.at("count." + name);
}

void EpochMeans::clear() {
  std::erase_if(sums_, [](const auto& one) {
    return one.first.starts_with("sum.") || one.first.starts_with("count.");
  });
}

void refuse_other_settings(const TrainerState& saved, const std::map<std::string, std::string>& now,
                           const std::filesystem::path& checkpoint) {
  for (const ChangedHash& change : changed_hashes(saved, now)) {
    const auto or_none = [](const std::string& value) { return value.empty() ? "none" : value; };
    throw Error(
        message::kOtherSettings,
        "The training that was begun here has " + change.name + " " + or_none(change.saved) +
            ", this call has " + or_none(change.now) + ".",
        {.file = checkpoint.string(),
         .remedy = "call with the same settings, choose another --model-name, or start anew with --force"});
  }
}

std::string short_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace slim::train
