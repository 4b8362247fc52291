// SPDX-License-Identifier: Apache-2.0
// Stage evaluate with --head fingerprint.
#include "evaluate/fingerprint.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "pipelines/evaluate.h"

namespace slim::pipelines {
namespace {

/// Clips of one participant by occasion (a session, or a run), in the order of their labels.
using Occasions = std::map<std::string, std::vector<int64_t>>;

/// A participant with clips of two occasions.
struct Person {
  std::string key;
  std::vector<int64_t> first, second;
};

std::map<std::string, Occasions> occasions_of(const EmbeddingFeatures& features, bool sessions) {
  std::map<std::string, Occasions> people;
  for (int64_t clip = 0; clip < features.clips(); ++clip) {
    const StoredRun& run = *features.run_of[static_cast<size_t>(clip)];
    people[participant_key(run)][sessions ? run.cell("ses") : run.unit()].push_back(clip);
  }
  return people;
}

/// Those with at least two occasions, and the clips of the first two.
std::vector<Person> people_with_two(const EmbeddingFeatures& features, bool sessions) {
  std::vector<Person> people;
  for (const auto& [key, occasions] : occasions_of(features, sessions)) {
    if (occasions.size() > 1) {
      people.push_back({key, occasions.begin()->second, std::next(occasions.begin())->second});
    }
  }
  return people;
}

void mean_into(const EmbeddingFeatures& features, const std::vector<int64_t>& clips, double* row) {
  for (const int64_t clip : clips) {
    for (int64_t j = 0; j < features.columns; ++j) {
      row[j] += features.values[static_cast<size_t>(clip * features.columns + j)] /
                static_cast<double>(clips.size());
    }
  }
}

/// Features of clips and the number of the person that each belongs to.
struct Labelled {
  std::vector<double> values{};
  std::vector<int> person{};

  void add(const EmbeddingFeatures& features, const std::vector<int64_t>& clips, int who) {
    for (const int64_t clip : clips) {
      const auto row = features.values.begin() + clip * features.columns;
      values.insert(values.end(), row, row + features.columns);
      person.push_back(who);
    }
  }
};

std::vector<evaluate::EvaluationRow> rows_of(const EmbeddingFeatures& features,
                                             const std::vector<Person>& people, const std::string& group,
                                             const evaluate::EvaluationOptions& options) {
  const auto n = static_cast<int64_t>(people.size());
  evaluate::Matrix first(n, features.columns), second(n, features.columns);
  Labelled first_clips, second_clips;
  for (int64_t i = 0; i < n; ++i) {
    const Person& person = people[static_cast<size_t>(i)];
    mean_into(features, person.first, first.row(i));
    mean_into(features, person.second, second.row(i));
    first_clips.add(features, person.first, static_cast<int>(i));
    second_clips.add(features, person.second, static_cast<int>(i));
  }
  std::vector<evaluate::EvaluationRow> rows;
  for (const bool centred : {false, true}) {
    for (evaluate::EvaluationRow& row : evaluate::identification_rows(
             evaluate::identify(first, second, {.subtract_database_mean = centred}),
             centred ? "identification_centred" : "identification", group, options)) {
      rows.push_back(std::move(row));
    }
  }
  for (evaluate::EvaluationRow& row : evaluate::closed_set_rows(
           evaluate::recognise({first_clips.values, features.columns}, first_clips.person,
                               {second_clips.values, features.columns}, second_clips.person,
                               static_cast<int>(n)),
           "closed_set", group, options)) {
    rows.push_back(std::move(row));
  }
  return rows;
}

void say(const GroupJob& job, const std::vector<evaluate::EvaluationRow>& rows) {
  std::vector<std::vector<std::string>> lines{
      {"method", "group", "metric", "value", "95 % interval", "n", "chance"}};
  for (const evaluate::EvaluationRow& row : rows) {
    if (row.metric.ends_with("_to_2") || row.metric.ends_with("_to_1")) {
      continue;  // each direction: in the table on disk
    }
    lines.push_back({row.method, row.group, row.metric, short_number(row.value),
                     row.ci_low ? short_number(row.ci_low) + " to " + short_number(row.ci_high) : "n/a",
                     std::to_string(row.n), short_number(row.chance)});
  }
  for (const std::string& line : aligned(lines)) {
    job.log.say(Level::Normal, line);
  }
}

}  // namespace

void evaluate_fingerprint(const GroupJob& job, const EvaluatedModel& model) {
  bool sessions = true;
  std::vector<Person> people = people_with_two(model.features, sessions);
  if (people.size() < 2) {
    sessions = false;
    people = people_with_two(model.features, sessions);
  }
  if (people.size() < 2) {
    throw Error(message::kEmptySelection,
                "A fingerprint needs at least two participants with two sessions, or two runs, each.",
                {.found = std::to_string(people.size()) + " such participants",
                 .remedy = "prepare and embed further sessions"});
  }
  const evaluate::EvaluationOptions options{.split = sessions ? "between_sessions" : "within_session",
                                            .seed = static_cast<uint64_t>(job.config.train.seed)};
  std::map<std::string, std::vector<Person>> groups;  // "all" comes before "pretrained=true"
  for (Person& person : people) {
    const bool seen = !evaluate::leaked(std::span(&person.key, 1), model.history.trained).empty();
    groups[seen ? "pretrained=true" : "all"].push_back(std::move(person));
  }
  std::vector<evaluate::EvaluationRow> rows;
  for (const auto& [group, members] : groups) {
    if (members.size() < 2) {
      job.log.warn("one participant alone (" + group + ") is nobody to be told from: left out");
      continue;
    }
    const auto own = rows_of(model.features, members, group, options);
    rows.insert(rows.end(), own.begin(), own.end());
  }
  GroupTable table = metrics_table(
      "fingerprint", "Who is who between two " + std::string(sessions ? "sessions." : "runs of a session."),
      rows);
  table.more = {{"Slimbrain", evaluated_block(model)}, {"WithinSession", !sessions}};
  write_group_table(job.out_dir, table);
  job.log.say(Level::Normal,
              "evaluate: fingerprint by model " + model.folder.card.name + ", " + options.split);
  say(job, rows);
}

}  // namespace slim::pipelines
