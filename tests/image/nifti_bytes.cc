// SPDX-License-Identifier: Apache-2.0
#include "tests/image/nifti_bytes.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace slim::test {
namespace {

class Layout {
 public:
  Layout(size_t size, bool big_endian) : bytes_(size), big_endian_(big_endian) {}
  template <class Value>
  void put(size_t offset, Value value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof value);
    if (big_endian_) {
      std::reverse(bytes_.begin() + static_cast<std::ptrdiff_t>(offset),
                   bytes_.begin() + static_cast<std::ptrdiff_t>(offset + sizeof value));
    }
  }
  void put_text(size_t offset, const std::string& text) {
    std::memcpy(bytes_.data() + offset, text.data(), text.size());
  }
  Bytes bytes() && { return std::move(bytes_); }

 private:
  Bytes bytes_;
  bool big_endian_;
};

struct Offsets {
  size_t dim, datatype, bitpix, pixdim, vox_offset, slope, inter, units, qform_code, sform_code, quatern,
      srow;
};
constexpr Offsets kOffsets1{40, 70, 72, 76, 108, 112, 116, 123, 252, 254, 256, 280};
constexpr Offsets kOffsets2{16, 12, 14, 104, 168, 176, 184, 500, 344, 348, 352, 400};

/// Size, Real and Code are the types of the version's sizes, reals and form codes.
template <class Size, class Real, class Code>
void put_fields(Layout& layout, const Offsets& at, const NiftiBytes& image) {
  layout.put(at.dim, static_cast<Size>(image.dims.size()));
  for (size_t i = 0; i < 7; ++i) {
    layout.put(at.dim + (i + 1) * sizeof(Size), static_cast<Size>(i < image.dims.size() ? image.dims[i] : 1));
  }
  for (size_t i = 0; i < 8; ++i) {
    layout.put(at.pixdim + i * sizeof(Real), static_cast<Real>(image.pixdim[i]));
  }
  layout.put(at.datatype, static_cast<int16_t>(image.datatype));
  layout.put(at.bitpix, static_cast<int16_t>(image.bitpix));
  layout.put(at.slope, static_cast<Real>(image.slope));
  layout.put(at.inter, static_cast<Real>(image.inter));
  layout.put(at.qform_code, static_cast<Code>(image.qform_code));
  layout.put(at.sform_code, static_cast<Code>(image.sform_code));
  for (size_t i = 0; i < 6; ++i) {
    layout.put(at.quatern + i * sizeof(Real), static_cast<Real>(image.qform[i]));
  }
  for (size_t i = 0; i < 12; ++i) {
    layout.put(at.srow + i * sizeof(Real), static_cast<Real>(image.sform[i]));
  }
}

}  // namespace

size_t NiftiBytes::data_offset() const {
  return is_pair ? 0 : (version == 1 ? size_t{348} : size_t{540}) + 4 + extension.size();
}

Bytes NiftiBytes::file() const {
  const double offset = vox_offset != 0 ? vox_offset : static_cast<double>(data_offset());
  Layout layout(version == 1 ? 348 : 540, big_endian);
  if (version == 1) {
    layout.put(0, int32_t{348});
    layout.put_text(344, is_pair ? std::string("ni1\0", 4) : std::string("n+1\0", 4));
    layout.put(kOffsets1.vox_offset, static_cast<float>(offset));
    layout.put(kOffsets1.units, static_cast<int8_t>(units));
    put_fields<int16_t, float, int16_t>(layout, kOffsets1, *this);
  } else {
    layout.put(0, int32_t{540});
    layout.put_text(4, is_pair ? std::string("ni2\0\r\n\x1a\n", 8) : std::string("n+2\0\r\n\x1a\n", 8));
    layout.put(kOffsets2.vox_offset, static_cast<int64_t>(offset));
    layout.put(kOffsets2.units, static_cast<int32_t>(units));
    put_fields<int64_t, double, int32_t>(layout, kOffsets2, *this);
  }
  Bytes bytes = std::move(layout).bytes();
  if (!is_pair) {
    const Bytes flag{extension.empty() ? std::byte{0} : std::byte{1}, std::byte{0}, std::byte{0},
                     std::byte{0}};
    bytes = std::move(bytes) + flag + extension + data;
  }
  return bytes;
}

template <class Stored>
Bytes stored(const std::vector<Stored>& values, bool big_endian) {
  Layout layout(values.size() * sizeof(Stored), big_endian);
  for (size_t i = 0; i < values.size(); ++i) {
    layout.put(i * sizeof(Stored), values[i]);
  }
  return std::move(layout).bytes();
}

template Bytes stored(const std::vector<int8_t>&, bool);
template Bytes stored(const std::vector<uint8_t>&, bool);
template Bytes stored(const std::vector<int16_t>&, bool);
template Bytes stored(const std::vector<uint16_t>&, bool);
template Bytes stored(const std::vector<int32_t>&, bool);
template Bytes stored(const std::vector<uint32_t>&, bool);
template Bytes stored(const std::vector<int64_t>&, bool);
template Bytes stored(const std::vector<uint64_t>&, bool);
template Bytes stored(const std::vector<float>&, bool);
template Bytes stored(const std::vector<double>&, bool);

Bytes gzip(std::span<const std::byte> bytes, int level) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2");
  }
  Bytes out(deflateBound(&stream, bytes.size()) + 64);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) {
    throw std::runtime_error("deflate");
  }
  return out;
}

Bytes operator+(Bytes first, std::span<const std::byte> second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace slim::test
