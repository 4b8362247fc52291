// SPDX-License-Identifier: Apache-2.0
#include "app/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/nearest.h"
#include "core/version.h"

namespace slim::app {
namespace {

const std::map<std::string, std::string> kSectionTitles{
    {"input", "Inputs"},        {"select", "Selection"},
    {"resources", "Resources"}, {"prep", "Preparation"},
    {"embed", "Embedding"},     {"saliency", "Saliency"},
    {"train", "Training"},      {"evaluate", "Targets and evaluation"},
    {"run", "Run control"},     {"report", "Reporting"}};

/// Other spellings that BIDS Apps have taught people.
const std::map<std::string, std::string> kAliases{{"derivatives", "-d,--datasets"},
                                                  {"participant_label", "--participant-labels"},
                                                  {"session_label", "--session-labels,--session-id"},
                                                  {"task_label", "-t,--task-labels,--task-id"},
                                                  {"run_label", "--run-labels,--run-id,--run-index"},
                                                  {"nprocs", "--nthreads,--n-cpus"}};

/// Flags of other apps that make no sense here: one sentence each instead of "unknown option".
const std::map<std::string, std::string> kForeign{
    {"--output-spaces",
     "the output grid is fixed (2 mm, 96 x 96 x 96); choose the input's space with --space"},
    {"--fs-license-file", "FreeSurfer is not used"},
    {"--use-plugin", "there is no workflow engine; use --nprocs and --runs-at-once"},
    {"--no-sub", "nothing is ever sent anywhere"}};

/// Accepted without effect, so that wrappers written for other BIDS Apps work.
const std::array<const char*, 4> kIgnoredSwitches{"--notrack", "--bids-database-wipe",
                                                  "--skip-bids-validation", "--skip-bids-validator"};
const std::array<const char*, 2> kIgnoredValues{"--bids-database-dir", "-w,--work-dir"};

/// One option while CLI11 fills it.
struct Slot {
  Field* field = nullptr;
  CLI::Option* option = nullptr;
  std::vector<std::string> words;
  bool on = false, off = false;
};

/// Limits that hardly anybody changes are reached by --set alone.
bool has_flag(const Field& field) {
  return (!field.path.starts_with("prep.gates.") || field.key == "allow_demeaned") &&
         field.key != "min_acquired";
}

std::string level_of(const std::string& word) {
  const std::string level = word == "subject" ? "participant" : word == "dataset" ? "group" : word;
  if (level != "participant" && level != "group") {
    throw Error(message::kBadValue,
                "The analysis level " + word + " is not valid: use participant or group.");
  }
  return level;
}

/// `-` and `_` are the same inside a long option; a Unicode dash at the start of a word is an error that
/// names it.
std::vector<std::string> normalise(const std::vector<std::string>& words) {
  static const std::map<std::string, std::string> kDashes{
      {"\xE2\x80\x90", "a hyphen character (U+2010)"}, {"\xE2\x80\x91", "a non-breaking hyphen (U+2011)"},
      {"\xE2\x80\x92", "a figure dash (U+2012)"},      {"\xE2\x80\x93", "an en dash (U+2013)"},
      {"\xE2\x80\x94", "an em dash (U+2014)"},         {"\xE2\x88\x92", "a minus sign (U+2212)"}};
  std::vector<std::string> out;
  for (std::string word : words) {
    const auto dash = kDashes.find(word.substr(0, 3));
    if (dash != kDashes.end()) {
      throw Error(message::kUnicodeDash,
                  "\"" + word + "\" starts with " + dash->second + "; options start with two hyphens.");
    }
    if (word.starts_with("--")) {
      const auto end = word.begin() + static_cast<std::ptrdiff_t>(std::min(word.find('='), word.size()));
      std::replace(word.begin(), end, '_', '-');
    }
    out.push_back(std::move(word));
  }
  return out;
}

/// Splits commas and replaces @FILE by the file's lines.
std::vector<std::string> expand_list(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    if (word.starts_with("@")) {
      std::istringstream lines(read_text(word.substr(1)));
      for (std::string line; std::getline(lines, line);) {
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
        if (!line.empty()) out.push_back(line);
      }
      continue;
    }
    for (size_t at = 0; at <= word.size();) {
      const size_t comma = std::min(word.find(',', at), word.size());
      if (comma > at) out.push_back(word.substr(at, comma - at));
      at = comma + 1;
    }
  }
  return out;
}

std::string names_of(const Field& field) {
  std::string names = "--" + field.flag();
  const auto alias = kAliases.find(field.key);
  return alias == kAliases.end() ? names : names + "," + alias->second;
}

std::string help_of(const Field& field) {
  const nlohmann::json value = field.get();
  const bool silent = value.is_null() || value == "" || value == nlohmann::json::array() || value == false;
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (field.type == "two numbers") {
    text = value[0].dump() + ":" + value[1].dump();
  }
  return field.help + (silent ? "" : " [" + text + "]");
}

const char* type_of(const Field& field) {
  if (field.type == "list") return "LIST";
  if (field.type == "whole number") return "N";
  if (field.type == "number") return "NUMBER";
  if (field.type == "two numbers") return "LOW:HIGH";
  return "TEXT";
}

/// The parser and everything it fills.
class Parser {
 public:
  explicit Parser(pipelines::Config& config) : fields_(pipelines::config_fields(config)) {
    app_.name("slimbrain");
    app_.set_help_flag();
    app_.allow_extras();
    app_.add_option("bids_dir", positionals_[0],
                    "BIDS dataset: raw, derivative or HCP-style folder (group does not read it: - will do)");
    app_.add_option("out_dir", positionals_[1],
                    "where results go (a BIDS derivative dataset, written exactly here); group reads it");
    app_.add_option("level", levels_, "participant, group, or both in this order")->expected(1, 2);
    for (Field& field : fields_) {
      if (!has_flag(field)) {
        continue;
      }
      slots_.push_back(std::make_unique<Slot>());
      Slot& slot = *slots_.back();
      slot.field = &field;
      const std::string section = field.path.substr(0, field.path.find('.'));
      if (field.type == "switch") {
        slot.option = app_.add_flag(names_of(field), slot.on, help_of(field));
        app_.add_flag("--no-" + field.flag(), slot.off)->group("");  // accepted, not listed
      } else {
        slot.option = app_.add_option(names_of(field), slot.words, help_of(field))->type_name(type_of(field));
        if (field.type == "list") {
          slot.option->expected(1, 1 << 20);
        } else {
          slot.option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
        }
      }
      slot.option->group(kSectionTitles.at(section));
    }
    app_.add_option("--config-file,--config", config_files_,
                    "recipe JSON (or a run record, to replay it); later wins")
        ->type_name("FILE")
        ->group("Inputs");
    app_.add_option("--set", settings_, "SECTION.KEY=VALUE for any setting, also those without a flag")
        ->group("Run control");
    app_.add_flag("-v,--verbose", verbose_, "say more (twice: everything)")->group("Reporting");
    app_.add_flag("-q,--quiet", quiet_, "say only what went wrong")->group("Reporting");
    app_.add_option("--input-dataset", named_[0], "same as bids_dir")->group("BIDS execution form");
    app_.add_option("--output-location", named_[1], "same as out_dir")->group("BIDS execution form");
    app_.add_option("--analysis-level", named_[2], "same as level")->group("BIDS execution form");
    for (const char* name : kIgnoredSwitches) ignored_options_.push_back(app_.add_flag(name)->group(""));
    for (const char* name : kIgnoredValues)
      ignored_options_.push_back(app_.add_option(name, ignored_[name])->group(""));
    // Shown here, answered before parsing.
    app_.add_flag("-h,--help")
        ->description("this text; --help WORD shows the options that mention it")
        ->group("General");
    app_.add_flag("-V,--version")
        ->description("the version (with -v: build, libtorch, CUDA)")
        ->group("General");
    app_.add_flag("--doctor")
        ->description("check this machine: threads, memory, devices, CUDA plugin, templates, models")
        ->group("General");
    app_.footer(
        "Exit codes: 0 done; 1 some units failed; 64 usage; 65 unusable data; 66 missing input; 69 device or "
        "memory;\n"
        "70 a bug; 73 and 74 output; 75 stopped with everything committed, the same call continues.");
  }

  std::string help() const {
    std::string text = app_.help();
    const size_t usage = text.find("Usage:");
    return text.replace(usage, text.find('\n', usage) - usage,
                        "Usage: slimbrain BIDS_DIR OUT_DIR {participant,group} [options]");
  }

  /// The options whose name, group or description mentions a word.
  std::string help_about(const std::string& word) const {
    std::string text;
    for (const CLI::Option* option : app_.get_options()) {
      const std::string line = option->get_name(false, true) + "  " + option->get_description();
      if (!option->get_group().empty() && (option->get_group() + line).find(word) != std::string::npos) {
        text += "  " + line + "\n";
      }
    }
    if (text.empty()) {
      throw Error(message::kUnknownOption, "No option mentions \"" + word + "\"; --help shows all.");
    }
    return text;
  }

  void parse(const std::vector<std::string>& words, CommandLine& line) {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    try {
      app_.parse(reversed);
    } catch (const CLI::ParseError& error) {
      throw Error(message::kBadValue, std::string(error.what()) + ".",
                  {.remedy = "slimbrain --help shows the options"});
    }
    check_extras();
    settle_positionals(words, line);
    settle_values(line);
    line.verbosity = quiet_ ? -1 : verbose_;
  }

 private:
  void check_extras() const {
    for (const std::string& word : app_.remaining()) {
      if (!word.starts_with("-") || word == "-") {
        throw Error(message::kUnknownOption,
                    "The word \"" + word + "\" is one too many: a call is slimbrain BIDS_DIR OUT_DIR LEVEL.");
      }
      const std::string flag = word.substr(0, word.find('='));
      const auto foreign = kForeign.find(flag);
      if (foreign != kForeign.end()) {
        throw Error(message::kUnknownOption, flag + " has no meaning here: " + foreign->second + ".");
      }
      std::vector<std::string> known;
      for (const CLI::Option* option : app_.get_options()) {
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
      }
      throw Error(message::kUnknownOption,
                  "Unknown option " + flag + "; did you mean " + nearest(flag, known) + "?");
    }
  }

  void settle_positionals(const std::vector<std::string>& words, CommandLine& line) {
    const bool named = !named_[0].empty() || !named_[1].empty() || !named_[2].empty();
    const bool placed = !positionals_[0].empty();
    if (named && placed) {
      throw Error(message::kBadValue,
                  "Give either three positionals or --input-dataset, --output-location and --analysis-level, "
                  "not both.");
    }
    if (named) {
      positionals_ = {named_[0], named_[1]};
      levels_ = {named_[2]};
    }
    if (positionals_[0].empty() || positionals_[1].empty() || levels_.empty() || levels_.front().empty()) {
      for (const auto& slot : slots_) {
        if (slot->field->type == "list" && slot->words.size() > 1) {
          throw Error(message::kBadValue,
                      "The list of --" + slot->field->flag() +
                          " took the words after it; BIDS_DIR, OUT_DIR or LEVEL is missing.",
                      {.remedy = "put BIDS_DIR OUT_DIR LEVEL first, or write the list with commas"});
        }
      }
      throw Error(message::kBadValue,
                  "BIDS_DIR, OUT_DIR and LEVEL are needed" +
                      std::string(words.empty() ? "" : "; something is missing") + ".",
                  {.expected = "slimbrain BIDS_DIR OUT_DIR participant [options]",
                   .remedy = "slimbrain --help shows the options"});
    }
    line.bids_dir = positionals_[0];
    line.out_dir = positionals_[1];
    for (const std::string& word : levels_) line.levels.push_back(level_of(word));
    std::sort(line.levels.rbegin(), line.levels.rend());  // participant before group, whatever was said first
    line.levels.erase(std::unique(line.levels.begin(), line.levels.end()), line.levels.end());
  }

  void settle_values(CommandLine& line) {
    for (const std::string& file : config_files_) pipelines::apply_config_file(fields_, file, line.origins);
    line.notes = pipelines::apply_environment(fields_, line.origins);
    for (const auto& slot : slots_) {
      Field& field = *slot->field;
      const std::string where = "--" + field.flag();
      if (slot->on && slot->off) {
        throw Error(message::kBadValue, where + " and --no-" + field.flag() + " contradict each other.");
      }
      if (slot->option->count() == 0 && !slot->off) continue;
      if (field.type == "switch") {
        field.set(slot->on, where);
      } else {
        field.set(
            value_from_words(field, field.type == "list" ? expand_list(slot->words) : slot->words, where),
            where);
      }
      line.origins[field.path] = "flag";
    }
    for (const std::string& setting : settings_) {
      const size_t equals = setting.find('=');
      const std::string path = setting.substr(0, equals);
      const auto field =
          std::find_if(fields_.begin(), fields_.end(), [&](const Field& f) { return f.path == path; });
      if (equals == std::string::npos || field == fields_.end()) {
        std::vector<std::string> known;
        for (const Field& f : fields_) known.push_back(f.path);
        throw Error(message::kUnknownKey,
                    "--set " + setting + ": unknown key; the nearest is " + nearest(path, known) + ".");
      }
      const std::string value = setting.substr(equals + 1);
      field->set(value_from_words(*field, field->type == "list" ? expand_list({value}) : std::vector{value},
                                  "--set " + path),
                 "--set " + path);
      line.origins[path] = "flag";
    }
    for (const CLI::Option* option : ignored_options_) {
      if (option->count() > 0) {
        line.notes.push_back("--" + option->get_lnames().front() + " is accepted and has no effect here.");
      }
    }
  }

  CLI::App app_{"slimbrain runs SLIM-Brain, a voxel-level fMRI foundation model, on a BIDS dataset."};
  std::vector<Field> fields_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::array<std::string, 2> positionals_;
  std::array<std::string, 3> named_;
  std::vector<std::string> levels_, config_files_, settings_;
  std::map<std::string, std::string> ignored_;
  std::vector<const CLI::Option*> ignored_options_;
  int verbose_ = 0;
  bool quiet_ = false;
};

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& raw) {
  const std::vector<std::string> words = normalise(raw);
  CommandLine line;
  Parser parser(line.config);
  const auto has = [&](std::initializer_list<const char*> names) {
    return std::find_first_of(words.begin(), words.end(), names.begin(), names.end(),
                              [](const std::string& word, const char* name) { return word == name; });
  };
  if (const auto help = has({"-h", "--help", "--help-all"}); help != words.end()) {
    const auto topic = help + 1;
    line.action = Action::ShowText;
    line.text = topic != words.end() && !topic->starts_with("-") && words.size() == 2
                    ? parser.help_about(*topic)
                    : parser.help();
    return line;
  }
  if (has({"-V", "--version"}) != words.end()) {
    line.action = Action::ShowText;
    line.text = "slimbrain " + std::string(kVersion) + "\n";
    if (has({"-v", "--verbose"}) != words.end()) {
      line.text += build_description();
    }
    return line;
  }
  if (has({"--doctor"}) != words.end()) {
    line.action = Action::Doctor;
    std::vector<std::string> rest;
    std::copy_if(words.begin(), words.end(), std::back_inserter(rest),
                 [](const std::string& w) { return w != "--doctor"; });
    // Only the device, the log format and perhaps an output folder matter: positionals may be absent.
    if (rest.empty() || rest.front().starts_with("-")) {
      rest.insert(rest.begin(), {"-", "-", "participant"});
    }
    parser.parse(rest, line);
    return line;
  }
  parser.parse(words, line);
  return line;
}

}  // namespace slim::app
