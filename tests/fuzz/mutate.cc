// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace slim::fuzz {
namespace {

constexpr std::array<uint64_t, 20> kNumbers{0,
                                            1,
                                            2,
                                            3,
                                            7,
                                            8,
                                            16,
                                            64,
                                            127,
                                            128,
                                            255,
                                            256,
                                            32767,
                                            65535,
                                            0x7FFFFFFF,
                                            0x80000000,
                                            0xFFFFFFFF,
                                            0x7FFFFFFFFFFFFFFF,
                                            0x8000000000000000,
                                            0xFFFFFFFFFFFFFFFF};

class Mutation {
 public:
  Mutation(std::string text, const std::vector<std::string>& corpus, const std::vector<std::string>& words,
           Stream& stream)
      : text_(std::move(text)), corpus_(corpus), words_(words), stream_(stream) {}

  void apply_one() {
    switch (stream_.bounded(10)) {
      case 0:
        return flip_bit();
      case 1:
        return set_byte();
      case 2:
        return set_number();
      case 3:
        return remove_piece();
      case 4:
        return repeat_piece();
      case 5:
        return insert_bytes();
      case 6:
        return insert_word();
      case 7:
        return overwrite_with_word();
      case 8:
        return splice();
      default:
        return stream_.bounded(4) == 0 ? cut_end() : change_digit();
    }
  }
  std::string take() && { return std::move(text_); }

 private:
  size_t place() { return text_.empty() ? 0 : stream_.bounded(text_.size()); }
  size_t short_length(size_t most) {
    return 1 + stream_.bounded(std::min<uint64_t>(most, 1 + stream_.bounded(64)));
  }

  void flip_bit() {
    if (!text_.empty()) {
      char& c = text_[place()];
      c = static_cast<char>(c ^ (1 << stream_.bounded(8)));
    }
  }
  void set_byte() {
    if (!text_.empty()) {
      text_[place()] = static_cast<char>(stream_.bounded(256));
    }
  }
  void set_number() {
    const size_t width = size_t{1} << stream_.bounded(4);
    if (text_.size() < width) {
      return;
    }
    uint64_t number = kNumbers[stream_.bounded(kNumbers.size())] + stream_.bounded(3) - 1;
    if (stream_.bounded(2) == 1) {
      number = __builtin_bswap64(number) >> (64 - 8 * width);
    }
    std::memcpy(text_.data() + stream_.bounded(text_.size() - width + 1), &number, width);
  }
  void remove_piece() {
    if (!text_.empty()) {
      const size_t at = place();
      text_.erase(at, short_length(text_.size() - at));
    }
  }
  void repeat_piece() {
    if (!text_.empty()) {
      const size_t at = place();
      const std::string piece = text_.substr(at, short_length(text_.size() - at));
      const uint64_t times = 1 + stream_.bounded(stream_.bounded(8) == 0 ? 200 : 3);
      const size_t target = place();
      for (uint64_t i = 0; i < times && text_.size() + piece.size() <= kMaxInput; ++i) {
        text_.insert(target, piece);
      }
    }
  }
  void insert_bytes() {
    std::string piece(short_length(64), '\0');
    const bool same = stream_.bounded(2) == 0;
    const auto first = static_cast<char>(stream_.bounded(256));
    for (char& c : piece) {
      c = same ? first : static_cast<char>(stream_.bounded(256));
    }
    text_.insert(stream_.bounded(text_.size() + 1), piece);
  }
  const std::string* word() { return words_.empty() ? nullptr : &words_[stream_.bounded(words_.size())]; }
  void insert_word() {
    if (const std::string* chosen = word()) {
      text_.insert(stream_.bounded(text_.size() + 1), *chosen);
    }
  }
  void overwrite_with_word() {
    if (const std::string* chosen = word()) {
      const size_t at = stream_.bounded(text_.size() + 1);
      text_.replace(at, std::min(chosen->size(), text_.size() - at), *chosen);
    }
  }
  void splice() {
    const std::string& other = corpus_[stream_.bounded(corpus_.size())];
    if (other.empty()) {
      return;
    }
    const size_t from = stream_.bounded(other.size());
    const size_t length = 1 + stream_.bounded(other.size() - from);
    const size_t at = stream_.bounded(text_.size() + 1);
    text_.replace(at, stream_.bounded(2) == 0 ? 0 : std::min(length, text_.size() - at),
                  other.substr(from, length));
  }
  void cut_end() { text_.resize(stream_.bounded(text_.size() + 1)); }
  void change_digit() {
    const size_t at = text_.find_first_of("0123456789", place());
    if (at != text_.npos) {
      text_[at] = static_cast<char>('0' + stream_.bounded(10));
    }
  }

  std::string text_;
  const std::vector<std::string>& corpus_;
  const std::vector<std::string>& words_;
  Stream& stream_;
};

}  // namespace

std::string mutate(const std::vector<std::string>& corpus, const std::vector<std::string>& words,
                   Stream& stream) {
  // What was found last is where unexplored ground begins.
  const uint64_t recent = std::min<uint64_t>(corpus.size(), 32);
  const size_t chosen = stream.bounded(2) == 0 ? corpus.size() - 1 - stream.bounded(recent)
                                               : static_cast<size_t>(stream.bounded(corpus.size()));
  Mutation mutation(corpus[chosen], corpus, words, stream);
  for (uint64_t left = 1 + stream.bounded(8) * stream.bounded(2); left > 0; --left) {
    mutation.apply_one();
  }
  std::string text = std::move(mutation).take();
  text.resize(std::min(text.size(), kMaxInput));
  return text;
}

}  // namespace slim::fuzz
