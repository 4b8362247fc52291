// SPDX-License-Identifier: Apache-2.0
#include "evaluate/evaluation_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <set>

#include "core/error.h"

namespace slim::evaluate {
namespace {

/// Predictions restricted to some keys (all when `keys` is null).
Predictions only(const Predictions& predictions, const std::set<std::string>* keys) {
  Predictions result{predictions.classes, {}};
  for (const Prediction& row : predictions.rows) {
    if (keys == nullptr || keys->contains(row.key)) {
      result.rows.push_back(row);
    }
  }
  return result;
}

/// The same participants of one method in all repeats, with what the bootstrap needs.
struct Sample {
  std::vector<Predictions> repeats;
  std::vector<Value> values{};              // [metric], mean over repeats
  std::vector<std::vector<Value>> each{};   // [metric][repeat]
  std::vector<std::vector<Value>> draws{};  // [metric][draw]
  int64_t n = 0;                            // distinct participants
};

/// Participants of a sample and the number of each atom, in the order of their names.
std::map<std::string, int32_t> numbered_atoms(const std::vector<Predictions>& repeats) {
  std::map<std::string, int32_t> atoms;
  for (const Predictions& repeat : repeats) {
    for (const Prediction& row : repeat.rows) {
      atoms[row.atom] = 0;
    }
  }
  int32_t next = 0;
  for (auto& [name, number] : atoms) {
    number = next++;
  }
  return atoms;
}

Sample sample_of(std::vector<Predictions> repeats, const EvaluationOptions& options) {
  Sample sample{.repeats = std::move(repeats)};
  const auto atoms = numbered_atoms(sample.repeats);
  std::set<std::string> keys;
  std::vector<Repeat> forms;
  for (const Predictions& repeat : sample.repeats) {
    Repeat form;
    for (const Prediction& row : repeat.rows) {
      form.atom_of_row.push_back(atoms.at(row.atom));
      keys.insert(row.key);
    }
    form.statistics = [&repeat](std::span<const int32_t> rows) { return metric_values(repeat, rows); };
    forms.push_back(std::move(form));
  }
  sample.n = static_cast<int64_t>(keys.size());
  const size_t n_metrics = sample.repeats.empty() ? 0 : metrics_of(sample.repeats.front().classes).size();
  sample.each.resize(n_metrics);
  sample.draws.resize(n_metrics);
  for (const Predictions& repeat : sample.repeats) {
    std::vector<int32_t> rows(repeat.rows.size());
    std::iota(rows.begin(), rows.end(), 0);
    const std::vector<Value> values = metric_values(repeat, rows);
    for (size_t m = 0; m < n_metrics; ++m) {
      sample.each[m].push_back(values[m]);
    }
  }
  const auto draws =
      atoms.empty() ? std::vector<std::vector<Value>>()
                    : bootstrap_draws(forms, static_cast<int64_t>(atoms.size()), options.seed, options.draws);
  for (size_t m = 0; m < n_metrics; ++m) {
    sample.values.push_back(mean_of_defined(sample.each[m]));
    for (const std::vector<Value>& draw : draws) {
      sample.draws[m].push_back(draw[m]);
    }
  }
  return sample;
}

/// Sample SD (n - 1) of the defined values.
Value sd_of(const std::vector<Value>& values) {
  const Value mean = mean_of_defined(values);
  double squares = 0, n = 0;
  for (const Value& value : values) {
    squares += value ? (*value - *mean) * (*value - *mean) : 0;
    n += value ? 1 : 0;
  }
  return n > 1 ? Value(std::sqrt(squares / (n - 1))) : std::nullopt;
}

void add_rows(std::vector<EvaluationRow>& rows, const Method& method, const Group* group, int classes,
              const EvaluationOptions& options) {
  const std::set<std::string> keys =
      group != nullptr ? std::set(group->keys.begin(), group->keys.end()) : std::set<std::string>();
  std::vector<Predictions> repeats;
  for (const Predictions& repeat : method.repeats) {
    repeats.push_back(only(repeat, group != nullptr ? &keys : nullptr));
  }
  const Sample sample = sample_of(std::move(repeats), options);
  const auto metrics = metrics_of(classes);
  for (size_t m = 0; m < metrics.size(); ++m) {
    EvaluationRow row{.method = method.name,
                      .split = options.split,
                      .group = group != nullptr ? group->name : "all",
                      .metric = std::string(metrics[m].name),
                      .value = {},
                      .ci_low = {},
                      .ci_high = {},
                      .n = sample.n,
                      .chance = {},
                      .units = units_text(metrics[m].units, options.target_units),
                      .note = method.why_absent};
    if (m < sample.values.size() && sample.values[m]) {
      const Interval interval = percentile_interval(sample.draws[m]);
      row.value = sample.values[m];
      row.ci_low = interval.low;
      row.ci_high = interval.high;
    } else if (row.note.empty()) {
      row.note = "undefined for these participants";
    }
    rows.push_back(row);
    if (sample.repeats.size() > 1) {
      row.metric += "_sd_over_seeds";
      row.value = sd_of(sample.each[m]);
      row.ci_low = row.ci_high = std::nullopt;
      rows.push_back(row);
    }
  }
}

int classes_of(std::span<const Method> methods) {
  const Predictions* first = nullptr;
  for (const Method& method : methods) {
    for (const Predictions& repeat : method.repeats) {
      if (first != nullptr && first->classes != repeat.classes) {
        throw Error(message::kBug, "the methods of one table predict different classes");
      }
      first = &repeat;
    }
  }
  if (first == nullptr) {
    throw Error(message::kEmptySelection, "no method of the table could be run");
  }
  return first->classes;
}

const Method* method_named(std::span<const Method> methods, const std::string& name) {
  for (const Method& method : methods) {
    if (method.name == name && !method.repeats.empty()) {
      return &method;
    }
  }
  return nullptr;
}

/// Repeat by repeat, the participants that both methods predict.
std::pair<std::vector<Predictions>, std::vector<Predictions>> shared(const Method& a, const Method& b) {
  std::pair<std::vector<Predictions>, std::vector<Predictions>> result;
  for (size_t r = 0; r < std::min(a.repeats.size(), b.repeats.size()); ++r) {
    std::set<std::string> in_a, in_both;
    for (const Prediction& row : a.repeats[r].rows) {
      in_a.insert(row.key);
    }
    for (const Prediction& row : b.repeats[r].rows) {
      if (in_a.contains(row.key)) {
        in_both.insert(row.key);
      }
    }
    result.first.push_back(only(a.repeats[r], &in_both));
    result.second.push_back(only(b.repeats[r], &in_both));
  }
  return result;
}

}  // namespace

std::vector<EvaluationRow> evaluation_rows(std::span<const Method> methods,
                                           const EvaluationOptions& options) {
  const int classes = classes_of(methods);
  std::vector<EvaluationRow> rows;
  for (const Method& method : methods) {
    add_rows(rows, method, nullptr, classes, options);
  }
  for (const Group& group : options.groups) {
    for (const Method& method : methods) {
      add_rows(rows, method, &group, classes, options);
    }
  }
  const auto place = [](const EvaluationRow& row) { return std::array{row.group, row.metric, row.units}; };
  std::map<std::array<std::string, 3>, Value> chance;
  for (const EvaluationRow& row : rows) {
    if (row.method == options.chance_method) {
      chance[place(row)] = row.value;
    }
  }
  for (EvaluationRow& row : rows) {
    row.chance = row.metric.ends_with("_sd_over_seeds") ? std::nullopt : chance[place(row)];
  }
  return rows;
}

std::vector<DifferenceRow> difference_rows(std::span<const Method> methods,
                                           std::span<const std::pair<std::string, std::string>> pairs,
                                           const EvaluationOptions& options) {
  std::vector<DifferenceRow> rows;
  std::vector<Value> p;
  for (const auto& [name_a, name_b] : pairs) {
    const Method *a = method_named(methods, name_a), *b = method_named(methods, name_b);
    if (a == nullptr || b == nullptr) {
      continue;
    }
    const int classes = classes_of(methods);
    auto [of_a, of_b] = shared(*a, *b);
    const Sample sample_a = sample_of(std::move(of_a), options),
                 sample_b = sample_of(std::move(of_b), options);
    const auto metrics = metrics_of(classes);
    for (size_t m = 0; m < metrics.size(); ++m) {
      DifferenceRow row{.method = name_a,
                        .versus = name_b,
                        .split = options.split,
                        .group = "all",
                        .metric = std::string(metrics[m].name),
                        .value = {},
                        .ci_low = {},
                        .ci_high = {},
                        .p = {},
                        .p_holm = {},
                        .n = sample_a.n,
                        .units = units_text(metrics[m].units, options.target_units)};
      if (sample_a.values[m] && sample_b.values[m]) {
        const PairedDifference difference = paired_difference(sample_a.draws[m], sample_b.draws[m]);
        row.value = *sample_a.values[m] - *sample_b.values[m];
        row.ci_low = difference.interval.low;
        row.ci_high = difference.interval.high;
        row.p = difference.p;
      }
      p.push_back(row.p);
      rows.push_back(std::move(row));
    }
  }
  const std::vector<Value> corrected = holm(p);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].p_holm = corrected[i];
  }
  return rows;
}

std::string cell_text(const Value& value) {
  if (!value || !std::isfinite(*value)) {
    return "n/a";
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", *value == 0 ? 0.0 : *value);
  return text.data();
}

std::string evaluation_tsv(std::span<const EvaluationRow> rows) {
  std::string text = "method\tsplit\tgroup\tmetric\tvalue\tci_low\tci_high\tn\tchance\tunits\n";
  for (const EvaluationRow& row : rows) {
    text += row.method + "\t" + row.split + "\t" + row.group + "\t" + row.metric + "\t" +
            cell_text(row.value) + "\t" + cell_text(row.ci_low) + "\t" + cell_text(row.ci_high) + "\t" +
            std::to_string(row.n) + "\t" + cell_text(row.chance) + "\t" + row.units + "\n";
  }
  return text;
}

std::string differences_tsv(std::span<const DifferenceRow> rows) {
  std::string text = "method\tversus\tsplit\tgroup\tmetric\tvalue\tci_low\tci_high\tp\tp_holm\tn\tunits\n";
  for (const DifferenceRow& row : rows) {
    text += row.method + "\t" + row.versus + "\t" + row.split + "\t" + row.group + "\t" + row.metric + "\t" +
            cell_text(row.value) + "\t" + cell_text(row.ci_low) + "\t" + cell_text(row.ci_high) + "\t" +
            cell_text(row.p) + "\t" + cell_text(row.p_holm) + "\t" + std::to_string(row.n) + "\t" +
            row.units + "\n";
  }
  return text;
}

}  // namespace slim::evaluate
