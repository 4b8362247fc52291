// SPDX-License-Identifier: Apache-2.0
// How long does the pack path take, beside inflating the same file to nowhere and beside a NumPy script?
// pack_bench [--frames 1200] [--repeats 5] [--folder DIR]; the script runs when SLIM_JUDGES names a Python.
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "clips/clip_store.h"
#include "core/slim_grid.h"
#include "core/token_set.h"
#include "preproc/lattice.h"
#include "preproc/prepare_mni.h"

namespace {

namespace fs = std::filesystem;
using namespace slim;
constexpr int64_t kUniqueFrames = 20;  // then they come again: inflating does not notice

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// ---- input
// ----------------------------------------------------------------------------------------------------------

struct InputSpec {
  std::array<int64_t, 3> size;
  std::array<float, 12> sform;
  bool as_float = true;
  int rim = 0;  // voxels of head around the brain
};

std::string header_of(const InputSpec& spec, int64_t frames) {
  std::string header(352, '\0');
  const auto put = [&](size_t at, auto value) { std::memcpy(header.data() + at, &value, sizeof value); };
  put(0, int32_t{348});
  put(40, int16_t{4});
  for (size_t a = 0; a < 3; ++a) {
    put(42 + 2 * a, static_cast<int16_t>(spec.size[a]));
    put(80 + 4 * a, 2.0f);
  }
  put(48, static_cast<int16_t>(frames));
  for (size_t a = 4; a < 7; ++a) {
    put(42 + 2 * a, int16_t{1});
  }
  put(70, static_cast<int16_t>(spec.as_float ? 16 : 4));
  put(72, static_cast<int16_t>(spec.as_float ? 32 : 16));
  put(92, 0.72f);
  put(108, 352.0f);
  put(112, 1.0f);
  header[123] = 2 | 8;
  put(254, int16_t{4});
  std::memcpy(header.data() + 280, spec.sform.data(), sizeof spec.sform);
  std::memcpy(header.data() + 344, "n+1", 4);
  return header;
}

/// A mean image: 0 outside the head, a smooth field inside, from the packaged brain mask.
std::vector<float> mean_image(const InputSpec& spec) {
  image::VoxelGrid grid{.size = spec.size, .scanner_from_voxel = {}};
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 4; ++c) {
      grid.scanner_from_voxel[r][c] = static_cast<double>(spec.sform[4 * r + c]);
    }
  }
  const image::Affine slim_from_voxel = image::inverse(preproc::voxel_from_slim(grid));
  const std::vector<uint8_t>& brain = packaged_brain_mask();
  std::vector<float> mean;
  for (int64_t z = 0; z < spec.size[2]; ++z) {
    for (int64_t y = 0; y < spec.size[1]; ++y) {
      for (int64_t x = 0; x < spec.size[0]; ++x) {
        const auto at = image::apply(slim_from_voxel, {double(x), double(y), double(z)});
        bool inside = false;
        for (int d = -spec.rim; d <= spec.rim && !inside; d += std::max(1, spec.rim)) {
          for (int axis = 0; axis < 3; ++axis) {
            std::array<int64_t, 3> v{};
            bool on_grid = true;
            for (int a = 0; a < 3; ++a) {
              v[size_t(a)] = std::llround(at[size_t(a)]) + (a == axis ? d : 0);
              on_grid = on_grid && v[size_t(a)] >= 0 && v[size_t(a)] < kSlimSize;
            }
            inside = inside || (on_grid && brain[size_t(v[0] + kSlimSize * (v[1] + kSlimSize * v[2]))] != 0);
          }
        }
        const double field = 1.0 + 0.4 * std::sin(0.11 * double(x)) * std::cos(0.09 * double(y)) +
                             0.2 * std::sin(0.07 * double(z));
        mean.push_back(inside ? float(8000.0 * field) : 0.0f);
      }
    }
  }
  return mean;
}

/// Frames with noise of 1.5 % of the mean, as stored bytes.
std::string frames_of(const InputSpec& spec, const std::vector<float>& mean, int64_t frames) {
  std::string bytes;
  std::mt19937 generator(7);
  std::normal_distribution<float> noise(0.0f, 0.015f);
  for (int64_t t = 0; t < frames; ++t) {
    for (const float m : mean) {
      const float value = m == 0.0f ? 0.0f : m * (1.0f + noise(generator));
      if (spec.as_float) {
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
      } else {
        const auto rounded = static_cast<int16_t>(std::lround(value));
        bytes.append(reinterpret_cast<const char*>(&rounded), sizeof rounded);
      }
    }
  }
  return bytes;
}

/// Raw deflate data that ends on a byte and holds no final block, so that pieces can follow one another.
std::string deflated(const std::string& bytes, int level) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2");
  }
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FULL_FLUSH) != Z_OK || stream.avail_in != 0) {
    throw std::runtime_error("deflate");
  }
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

/// One gzip member as zlib makes it at level 1 (nibabel's own): header, then the same frames again and again.
void write_input(const fs::path& path, const InputSpec& spec, int64_t frames) {
  const std::vector<float> mean = mean_image(spec);
  const int64_t unique = std::min(kUniqueFrames, frames);
  const std::string chunk = frames_of(spec, mean, unique), header = header_of(spec, frames);
  const std::string chunk_z = deflated(chunk, 1), header_z = deflated(header, 1);
  std::ofstream file(path, std::ios::binary);
  const std::array<char, 10> magic{'\x1f', '\x8b', 8, 0, 0, 0, 0, 0, 0, '\xff'};
  file.write(magic.data(), magic.size());
  file << header_z;
  uLong crc = crc32(0, reinterpret_cast<const Bytef*>(header.data()), static_cast<uInt>(header.size()));
  const uLong chunk_crc = crc32_z(0, reinterpret_cast<const Bytef*>(chunk.data()), chunk.size());
  uint64_t length = header.size();
  for (int64_t t = 0; t < frames; t += unique) {
    if (t + unique > frames) {
      throw std::runtime_error("--frames must be a multiple of 20, or less");
    }
    file << chunk_z;
    crc = crc32_combine(crc, chunk_crc, static_cast<z_off_t>(chunk.size()));
    length += chunk.size();
  }
  const auto crc32_bits = static_cast<uint32_t>(crc);
  const auto length_bits = static_cast<uint32_t>(length);
  file.write("\x03\x00", 2);  // an empty final block
  file.write(reinterpret_cast<const char*>(&crc32_bits), 4);
  file.write(reinterpret_cast<const char*>(&length_bits), 4);
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path.string());
  }
}

// ---- what is measured, each in a process of its own
// -------------------------------------------------------------------

/// ISA-L, 1 MiB blocks, checksum verified, output into one small buffer.
void inflate_to_nowhere(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY);
  posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
  std::vector<uint8_t> in(1 << 20), out(1 << 20);
  inflate_state state{};
  isal_inflate_init(&state);
  state.crc_flag = ISAL_GZIP;
  while (state.block_state != ISAL_BLOCK_FINISH) {
    if (state.avail_in == 0) {
      const ssize_t got = ::read(file, in.data(), in.size());
      if (got <= 0) {
        throw std::runtime_error("the input ends early");
      }
      state.next_in = in.data();
      state.avail_in = static_cast<uint32_t>(got);
    }
    state.next_out = out.data();
    state.avail_out = static_cast<uint32_t>(out.size());
    if (isal_inflate(&state) < 0) {
      throw std::runtime_error("the input cannot be inflated");
    }
  }
  ::close(file);
}

void pack_and_store(const fs::path& path, const fs::path& store) {
  preproc::MniInput input{.bold = path, .space = "MNI152NLin6Asym", .producer = "pack_bench"};
  preproc::PreparedRun run;
  const double prepare = seconds_of([&] { run = preproc::prepare_mni(input, {}); });
  const double write = seconds_of([&] {
    clips::write_clip_store(store, {.n_frames = run.bold.frames,
                                    .bold = run.bold.halves(),
                                    .valid = run.bold.valid_bits(),
                                    .metadata = run.metadata});
  });
  std::printf("%.6f %.6f\n", prepare, write);
}

struct Measured {
  double wall_s = 0.0, peak_mib = 0.0;
  std::string out;
};

Measured run_apart(const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) {
    throw std::runtime_error("pipe");
  }
  Measured measured;
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    std::vector<char*> pointers;
    for (const std::string& argument : arguments) {
      pointers.push_back(const_cast<char*>(argument.c_str()));
    }
    pointers.push_back(nullptr);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  close(ends[1]);
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    measured.out.append(buffer.data(), static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  measured.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  measured.peak_mib = static_cast<double>(usage.ru_maxrss) / 1024.0;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error("failed: " + arguments[0] + " " + arguments[1]);
  }
  return measured;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct PackTimes {
  double wall_s, prepare_s, store_s, peak_mib, inflate_s;
};

/// Inflating and packing alternate, so that both see the same machine.
PackTimes time_pack(const std::string& self, const fs::path& input, const fs::path& store, int repeats) {
  std::vector<double> wall, prepare, write, peak, inflate;
  for (int r = 0; r < repeats; ++r) {
    inflate.push_back(std::stod(run_apart({self, "--child-inflate", input.string()}).out));
    const Measured pack = run_apart({self, "--child-pack", input.string(), store.string()});
    double p = 0.0, w = 0.0;
    std::istringstream(pack.out) >> p >> w;
    wall.push_back(pack.wall_s);
    prepare.push_back(p);
    write.push_back(w);
    peak.push_back(pack.peak_mib);
  }
  return {median(wall), median(prepare), median(write), median(peak), median(inflate)};
}

void print(const char* title, const PackTimes& t, int64_t frames, uintmax_t bytes) {
  std::printf("%s, %lld frames, %.0f MiB of .nii.gz\n", title, static_cast<long long>(frames),
              double(bytes) / 1048576.0);
  std::printf("  ISA-L inflating to nowhere   %8.3f s\n", t.inflate_s);
  std::printf("  prepare (file to z-scores)   %8.3f s   %.2f x ISA-L   %.2f ms a frame beyond it\n",
              t.prepare_s, t.prepare_s / t.inflate_s, 1000.0 * (t.prepare_s - t.inflate_s) / double(frames));
  std::printf("  write the clip store, synced %8.3f s\n", t.store_s);
  std::printf("  whole process                %8.3f s   peak %.0f MiB\n", t.wall_s, t.peak_mib);
}

double json_number(const std::string& text, const std::string& key) {
  return std::stod(text.substr(text.find("\"" + key + "\": ") + key.size() + 4));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv, argv + argc);
  if (argc == 3 && arguments[1] == "--child-inflate") {
    std::printf("%.6f\n", seconds_of([&] { inflate_to_nowhere(arguments[2]); }));
    return 0;
  }
  if (argc == 4 && arguments[1] == "--child-pack") {
    pack_and_store(arguments[2], arguments[3]);
    return 0;
  }
  int64_t frames = 1200;
  int repeats = 5;
  fs::path parent = fs::temp_directory_path();
  for (size_t i = 1; i + 1 < arguments.size(); i += 2) {
    if (arguments[i] == "--frames") {
      frames = std::stoll(arguments[i + 1]);
    } else if (arguments[i] == "--repeats") {
      repeats = std::stoi(arguments[i + 1]);
    } else if (arguments[i] == "--folder") {
      parent = arguments[i + 1];
    }
  }
  const fs::path folder = parent / ("slimbrain-pack-bench-" + std::to_string(getpid()));
  fs::create_directories(folder);
  const fs::path input = folder / "bold.nii.gz", store = folder / "clips.safetensors";
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  std::array<double, 3> load{};
  if (getloadavg(load.data(), 3) < 1) {
    load = {};
  }
  std::printf("%u processors, load %.2f; medians of %d, warm cache\n", std::thread::hardware_concurrency(),
              load[0], repeats);

  const InputSpec lattice{.size = {91, 109, 91}, .sform = {-2, 0, 0, 90, 0, 2, 0, -126, 0, 0, 2, -72}};
  const InputSpec head{.size = lattice.size, .sform = lattice.sform, .rim = 6};
  const InputSpec res2{.size = {97, 115, 97},
                       .sform = {2, 0, 0, -96.5f, 0, 2, 0, -132.5f, 0, 0, 2, -78.5f},
                       .as_float = false};

  write_input(input, lattice, frames);
  const PackTimes pack = time_pack(self, input, store, repeats);
  print("91x109x91 float32, brain only", pack, frames, fs::file_size(input));
  write_input(input, head, frames);
  print("91x109x91 float32, brain and rim", time_pack(self, input, store, repeats), frames,
        fs::file_size(input));
  write_input(input, res2, frames);
  const PackTimes spline = time_pack(self, input, store, repeats);
  print("97x115x97 int16, interpolated", spline, frames, fs::file_size(input));

  const char* python = std::getenv("SLIM_JUDGES");
  if (python == nullptr) {
    std::printf("NumPy script: not run, SLIM_JUDGES names no Python\n");
  } else {
    const std::string script = std::string(SLIM_SOURCE_DIR) + "/benchmarks/pack_numpy.py";
    const double ours = pack.prepare_s + pack.store_s;
    for (const std::string& form : {std::string("plain"), std::string("tuned")}) {
      double per_frame = 0.0;
      for (const int64_t n : {int64_t{100}, int64_t{300}}) {
        write_input(input, lattice, n);
        const fs::path out = folder / "numpy.safetensors";
        const Measured run = run_apart({python, script, form, input.string(), out.string()});
        per_frame = json_number(run.out, "seconds") / double(n);
        run_apart({self, "--child-pack", input.string(), store.string()});
        const Measured compared = run_apart({python, script, "compare", store.string(), out.string()});
        std::printf(
            "nibabel + NumPy, %s, %lld frames %8.3f s   %.1f ms a frame   peak %.0f MiB   largest difference "
            "%.2g z\n",
            form.c_str(), static_cast<long long>(n), json_number(run.out, "seconds"), 1000.0 * per_frame,
            run.peak_mib, json_number(compared.out, "difference"));
      }
      std::printf("  extrapolated to %lld frames  %8.1f s: %.1f x our %.3f s (stored and synced)\n",
                  static_cast<long long>(frames), per_frame * double(frames),
                  per_frame * double(frames) / ours, ours);
    }
    write_input(input, res2, 40);
    const Measured scipy = run_apart({python, script, "spline", input.string(), "8"});
    std::printf("SciPy map_coordinates           %8.1f ms a frame\n",
                1000.0 * json_number(scipy.out, "seconds") / 8.0);
  }
  fs::remove_all(folder);
  return 0;
}
