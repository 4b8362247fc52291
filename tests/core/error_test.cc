// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <gtest/gtest.h>

namespace slim {
namespace {

TEST(Error, ShowsCodeSentenceAndOnlyTheDetailsItHas) {
  const Error plain(message::kTruncated, "The stream ends early.");
  EXPECT_STREQ(plain.what(), "SB2006: The stream ends early.");
  const Error full(message::kTruncated, "The stream ends early.",
                   {.file = "a.nii.gz", .expected = "10", .found = "9", .remedy = "copy it again"});
  EXPECT_STREQ(
      full.what(),
      "SB2006: The stream ends early.\n  file: a.nii.gz\n  expected: 10\n  found: 9\n  do: copy it again");
  EXPECT_EQ(full.code(), "SB2006");
}

TEST(Error, ExitCodesAreThoseOfSysexits) {
  EXPECT_EQ(static_cast<int>(message::kUnknownOption.fault), 64);
  EXPECT_EQ(static_cast<int>(message::kTruncated.fault), 65);
  EXPECT_EQ(static_cast<int>(message::kNoModel.fault), 66);
  EXPECT_EQ(static_cast<int>(message::kNoDevice.fault), 69);
  EXPECT_EQ(static_cast<int>(message::kBug.fault), 70);
  EXPECT_EQ(static_cast<int>(message::kCannotCreate.fault), 73);
  EXPECT_EQ(static_cast<int>(message::kInputOutput.fault), 74);
  EXPECT_EQ(static_cast<int>(message::kLocked.fault), 75);
}

TEST(Error, WithinAddsContextOnTheWayUpAndKeepsTheRest) {
  try {
    within("sub-01", [] {
      within("task-rest",
             []() -> int { throw Error(message::kBadValues, "NaN.", {.file = "f", .remedy = "look"}); });
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.sentence(), "sub-01: task-rest: NaN.");
    EXPECT_EQ(error.code(), "SB2015");
    EXPECT_EQ(error.fault(), Fault::BadData);
    EXPECT_EQ(error.details().file, "f");
    EXPECT_EQ(error.details().remedy, "look");
  }
}

TEST(Error, WithinPassesResultsAndOtherExceptionsThrough) {
  EXPECT_EQ(within("x", [] { return 7; }), 7);
  EXPECT_THROW(within("x", []() -> int { throw 3; }), int);
}

}  // namespace
}  // namespace slim
