// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace slim {

/// Kinds of failure; the number is the exit code of a call that could not go on (sysexits.h).
enum class Fault : int {
  Usage = 64,
  BadData = 65,
  MissingInput = 66,
  Unavailable = 69,
  Bug = 70,
  CannotCreate = 73,
  InputOutput = 74,
  TryAgain = 75
};

/// A row of the message table: the code that users quote and the fault it belongs to.
struct Message {
  std::string_view code;
  Fault fault;
};

/// The message table. docs/errors.md lists the sentences.
namespace message {
inline constexpr Message kUnknownOption{"SB1001", Fault::Usage};
inline constexpr Message kBadValue{"SB1002", Fault::Usage};
inline constexpr Message kUnicodeDash{"SB1003", Fault::Usage};
inline constexpr Message kMissingUnit{"SB1004", Fault::Usage};
inline constexpr Message kWrongLevel{"SB1005", Fault::Usage};
inline constexpr Message kUnknownKey{"SB1006", Fault::Usage};
inline constexpr Message kBadOutputPlace{"SB1007", Fault::Usage};
inline constexpr Message kOtherSettings{"SB1008", Fault::Usage};
inline constexpr Message kNoDescription{"SB2001", Fault::BadData};
inline constexpr Message kInvalidDataset{"SB2002", Fault::BadData};
inline constexpr Message kBadTable{"SB2003", Fault::BadData};
inline constexpr Message kTwoSidecars{"SB2004", Fault::BadData};
inline constexpr Message kTrMismatch{"SB2005", Fault::BadData};
inline constexpr Message kTruncated{"SB2006", Fault::BadData};
inline constexpr Message kNoUsableSpace{"SB2007", Fault::BadData};
inline constexpr Message kDemeaned{"SB2008", Fault::BadData};
inline constexpr Message kTooShort{"SB2009", Fault::BadData};
inline constexpr Message kNotNifti{"SB2010", Fault::BadData};
inline constexpr Message kBadHeader{"SB2011", Fault::BadData};
inline constexpr Message kNotFourD{"SB2012", Fault::BadData};
inline constexpr Message kNoOrientation{"SB2013", Fault::BadData};
inline constexpr Message kNoRepetitionTime{"SB2014", Fault::BadData};
inline constexpr Message kBadValues{"SB2015", Fault::BadData};
inline constexpr Message kLowCoverage{"SB2016", Fault::BadData};
inline constexpr Message kTemplateMismatch{"SB2017", Fault::BadData};
inline constexpr Message kBadJson{"SB2019", Fault::BadData};  // a JSON file that cannot be parsed
inline constexpr Message kBadStore{"SB2020",
                                   Fault::BadData};  // a safetensors file or clip store that is broken
inline constexpr Message kBadCheckpoint{"SB2021", Fault::BadData};  // a .pth file that cannot be read
inline constexpr Message kMissingPath{"SB2101", Fault::MissingInput};
inline constexpr Message kAnnexed{"SB2102", Fault::MissingInput};
inline constexpr Message kNeedsDerivative{"SB2103", Fault::MissingInput};
inline constexpr Message kUnknownLabel{"SB3001", Fault::MissingInput};
inline constexpr Message kEmptySelection{"SB3002", Fault::MissingInput};
inline constexpr Message kTie{"SB3003", Fault::BadData};
inline constexpr Message kNoModel{"SB4001", Fault::MissingInput};
inline constexpr Message kUnfitModel{"SB4002", Fault::BadData};
inline constexpr Message kNoDevice{"SB4003", Fault::Unavailable};
inline constexpr Message kNoMemory{"SB4004", Fault::Unavailable};
inline constexpr Message kNotLearning{"SB4005", Fault::BadData};
inline constexpr Message kCannotCreate{"SB5001", Fault::CannotCreate};
inline constexpr Message kInputOutput{"SB5002", Fault::InputOutput};
inline constexpr Message kLocked{"SB5003", Fault::TryAgain};
inline constexpr Message kStopped{"SB6001", Fault::TryAgain};
inline constexpr Message kLeakage{"SB7001", Fault::BadData};
inline constexpr Message kBug{"SB9001", Fault::Bug};
}  // namespace message

/// The lines below an error's sentence; empty ones are not shown.
struct ErrorDetails {
  std::string file{};
  std::string expected{};
  std::string found{};
  std::string remedy{};
};

/// The one exception of the library: a coded sentence that gains context on the way up.
class Error : public std::exception {
 public:
  Error(Message message, std::string sentence, ErrorDetails details = {});

  std::string_view code() const { return message_.code; }
  Fault fault() const { return message_.fault; }
  /// Context and sentence on one line, without the code.
  const std::string& sentence() const { return sentence_; }
  const ErrorDetails& details() const { return details_; }
  /// "SB2006: sentence" and the indented detail lines.
  const char* what() const noexcept override { return text_.c_str(); }
  /// The same error with `context: ` before its sentence.
  Error within(std::string_view context) const;

 private:
  Message message_;
  std::string sentence_;
  ErrorDetails details_;
  std::string text_;
};

/// Runs fn; an Error thrown by it gains `context` on its way up.
template <class Fn>
auto within(std::string_view context, Fn&& fn) -> decltype(fn()) {
  try {
    return std::forward<Fn>(fn)();
  } catch (const Error& error) {
    throw error.within(context);
  }
}

}  // namespace slim
