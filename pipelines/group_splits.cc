// SPDX-License-Identifier: Apache-2.0
#include "pipelines/group_splits.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "bids/tsv.h"
#include "core/error.h"
#include "evaluate/splits_table.h"
#include "evaluate/targets.h"

namespace slim::pipelines {
namespace {

/// The value that stands for a participant among others: the mean of numbers, the most frequent class.
double usual_value(const std::vector<double>& values, bool numbers) {
  if (numbers) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  }
  std::map<double, int> counts;
  for (const double value : values) {
    ++counts[value];
  }
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

/// Numbers of more than kMostClasses sizes become their quintiles; other texts stay.
void band_numbers(std::map<std::string, std::string>& texts) {
  std::vector<double> numbers;
  for (const auto& [key, text] : texts) {
    const std::optional<double> number = evaluate::number_in(text);
    if (!number) {
      return;
    }
    numbers.push_back(*number);
  }
  if (std::set(numbers.begin(), numbers.end()).size() <= evaluate::kMostClasses) {
    return;
  }
  const std::vector<std::string> bands = evaluate::quintiles(numbers);
  size_t i = 0;
  for (auto& [key, text] : texts) {
    text = bands[i++];
  }
}

}  // namespace

std::map<std::string, std::string> stratify_texts(const GroupJob& job, const GroupTarget& target) {
  std::map<std::string, std::string> texts;
  for (const std::string& column : job.config.evaluate.stratify) {
    std::map<std::string, std::string> of_column = group_column(job, column);
    band_numbers(of_column);
    for (const auto& [key, value] : target.value_of) {
      const auto found = of_column.find(participant_of(key));
      std::string& text = texts[key];
      text += (text.empty() ? "" : "|") + (found == of_column.end() ? "n/a" : found->second);
    }
  }
  return texts;
}

std::vector<evaluate::SplitItem> split_items(const GroupJob& job, const GroupTarget& target) {
  const std::map<std::string, std::string> texts = stratify_texts(job, target);
  std::map<std::string, std::vector<double>> values_of;
  std::map<std::string, std::string> stratify_of;  // equal for all cases of a participant
  for (const auto& [key, value] : target.value_of) {
    values_of[participant_of(key)].push_back(value);
    if (!texts.empty()) {
      stratify_of[participant_of(key)] = texts.at(key);
    }
  }
  std::vector<evaluate::SplitItem> items;
  std::vector<double> values;
  std::vector<std::string> stratify;
  for (const auto& [key, of_participant] : values_of) {
    items.push_back({.key = key});
    values.push_back(usual_value(of_participant, target.classes.empty()));
    if (!texts.empty()) {
      stratify.push_back(stratify_of[key]);
    }
  }
  const std::vector<std::string> strata = evaluate::target_strata(values, target.classes, stratify);
  const std::string& group = job.config.evaluate.cv_group;
  const auto groups = group.empty() ? std::map<std::string, std::string>() : group_column(job, group);
  for (size_t i = 0; i < items.size(); ++i) {
    const auto found = groups.find(items[i].key);
    items[i].group = found == groups.end() ? "" : found->second;
    items[i].stratum = strata[i];
  }
  return items;
}

std::vector<evaluate::Splits> given_splits(const GroupJob& job,
                                           const std::vector<evaluate::SplitItem>& items) {
  const std::string& path = job.config.evaluate.splits;
  const bids::Table table = bids::read_tsv(path);
  std::vector<evaluate::Splits> all = within(path, [&] {
    return evaluate::read_splits({table.columns, table.rows}, "slimbrain");
  });
  std::set<std::string> wanted;
  for (const evaluate::SplitItem& item : items) {
    wanted.insert(item.key);
  }
  for (evaluate::Splits& splits : all) {
    std::string unknown;
    const size_t others = std::erase_if(splits.rows, [&](const evaluate::SplitRow& row) {
      const bool known = wanted.contains(row.key);
      unknown = known || !unknown.empty() ? unknown : row.key;
      return !known;
    });
    if (others > 0) {
      job.log.warn("in " + path + ", but without a clip store or a value: " + unknown +
                   (others > 1 ? " and " + std::to_string(others - 1) + " more" : ""));
    }
    if (splits.rows.size() < wanted.size()) {
      job.log.warn(std::to_string(wanted.size() - splits.rows.size()) + " of " +
                   std::to_string(wanted.size()) + " participants are not in " + path + " and are left out");
    }
  }
  return all;
}

evaluate::Splits case_splits(const evaluate::Splits& participants, const GroupTarget& target) {
  evaluate::Splits cases{participants.seed, participants.folds, {}};
  std::map<std::string, const evaluate::SplitRow*> rows;
  for (const evaluate::SplitRow& row : participants.rows) {
    rows[row.key] = &row;
  }
  for (const auto& [key, value] : target.value_of) {
    const auto found = rows.find(participant_of(key));
    if (found == rows.end()) {
      continue;
    }
    evaluate::SplitRow row = *found->second;
    if (target.by_session) {
      row.group = row.atom();
      row.key = key;
    }
    cases.rows.push_back(std::move(row));
  }
  return cases;
}

}  // namespace slim::pipelines
