// SPDX-License-Identifier: Apache-2.0
#include "image/gz_stream.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"

namespace slim::image {
namespace {

constexpr size_t kLargestRequest = size_t{1} << 30;  // ISA-L counts in 32 bits
constexpr size_t kSmallestBlock = 64;                // room to look for a member's first two bytes
constexpr size_t kScratchBytes = size_t{1} << 16;

bool starts_member(const uint8_t* bytes, size_t count) {
  return count >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

}  // namespace

struct GzStream::Inflater {
  inflate_state state{};
};

GzStream::GzStream(const InputFile& file, size_t block_bytes)
    : file_(file),
      block_(static_cast<size_t>(std::clamp<uint64_t>(file.size(), kSmallestBlock, block_bytes))),
      inflater_(std::make_unique<Inflater>()) {
  isal_inflate_init(&inflater_->state);
  inflater_->state.crc_flag = ISAL_GZIP;
}

GzStream::~GzStream() = default;

void GzStream::fail(int code) const {
  const uint64_t place = file_position_ - inflater_->state.avail_in;
  const std::string where =
      " (near byte " + std::to_string(place) + " of " + std::to_string(file_.size()) + ").";
  const char* what = code == ISAL_INCORRECT_CHECKSUM
                         ? "The checksum or length of the compressed data is wrong"
                         : "The compressed data is damaged";
  throw Error(message::kTruncated, what + where,
              {.file = file_.path().string(), .remedy = "copy the file again"});
}

// Keeps what is left of the block and appends; false at the end of the file.
bool GzStream::refill() {
  inflate_state& state = inflater_->state;
  const size_t left = state.avail_in;
  if (left > 0) {
    std::memmove(block_.data(), state.next_in, left);
  }
  const size_t count = file_.read_at(file_position_, std::span(block_).subspan(left));
  file_position_ += count;
  state.next_in = reinterpret_cast<uint8_t*>(block_.data());
  state.avail_in = static_cast<uint32_t>(left + count);
  return count > 0;
}

// After a member's end: starts the next one, or looks at what follows and ends the stream.
bool GzStream::next_member() {
  inflate_state& state = inflater_->state;
  if (state.avail_in < 2) {
    refill();
  }
  if (starts_member(state.next_in, state.avail_in)) {
    isal_inflate_reset(&state);
    state.crc_flag = ISAL_GZIP;
    return true;
  }
  ended_ = true;
  const uint64_t place = file_position_ - state.avail_in;
  bool has_content = false;
  do {
    has_content = has_content || std::any_of(state.next_in, state.next_in + state.avail_in,
                                             [](uint8_t b) { return b != 0; });
    state.avail_in = 0;
  } while (!has_content && refill());
  if (has_content) {
    warnings_.push_back(std::to_string(file_.size() - place) +
                        " bytes after the end of the compressed data are ignored.");
  }
  return false;
}

size_t GzStream::read(std::span<std::byte> out) {
  inflate_state& state = inflater_->state;
  size_t done = 0;
  while (done < out.size() && !ended_) {
    if (state.block_state == ISAL_BLOCK_FINISH) {
      if (!next_member()) {
        break;
      }
    }
    const bool has_input = state.avail_in > 0 || refill();
    const uint32_t wanted = static_cast<uint32_t>(std::min(out.size() - done, kLargestRequest));
    state.next_out = reinterpret_cast<uint8_t*>(out.data() + done);
    state.avail_out = wanted;
    const int code = isal_inflate(&state);
    if (code < 0 || code == ISAL_NEED_DICT) {
      fail(code);
    }
    const size_t made = wanted - state.avail_out;
    done += made;
    position_ += made;
    // Without input the state may still hold output or the trailer; only when nothing moves has the file
    // ended early.
    if (!has_input && made == 0 && state.block_state != ISAL_BLOCK_FINISH) {
      was_cut_ = true;
      ended_ = true;
    }
  }
  return done;
}

uint64_t GzStream::skip(uint64_t count) {
  std::vector<std::byte> scratch(static_cast<size_t>(std::min<uint64_t>(count, kScratchBytes)));
  uint64_t done = 0;
  while (done < count) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(count - done, scratch.size()));
    const size_t made = read(std::span(scratch).first(wanted));
    done += made;
    if (made < wanted) {
      break;
    }
  }
  return done;
}

GzStream::Rest GzStream::drain() {
  std::vector<std::byte> scratch(kScratchBytes);
  Rest rest;
  while (const size_t made = read(scratch)) {
    rest.bytes += made;
    rest.has_content =
        rest.has_content || std::any_of(scratch.begin(), scratch.begin() + static_cast<std::ptrdiff_t>(made),
                                        [](std::byte b) { return b != std::byte{0}; });
  }
  if (was_cut_) {
    throw Error(
        message::kTruncated,
        "The compressed file ends early, at byte " + std::to_string(file_.size()) + ", before its checksum.",
        {.file = file_.path().string(), .remedy = "copy the file again"});
  }
  return rest;
}

bool is_gzip(const InputFile& file) {
  std::array<std::byte, 2> start{};
  const size_t count = file.read_at(0, start);
  return starts_member(reinterpret_cast<const uint8_t*>(start.data()), count);
}

}  // namespace slim::image
