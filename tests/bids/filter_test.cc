// SPDX-License-Identifier: Apache-2.0
#include "bids/filter.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "core/error.h"
#include "core/json_file.h"
#include "core/nearest.h"
#include "tests/support/run_program.h"
#include "tests/support/synthetic_bids.h"

namespace slim::bids {
namespace {

using nlohmann::json;

BidsFile file_of(std::string_view name) {
  return {.path = std::string(name), .name = *BidsName::parse(name), .datatype = "func"};
}

bool keeps(const Selection& selection, std::string_view name) {
  return make_funnel(selection).keeps(file_of(name));
}

template <class Call>
std::string refusal(std::string_view code, Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.sentence();
  }
  return "accepted";
}

TEST(Filter, NothingAskedKeepsEverything) { EXPECT_TRUE(keeps({}, "sub-01_task-rest_bold.nii.gz")); }

TEST(Filter, LabelsMayCarryTheirKeyAndIndicesCompareAsNumbers) {
  const char* name = "sub-01_ses-A_task-rest_run-02_bold.nii.gz";
  EXPECT_TRUE(keeps({.participants = {"sub-01"}}, name));
  EXPECT_TRUE(keeps({.participants = {"02", "01"}}, name));
  EXPECT_FALSE(keeps({.participants = {"1"}}, name)) << "participants are labels, not numbers";
  EXPECT_TRUE(keeps({.sessions = {"ses-A"}, .tasks = {"task-rest"}, .runs = {"2"}}, name));
  EXPECT_FALSE(keeps({.runs = {"1", "3"}}, name));
  EXPECT_FALSE(keeps({.exclude = {"sub-01"}}, name));
  EXPECT_TRUE(keeps({.exclude = {"02"}}, name));
  EXPECT_FALSE(keeps({.sessions = {"A"}}, "sub-01_task-rest_bold.nii.gz")) << "no session is not session A";
}

TEST(Filter, EntityValuePairsAddUpWithinAnEntity) {
  EXPECT_TRUE(keeps({.filters = {"acq=mb", "acq=sb"}}, "sub-01_task-rest_acq-sb_bold.nii.gz"));
  EXPECT_TRUE(keeps({.filters = {"acquisition=mb"}}, "sub-01_task-rest_acq-mb_bold.nii.gz"));
  EXPECT_FALSE(keeps({.filters = {"acq=mb", "dir=AP"}}, "sub-01_task-rest_acq-mb_dir-PA_bold.nii.gz"));
  EXPECT_TRUE(keeps({.filters = {"extension=nii.gz", "suffix=bold", "datatype=func"}},
                    "sub-01_task-rest_bold.nii.gz"));
  EXPECT_FALSE(keeps({.filters = {"extension=.nii"}}, "sub-01_task-rest_bold.nii.gz"));
  EXPECT_EQ(refusal("SB1006", [] { parse_filter("aqc=mb"); }),
            "Unknown entity aqc in --filter; the nearest is acq.");
  EXPECT_EQ(refusal("SB1002", [] { parse_filter("acq"); }),
            "--filter acq is not valid: use ENTITY=VALUE, for example acq=mb.");
  EXPECT_NE(refusal("SB1002", [] { parse_filter("acq="); }), "accepted");
  EXPECT_NE(refusal("SB1002", [] { parse_filter("=mb"); }), "accepted");
}

TEST(Filter, FilterFilesSayAbsentPresentListsAndPatterns) {
  const auto kept = [](const json& bold, std::string_view name) {
    const BidsFile file = file_of(name);
    const std::vector<EntityRule> rules =
        filter_rules({{"bold", bold}, {"t1w", {{"suffix", "T1w"}}}}, "bold", "f.json");
    return SelectionStep{.name = "", .rules = rules}.keeps(file);
  };
  const char* plain = "sub-01_task-rest_bold.nii.gz";
  const char* second = "sub-01_task-rest_run-02_echo-1_bold.nii.gz";
  EXPECT_TRUE(kept({{"run", nullptr}}, plain));
  EXPECT_FALSE(kept({{"run", nullptr}}, second));
  EXPECT_TRUE(kept({{"run", "*"}}, second));
  EXPECT_FALSE(kept({{"run", "*"}}, plain));
  EXPECT_TRUE(kept({{"run", {1, 2}}}, second));
  EXPECT_TRUE(kept({{"run", {nullptr, 1}}}, plain));
  EXPECT_FALSE(kept({{"run", json::array()}}, second)) << "an empty list accepts nothing";
  EXPECT_TRUE(kept({{"task", "regex:^re"}}, plain));
  EXPECT_FALSE(kept({{"task", "regex:^es"}}, plain));
  EXPECT_TRUE(kept({{"subject", "sub-01"}, {"suffix", "bold"}, {"datatype", "func"}}, plain));
  EXPECT_TRUE(kept(json::object(), plain));
  EXPECT_TRUE(filter_rules({{"t1w", {{"suffix", "T1w"}}}}, "bold", "f.json").empty());
}

TEST(Filter, UnknownNamesAnywhereInAFilterFileAreErrors) {
  const auto refused = [](std::string_view code, const json& filters) {
    return refusal(code, [&] { filter_rules(filters, "bold", "f.json"); });
  };
  EXPECT_EQ(refused("SB1006", {{"blod", json::object()}}),
            "Unknown component blod in f.json; the nearest is bold.");
  EXPECT_EQ(refused("SB1006", {{"t1w", {{"sesion", "A"}}}}),
            "Unknown entity sesion in t1w of f.json; the nearest is session.");
  EXPECT_EQ(
      refused("SB1002", {{"bold", {{"run", 1.5}}}}),
      "The value of run in bold of f.json is a number; use text, a whole number, null or a list of these.");
  EXPECT_NE(refused("SB1002", {{"bold", {{"run", {{"a", 1}}}}}}), "accepted");
  EXPECT_NE(refused("SB1002", {{"bold", {{"task", "regex:("}}}}), "accepted");
  EXPECT_NE(refused("SB1002", {{"bold", {{"task", "regex:" + std::string(100000, '(')}}}}), "accepted");
  EXPECT_NE(refused("SB1002", {{"bold", "rest"}}), "accepted");
  EXPECT_NE(refused("SB1002", json::array()), "accepted");
}

TEST(Filter, StepsComeInTheOrderOfTheFunnelAndIntersectWithTheFile) {
  const test::TempFolder folder;
  test::write_file(folder / "filter.json", R"({"bold": {"task": ["rest", "nback"], "acq": null}})");
  const Funnel funnel = make_funnel({.participants = {"01"},
                                     .exclude = {"02"},
                                     .sessions = {"A"},
                                     .tasks = {"rest"},
                                     .runs = {"1"},
                                     .filters = {"dir=AP"},
                                     .bids_filter_file = folder / "filter.json"});
  std::vector<std::string> names;
  for (const SelectionStep& step : funnel.steps) names.push_back(step.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"participant-label", "exclude-participant-label", "session-label",
                                      "task-label", "run-label", "filter", "bids-filter-file"}));
  EXPECT_EQ(funnel.warnings,
            (std::vector<std::string>{"--task-label and filter.json both choose values of task; only "
                                      "files that fit both are used."}));
  EXPECT_TRUE(funnel.keeps(file_of("sub-01_ses-A_task-rest_dir-AP_run-1_bold.nii.gz")));
  EXPECT_FALSE(funnel.keeps(file_of("sub-01_ses-A_task-nback_dir-AP_run-1_bold.nii.gz")));
  EXPECT_FALSE(funnel.keeps(file_of("sub-01_ses-A_task-rest_acq-x_dir-AP_run-1_bold.nii.gz")));
}

TEST(Filter, HostileFilterFilesAreReadOrRefused) {
  std::mt19937 random(4);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const std::string good = R"({"bold": {"run": [1, null, "*"], "task": "regex:^r(e|x)*", "ses": null}})";
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = good;
    for (size_t n = below(4); n > 0; --n) {
      const size_t at = below(text.size());
      if (below(2))
        text[at] = static_cast<char>(below(256));
      else
        text.erase(at, 1 + below(5));
    }
    try {
      const SelectionStep step{.name = "",
                               .rules = filter_rules(parse_json(text, "f.json"), "bold", "f.json")};
      step.keeps(file_of("sub-01_task-rest_bold.nii.gz"));
      ++accepted;
    } catch (const Error& error) {
      ASSERT_TRUE(error.code() == "SB2019" || error.code() == "SB1006" || error.code() == "SB1002")
          << error.what();
    }
  }
  EXPECT_GT(accepted, 100);
}

TEST(Filter, UnknownParticipantsNameTheNearest) {
  const std::vector<std::string> existing{"001", "007", "17", "control12"};
  const std::vector<std::string> asked{"sub-17", "007", "17"};
  EXPECT_EQ(known_participants(asked, existing), (std::vector<std::string>{"007", "17"}));
  const std::vector<std::string> wrong{"07"};
  EXPECT_EQ(refusal("SB3001", [&] { known_participants(wrong, existing); }),
            "There is no participant 07; nearest: 007, 17.");
  EXPECT_EQ(refusal("SB3001", [&] { known_participants(wrong, {}); }), "There is no participant 07.");
}

TEST(Nearest, CountsEditsAndForgivesCase) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", "abc"), 0U);
  const std::vector<std::string> words{"--help", "--participant-label", "--task-label"};
  EXPECT_EQ(nearest("--partcipant-label", words), "--participant-label");
  EXPECT_EQ(nearest("--TASK-LABEL", words), "--task-label");
  EXPECT_EQ(nearest("x", std::span<const std::string>()), "");
  EXPECT_EQ(nearest_few("--task-labels", words, 2), (std::vector<std::string>{"--task-label", "--help"}));
}

}  // namespace
}  // namespace slim::bids
