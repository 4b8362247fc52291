// SPDX-License-Identifier: Apache-2.0
#include "image/nifti_header.h"

#include <nifti2_io.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>

#include "core/error.h"

// Note [Headers]. nifticlib gives the layouts, the byte swapping, the quaternion algebra and the names of
// types; every field is judged here before it is used, so that no header makes a library allocate, print or
// open anything.

namespace slim::image {
namespace {

constexpr double kFormsDifferMm = 0.1;
constexpr double kLongestTrS = 100.0;
constexpr size_t kEmptyExtensionBytes = 4;
constexpr std::string_view kMagicTail = "\r\n\x1a\n";
// Far beyond any disk, and small enough that sums and products of a few of them cannot overflow.
constexpr int64_t kLargestBytes = int64_t{1} << 56;
constexpr double kLargestOffset = 9007199254740992.0;  // 2^53

/// The fields of either version that are used.
struct Fields {
  bool is_pair = false;
  size_t header_bytes = 0;
  std::array<int64_t, 8> dim{};
  std::array<double, 8> pixdim{};
  int datatype = 0, bitpix = 0, intent = 0;
  int sform_code = 0, qform_code = 0, units = 0;
  double vox_offset = 0, slope = 0, inter = 0;
  std::array<double, 3> quaternion{}, qoffset{};
  Affine sform{};
};

// NIfTI-1 stores float32: 0.72 is meant where 0.72f is stored.
double meant(float stored) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), stored);
  double value = stored;
  std::from_chars(text.data(), end.ptr, value);
  return value;
}
double meant(double stored) { return stored; }

template <class Header>
Fields fields_of(const Header& header) {
  Fields fields;
  fields.header_bytes = sizeof(Header);
  for (size_t i = 0; i < 8; ++i) {
    fields.dim[i] = header.dim[i];
    fields.pixdim[i] = i == 4 ? meant(header.pixdim[i]) : header.pixdim[i];
  }
  fields.datatype = header.datatype;
  fields.bitpix = header.bitpix;
  fields.intent = header.intent_code;
  fields.sform_code = header.sform_code;
  fields.qform_code = header.qform_code;
  fields.units = header.xyzt_units;
  fields.vox_offset = static_cast<double>(header.vox_offset);
  fields.slope = header.scl_slope;
  fields.inter = header.scl_inter;
  fields.quaternion = {header.quatern_b, header.quatern_c, header.quatern_d};
  fields.qoffset = {header.qoffset_x, header.qoffset_y, header.qoffset_z};
  for (size_t i = 0; i < 4; ++i) {
    fields.sform[0][i] = header.srow_x[i];
    fields.sform[1][i] = header.srow_y[i];
    fields.sform[2][i] = header.srow_z[i];
  }
  return fields;
}

[[noreturn]] void fail_unusable(const std::filesystem::path& path, const std::string& what) {
  throw Error(message::kBadHeader, "The header cannot be used: " + what + ".", {.file = path.string()});
}

[[noreturn]] void fail_not_nifti(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::string shown;
  for (const std::byte byte : bytes.first(std::min<size_t>(bytes.size(), 8))) {
    std::array<char, 4> hex{};
    std::snprintf(hex.data(), hex.size(), "%s%02x", shown.empty() ? "" : " ",
                  std::to_integer<unsigned>(byte));
    shown += hex.data();
  }
  throw Error(message::kNotNifti, "This is not a NIfTI image (first bytes " + shown + ").",
              {.file = path.string()});
}

std::string text_of(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// Magic words are "n+1", "ni1", "n+2" and "ni2"; version 2 ends in bytes that a translation of line ends
/// would spoil, or in the zeros that nifticlib writes there. Returns whether the word is known, and sets
/// is_pair.
bool read_magic(std::string_view magic, char version, bool& is_pair) {
  is_pair = magic[1] == 'i';
  const std::string_view tail = magic.substr(4);
  return magic[0] == 'n' && (is_pair || magic[1] == '+') && magic[2] == version && magic[3] == '\0' &&
         (tail.empty() || tail == kMagicTail || tail == std::string_view("\0\0\0\0", 4));
}

template <class Header>
Fields read_fields(std::span<const std::byte> bytes, bool swapped, void (*swap)(Header*),
                   const std::filesystem::path& path) {
  if (bytes.size() < sizeof(Header)) {
    throw Error(message::kTruncated,
                "The file ends inside the header: " + std::to_string(bytes.size()) + " bytes, " +
                    std::to_string(sizeof(Header)) + " are expected.",
                {.file = path.string(), .remedy = "copy the file again"});
  }
  alignas(8) Header header;  // packed, so its type alone promises no alignment
  std::memcpy(&header, bytes.data(), sizeof header);
  bool is_pair = false;
  constexpr char kVersion = std::is_same_v<Header, nifti_1_header> ? '1' : '2';
  if (!read_magic({header.magic, sizeof header.magic}, kVersion, is_pair)) {
    if (kVersion == '1') {
      throw Error(message::kNotNifti,
                  "This is an Analyze 7.5 image, not NIfTI: it stores no orientation that could be trusted.",
                  {.file = path.string(), .remedy = "convert it with a tool that knows how it was made"});
    }
    fail_not_nifti(path, bytes);
  }
  if (swapped) {
    swap(&header);
  }
  Fields fields = fields_of(header);
  fields.is_pair = is_pair;
  return fields;
}

void read_dims(const Fields& fields, NiftiHeader& header) {
  const int64_t rank = fields.dim[0];
  if (rank < 1 || rank > 7) {
    fail_unusable(header.path, std::to_string(rank) + " dimensions");
  }
  header.dims.assign(fields.dim.begin() + 1, fields.dim.begin() + 1 + rank);
  int64_t values = 1;
  for (const int64_t dim : header.dims) {
    if (dim < 1 || dim > kLargestBytes / 8 / values) {
      fail_unusable(header.path, "a size of " + header.shape());
    }
    values *= dim;
  }
  for (size_t axis = 0; axis < 3; ++axis) {
    header.grid.size[axis] = axis < header.dims.size() ? header.dims[axis] : 1;
  }
  header.frames = header.dims.size() > 3 ? header.dims[3] : 1;
  header.is_four_d = header.frames > 1 && header.volumes() == header.frames;
}

void read_type(const Fields& fields, NiftiHeader& header) {
  header.datatype = fields.datatype;
  header.intent = fields.intent;
  const size_t bytes = bytes_per_voxel(header);
  if (bytes == 0) {
    std::string_view name = nifti_datatype_to_string(fields.datatype);
    name.remove_prefix(name.rfind('_') + 1);  // DT_RGB24, NIFTI_TYPE_RGB24
    fail_unusable(header.path,
                  "datatype " + std::to_string(fields.datatype) + " (" + std::string(name) + ")");
  }
  if (fields.bitpix != static_cast<int>(8 * bytes)) {
    header.warnings.push_back("bitpix is " + std::to_string(fields.bitpix) + " where the datatype has " +
                              std::to_string(8 * bytes) + "; the datatype is believed.");
  }
}

void read_scaling(const Fields& fields, NiftiHeader& header) {
  if (std::isinf(fields.slope)) {
    fail_unusable(header.path, "infinite scl_slope");
  }
  if (!std::isnan(fields.slope) && fields.slope != 0.0) {
    header.slope = fields.slope;
    header.inter = std::isfinite(fields.inter) ? fields.inter : 0.0;
  }
}

void read_offset(const Fields& fields, NiftiHeader& header) {
  const double smallest =
      fields.is_pair ? 0.0 : static_cast<double>(fields.header_bytes + kEmptyExtensionBytes);
  if (!(fields.vox_offset >= 0.0 && fields.vox_offset <= kLargestOffset)) {
    fail_unusable(header.path, "vox_offset " + text_of(fields.vox_offset));
  }
  if (fields.vox_offset > 0.0 && fields.vox_offset < smallest) {
    header.warnings.push_back("vox_offset " + text_of(fields.vox_offset) + " lies inside the header; " +
                              text_of(smallest) + " is used.");
  }
  header.data_offset = static_cast<uint64_t>(std::max(fields.vox_offset, smallest));
}

Affine qform_of(const Fields& fields) {
  const auto& q = fields.quaternion;
  const auto& o = fields.qoffset;
  const auto& p = fields.pixdim;
  const nifti_dmat44 matrix =
      nifti_quatern_to_dmat44(q[0], q[1], q[2], o[0], o[1], o[2], std::abs(p[1]), std::abs(p[2]),
                              std::abs(p[3]), p[0] < 0.0 ? -1.0 : 1.0);
  Affine affine{};
  for (size_t row = 0; row < 3; ++row) {
    std::copy_n(matrix.m[row], 4, affine[row].begin());
  }
  // nifticlib takes a spacing of 0 for 1 mm; nothing is guessed here.
  const bool has_spacing = p[1] != 0.0 && p[2] != 0.0 && p[3] != 0.0;
  return has_spacing ? affine : Affine{};
}

double space_unit_mm(const Fields& fields, NiftiHeader& header) {
  switch (fields.units & 0x07) {
    case NIFTI_UNITS_METER:
      header.warnings.emplace_back("Lengths in the header are in metres; they were scaled to mm.");
      return 1000.0;
    case NIFTI_UNITS_MICRON:
      header.warnings.emplace_back("Lengths in the header are in micrometres; they were scaled to mm.");
      return 0.001;
    case NIFTI_UNITS_MM:
    case NIFTI_UNITS_UNKNOWN:
      return 1.0;
    default:
      header.warnings.emplace_back("The header's unit of length is unknown; mm is taken.");
      return 1.0;
  }
}

void read_orientation(const Fields& fields, NiftiHeader& header) {
  const double unit_mm = space_unit_mm(fields, header);
  header.has_orientation = fields.sform_code > 0 || fields.qform_code > 0;
  Affine affine{};
  if (fields.sform_code > 0) {
    affine = fields.sform;
  } else if (fields.qform_code > 0) {
    affine = qform_of(fields);
  } else {
    for (size_t axis = 0; axis < 3; ++axis) {
      const double spacing = std::abs(fields.pixdim[axis + 1]);
      affine[axis][axis] = spacing > 0.0 && std::isfinite(spacing) ? spacing : 1.0;
    }
  }
  const auto in_mm = [unit_mm](Affine map) {
    for (auto& row : map) {
      std::transform(row.begin(), row.end(), row.begin(),
                     [unit_mm](double value) { return value * unit_mm; });
    }
    return map;
  };
  header.grid.scanner_from_voxel = in_mm(affine);
  if (!is_invertible(header.grid.scanner_from_voxel)) {
    fail_unusable(header.path, fields.sform_code > 0 ? "singular affine (sform)" : "singular affine (qform)");
  }
  if (fields.sform_code > 0 && fields.qform_code > 0) {
    const Affine other = qform_of(fields);
    if (!is_invertible(other)) {
      header.warnings.emplace_back("The qform cannot be used; sform is.");
    } else if (const double distance = corner_distance_mm(header.grid.size, affine, other) * unit_mm;
               distance > kFormsDifferMm) {
      header.warnings.push_back("sform and qform place the image's corners " +
                                text_of(std::round(distance * 10) / 10) + " mm apart; sform is used.");
    }
  }
}

void read_repetition_time(const Fields& fields, NiftiHeader& header) {
  const double stored = fields.pixdim[4];
  if (header.frames < 2 || !(stored > 0.0) || !std::isfinite(stored)) {
    return;
  }
  switch (fields.units & 0x38) {
    case NIFTI_UNITS_MSEC:
      header.repetition_time_s = stored / 1e3;
      return;
    case NIFTI_UNITS_USEC:
      header.repetition_time_s = stored / 1e6;
      return;
    case NIFTI_UNITS_HZ:
    case NIFTI_UNITS_PPM:
    case NIFTI_UNITS_RADS:
      header.warnings.emplace_back("The header's fourth axis is not time.");
      return;
    default:
      header.repetition_time_s = stored;
  }
  if (stored > kLongestTrS) {
    header.repetition_time_s = stored / 1e3;
    header.warnings.push_back("The header's repetition time of " + text_of(stored) + " s is taken as ms.");
  }
}

/// What nifticlib turns into a header of either version.
nifti_image image_of(const VoxelGrid& grid, int64_t frames, const WriteOptions& options) {
  nifti_image image{};
  const std::array<int64_t, 8> dim{
      frames > 1 ? 4 : 3, grid.size[0], grid.size[1], grid.size[2], frames, 1, 1, 1};
  std::copy(dim.begin(), dim.end(), image.dim);
  image.ndim = dim[0];
  image.nx = dim[1];
  image.ny = dim[2];
  image.nz = dim[3];
  image.nt = dim[4];
  image.nu = image.nv = image.nw = 1;
  image.nvox = grid.voxels() * frames;
  image.datatype = static_cast<int>(options.as_uint8 ? VoxelType::UInt8 : VoxelType::Float32);
  image.nbyper = options.as_uint8 ? 1 : 4;
  image.scl_slope = 1.0;
  image.xyz_units = NIFTI_UNITS_MM;
  image.time_units = NIFTI_UNITS_SEC;
  image.sform_code = options.form_code;
  for (size_t row = 0; row < 3; ++row) {
    std::copy_n(grid.scanner_from_voxel[row].begin(), 4, image.sto_xyz.m[row]);
  }
  image.sto_xyz.m[3][3] = 1.0;
  nifti_dmat44_to_quatern(image.sto_xyz, &image.quatern_b, &image.quatern_c, &image.quatern_d,
                          &image.qoffset_x, &image.qoffset_y, &image.qoffset_z, &image.dx, &image.dy,
                          &image.dz, &image.qfac);
  image.dt = frames > 1 ? options.repetition_time_s : 0.0;
  const std::array<double, 5> pixdim{image.qfac, image.dx, image.dy, image.dz, image.dt};
  std::copy(pixdim.begin(), pixdim.end(), image.pixdim);
  return image;
}

template <class Header>
std::vector<std::byte> header_bytes(nifti_image image, const VoxelGrid& grid,
                                    int (*convert)(const nifti_image*, Header*)) {
  constexpr size_t kBytes = sizeof(Header) + kEmptyExtensionBytes;
  image.nifti_type = std::is_same_v<Header, nifti_1_header> ? NIFTI_FTYPE_NIFTI1_1 : NIFTI_FTYPE_NIFTI2_1;
  image.iname_offset = kBytes;
  alignas(8) Header header;
  image.qform_code = image.sform_code;
  convert(&image, &header);
  if constexpr (std::is_same_v<Header, nifti_2_header>) {
    std::copy(kMagicTail.begin(), kMagicTail.end(), header.magic + 4);
  }
  // A quaternion holds no shear: then only the sform can say where the image lies.
  const double tolerance_mm = 1e-3 * (image.dx + image.dy + image.dz);
  if (corner_distance_mm(grid.size, grid.scanner_from_voxel, qform_of(fields_of(header))) > tolerance_mm) {
    header.qform_code = 0;
  }
  std::vector<std::byte> bytes(kBytes);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

}  // namespace

NiftiHeader parse_header(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  int32_t size = 0;
  if (bytes.empty()) {
    throw Error(message::kTruncated, "The file is empty.",
                {.file = path.string(), .remedy = "copy the file again"});
  }
  if (bytes.size() < sizeof size) {
    fail_not_nifti(path, bytes);
  }
  std::memcpy(&size, bytes.data(), sizeof size);
  NiftiHeader header;
  header.path = path;
  Fields fields;
  constexpr int32_t kSize1 = sizeof(nifti_1_header), kSize2 = sizeof(nifti_2_header);
  const int32_t other = static_cast<int32_t>(__builtin_bswap32(static_cast<uint32_t>(size)));
  header.swapped = size != kSize1 && size != kSize2;
  if (const int32_t said = header.swapped ? other : size; said == kSize1) {
    fields = read_fields<nifti_1_header>(bytes, header.swapped, nifti_swap_as_nifti1, path);
  } else if (said == kSize2) {
    fields = read_fields<nifti_2_header>(bytes, header.swapped, nifti_swap_as_nifti2, path);
  } else {
    fail_not_nifti(path, bytes);
  }
  header.is_pair = fields.is_pair;
  read_dims(fields, header);
  read_type(fields, header);
  read_scaling(fields, header);
  read_offset(fields, header);
  read_orientation(fields, header);
  read_repetition_time(fields, header);
  return header;
}

std::vector<std::byte> build_header(const VoxelGrid& grid, int64_t frames, const WriteOptions& options) {
  const nifti_image image = image_of(grid, frames, options);
  const int64_t longest = std::max({grid.size[0], grid.size[1], grid.size[2], frames});
  return longest <= std::numeric_limits<int16_t>::max()
             ? header_bytes<nifti_1_header>(image, grid, nifti_convert_nim2n1hdr)
             : header_bytes<nifti_2_header>(image, grid, nifti_convert_nim2n2hdr);
}

}  // namespace slim::image
