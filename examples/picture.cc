// SPDX-License-Identifier: Apache-2.0
#include "examples/picture.h"

#include <png.h>

#include <algorithm>
#include <cmath>

#include "core/atomic_file.h"
#include "core/error.h"

namespace slim::toy {
namespace {

constexpr int kGlyphWidth = 5, kGlyphHeight = 7, kAdvance = 6;

/// Rows of a letter from the top; bit 4 is its left dot.
struct Glyph {
  char letter;
  std::array<uint8_t, kGlyphHeight> rows;
};
constexpr Glyph kGlyphs[] = {
    {'0', {0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E}}, {'1', {0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E}},
    {'2', {0x0E, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1F}}, {'3', {0x1F, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0E}},
    {'4', {0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02}}, {'5', {0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E}},
    {'6', {0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E}}, {'7', {0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08}},
    {'8', {0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E}}, {'9', {0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C}},
    {'A', {0x0E, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11}}, {'B', {0x1E, 0x11, 0x11, 0x1E, 0x11, 0x11, 0x1E}},
    {'C', {0x0E, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0E}}, {'D', {0x1C, 0x12, 0x11, 0x11, 0x11, 0x12, 0x1C}},
    {'E', {0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x1F}}, {'F', {0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x10}},
    {'G', {0x0E, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0F}}, {'H', {0x11, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11}},
    {'I', {0x0E, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0E}}, {'J', {0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0C}},
    {'K', {0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11}}, {'L', {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1F}},
    {'M', {0x11, 0x1B, 0x15, 0x15, 0x11, 0x11, 0x11}}, {'N', {0x11, 0x11, 0x19, 0x15, 0x13, 0x11, 0x11}},
    {'O', {0x0E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}}, {'P', {0x1E, 0x11, 0x11, 0x1E, 0x10, 0x10, 0x10}},
    {'Q', {0x0E, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0D}}, {'R', {0x1E, 0x11, 0x11, 0x1E, 0x14, 0x12, 0x11}},
    {'S', {0x0F, 0x10, 0x10, 0x0E, 0x01, 0x01, 0x1E}}, {'T', {0x1F, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}},
    {'U', {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}}, {'V', {0x11, 0x11, 0x11, 0x11, 0x11, 0x0A, 0x04}},
    {'W', {0x11, 0x11, 0x11, 0x15, 0x15, 0x15, 0x0A}}, {'X', {0x11, 0x11, 0x0A, 0x04, 0x0A, 0x11, 0x11}},
    {'Y', {0x11, 0x11, 0x0A, 0x04, 0x04, 0x04, 0x04}}, {'Z', {0x1F, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1F}},
    {'-', {0x00, 0x00, 0x00, 0x1F, 0x00, 0x00, 0x00}}, {'+', {0x00, 0x04, 0x04, 0x1F, 0x04, 0x04, 0x00}},
    {'.', {0x00, 0x00, 0x00, 0x00, 0x00, 0x0C, 0x0C}}, {',', {0x00, 0x00, 0x00, 0x00, 0x0C, 0x04, 0x08}},
    {':', {0x00, 0x0C, 0x0C, 0x00, 0x0C, 0x0C, 0x00}}, {'_', {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1F}},
    {'(', {0x02, 0x04, 0x08, 0x08, 0x08, 0x04, 0x02}}, {')', {0x08, 0x04, 0x02, 0x02, 0x02, 0x04, 0x08}},
    {'=', {0x00, 0x00, 0x1F, 0x00, 0x1F, 0x00, 0x00}}, {'/', {0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x00}}};

const Glyph* find_glyph(char letter) {
  const char capital = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
  const auto* const found = std::find_if(std::begin(kGlyphs), std::end(kGlyphs),
                                         [&](const Glyph& glyph) { return glyph.letter == capital; });
  return found == std::end(kGlyphs) ? nullptr : found;  // a blank
}

}  // namespace

Picture::Picture(int width, int height, const Colour& ground)
    : width_(width),
      height_(height),
      pixels_(static_cast<size_t>(width) * static_cast<size_t>(height), ground) {}

void Picture::paint(int x, int y, const Colour& colour, float opacity) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) {
    return;
  }
  Colour& pixel = pixels_[static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)];
  for (size_t i = 0; i < pixel.size(); ++i) {
    pixel[i] += std::clamp(opacity, 0.0F, 1.0F) * (colour[i] - pixel[i]);
  }
}

void Picture::fill(int x, int y, int width, int height, const Colour& colour) {
  for (int row = y; row < y + height; ++row) {
    for (int column = x; column < x + width; ++column) {
      paint(column, row, colour);
    }
  }
}

void Picture::line(float x0, float y0, float x1, float y1, const Colour& colour, float thickness) {
  const float dx = x1 - x0, dy = y1 - y0, length2 = std::max(dx * dx + dy * dy, 1e-6F);
  const float reach = 0.5F * thickness + 1.0F;
  const auto low = [&](float a, float b) { return static_cast<int>(std::floor(std::min(a, b) - reach)); };
  const auto high = [&](float a, float b) { return static_cast<int>(std::ceil(std::max(a, b) + reach)); };
  for (int y = low(y0, y1); y <= high(y0, y1); ++y) {
    for (int x = low(x0, x1); x <= high(x0, x1); ++x) {
      const float px = static_cast<float>(x) - x0, py = static_cast<float>(y) - y0;
      const float along = std::clamp((px * dx + py * dy) / length2, 0.0F, 1.0F);
      paint(x, y, colour, 0.5F * thickness + 0.5F - std::hypot(px - along * dx, py - along * dy));
    }
  }
}

void Picture::text(int x, int y, std::string_view words, const Colour& colour, int scale) {
  for (const char letter : words) {
    if (const Glyph* const glyph = find_glyph(letter)) {
      for (int row = 0; row < kGlyphHeight; ++row) {
        for (int dot = 0; dot < kGlyphWidth; ++dot) {
          if ((glyph->rows[static_cast<size_t>(row)] >> (kGlyphWidth - 1 - dot) & 1) != 0) {
            fill(x + dot * scale, y + row * scale, scale, scale, colour);
          }
        }
      }
    }
    x += kAdvance * scale;
  }
}

int Picture::text_width(std::string_view words, int scale) {
  return std::max(0, static_cast<int>(words.size()) * kAdvance - 1) * scale;
}

void Picture::write_png(const std::filesystem::path& path) const {
  std::vector<png_byte> bytes;
  bytes.reserve(pixels_.size() * 3);
  for (const Colour& pixel : pixels_) {
    for (const float value : pixel) {
      bytes.push_back(static_cast<png_byte>(std::lround(255.0F * std::clamp(value, 0.0F, 1.0F))));
    }
  }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = PNG_FORMAT_RGB;
  write_atomically(path, [&](const std::filesystem::path& partial) {
    if (png_image_write_to_file(&image, partial.c_str(), 0, bytes.data(), 0, nullptr) == 0) {
      throw Error(message::kInputOutput, std::string("The picture cannot be written: ") + image.message,
                  {.file = path.string()});
    }
  });
}

}  // namespace slim::toy
