// SPDX-License-Identifier: Apache-2.0
// How long does it take to know a dataset? 10,004 files, with merged metadata of every BOLD file, beside a
// bare walk (readdir and stat, no names looked at) and pybids (the Python named by SLIM_JUDGES, when there is
// one). Warm cache.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "bids/bids_dataset.h"

namespace {

namespace fs = std::filesystem;

constexpr int kRepetitions = 5;
// Images so small that each is opened to see whether it is an annex pointer; real ones are larger, and not
// opened at all.
constexpr size_t kImageBytes = 2048;

void write_file(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string sidecar(const std::string& task, int run) {
  nlohmann::json content{{"SeriesNumber", run},
                         {"EchoTime", 0.03},
                         {"FlipAngle", 77},
                         {"Manufacturer", "Siemens"},
                         {"MagneticFieldStrength", 3},
                         {"PhaseEncodingDirection", "j-"},
                         {"EffectiveEchoSpacing", 0.00058},
                         {"TotalReadoutTime", 0.0365},
                         {"SeriesDescription", task}};
  for (int slice = 0; slice < 36; ++slice) content["SliceTiming"].push_back(slice * 2.0 / 36);
  return content.dump(2);
}

/// 500 participants x 2 sessions x (1 T1w + 4 BOLD, each with its sidecar) and 4 files at the root.
void write_corpus(const fs::path& root, int participants) {
  fs::create_directories(root);
  write_file(root / "dataset_description.json",
             R"({"Name": "bench", "BIDSVersion": "1.10.0", "DatasetType": "raw"})");
  write_file(root / "task-rest_bold.json", R"({"RepetitionTime": 2.0, "TaskName": "rest"})");
  write_file(root / "task-nback_bold.json", R"({"RepetitionTime": 1.5, "TaskName": "nback"})");
  const std::string image(kImageBytes, 'x');
  std::string table = "participant_id\n";
  for (int p = 0; p < participants; ++p) {
    const std::string number = std::to_string(10000 + p), label = "sub-" + number.substr(1);
    table += label + "\n";
    for (const std::string session : {"1", "2"}) {
      const fs::path folder = root / label / ("ses-" + session);
      const std::string start = label + "_ses-" + session;
      fs::create_directories(folder / "anat");
      fs::create_directories(folder / "func");
      write_file(folder / "anat" / (start + "_T1w.nii.gz"), image);
      write_file(folder / "anat" / (start + "_T1w.json"), R"({"EchoTime": 0.003})");
      for (const std::string task : {"rest", "nback"}) {
        for (int run = 1; run <= 2; ++run) {
          const fs::path stem =
              folder / "func" / (start + "_task-" + task + "_run-" + std::to_string(run) + "_bold");
          write_file(stem.string() + ".nii.gz", image);
          write_file(stem.string() + ".json", sidecar(task, run));
        }
      }
    }
  }
  write_file(root / "participants.tsv", table);
}

size_t bare_walk(int parent, const char* name) {
  const int opened = ::openat(parent, name, O_RDONLY | O_DIRECTORY);
  DIR* folder = ::fdopendir(opened);
  size_t files = 0;
  while (const dirent* entry = ::readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    struct stat status;
    ::fstatat(opened, entry->d_name, &status, AT_SYMLINK_NOFOLLOW);
    files += S_ISDIR(status.st_mode) ? bare_walk(opened, entry->d_name) : 1;
  }
  ::closedir(folder);
  return files;
}

struct Counts {
  size_t files = 0, bold = 0, keys = 0;
};

/// The index and the metadata of every BOLD file, which is what a call needs before it starts.
Counts index(const fs::path& root, int threads, const std::vector<std::string>& participants) {
  const auto dataset =
      slim::bids::BidsDataset::scan(root, {.participants = participants, .threads = threads});
  const auto& files = dataset.files();
  std::atomic<size_t> next{0}, bold{0}, keys{0};
  const auto work = [&] {
    for (size_t i = next++; i < files.size(); i = next++) {
      if (files[i].name.suffix != "bold" || files[i].name.extension == ".json") continue;
      ++bold;
      keys += dataset.metadata(files[i]).size();
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int i = 1; i < threads; ++i) workers.emplace_back(work);
    work();
  }
  return {files.size(), bold, keys};
}

template <class Call>
double median_s(int repetitions, Call&& call) {
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

/// Seconds pybids takes for the same, measured inside Python after its imports; 0 when it could not be run.
double pybids_s(const char* python, const fs::path& root) {
  const fs::path script = root.parent_path() / "pybids_bench.py", answer = root.parent_path() / "seconds.txt";
  write_file(script,
             "import sys, time, warnings\n"
             "warnings.simplefilter('ignore')\n"
             "from bids import BIDSLayout\n"
             "start = time.perf_counter()\n"
             "layout = BIDSLayout(sys.argv[1], validate=False)\n"
             "n = sum(bool(f.get_metadata()) for f in layout.get(suffix='bold', extension='.nii.gz'))\n"
             "assert n > 0\n"
             "open(sys.argv[2], 'w').write(repr(time.perf_counter() - start))\n");
  const std::string command =
      std::string(python) + " " + script.string() + " " + root.string() + " " + answer.string();
  if (std::system(command.c_str()) != 0) return 0;
  double seconds = 0;
  std::ifstream(answer) >> seconds;
  return seconds;
}

void row(const char* what, double seconds, double ours) {
  std::printf("| %-44s | %9.4f | %8.2f |\n", what, seconds, seconds / ours);
}

}  // namespace

/// index_bench [REPETITIONS_OF_PYBIDS = 5] [PARTICIPANTS = 500]; 0 repetitions leave pybids out.
int main(int argc, char** argv) {
  const int pybids_repetitions = argc > 1 ? std::atoi(argv[1]) : kRepetitions;
  const int participants = argc > 2 ? std::atoi(argv[2]) : 500;
  const fs::path folder = fs::temp_directory_path() / ("slimbrain-index-" + std::to_string(::getpid()));
  const fs::path root = folder / "corpus";
  write_corpus(root, participants);
  const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Counts counts;
  index(root, threads, {});  // warms the cache
  const double ours = median_s(kRepetitions, [&] { counts = index(root, threads, {}); });
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const double one_thread = median_s(kRepetitions, [&] { index(root, 1, {}); });
  const double participant = median_s(kRepetitions, [&] { index(root, threads, {"0007"}); });
  size_t walked = 0;
  const double walk = median_s(kRepetitions, [&] { walked = bare_walk(AT_FDCWD, root.c_str()); });
  std::printf("%zu files, %zu BIDS names, %zu BOLD files with %zu keys in all; peak memory %.1f MB\n", walked,
              counts.files, counts.bold, counts.keys, static_cast<double>(usage.ru_maxrss) / 1024);
  std::printf("| %-44s | %9s | %8s |\n|---|---|---|\n", "warm, median of 5", "seconds", "to ours");
  const std::string threads_text = "index and metadata, " + std::to_string(threads) + " threads";
  row(threads_text.c_str(), ours, ours);
  row("index and metadata, 1 thread", one_thread, ours);
  row("one participant", participant, ours);
  row("bare walk (readdir, stat), 1 thread", walk, ours);
  const char* python = std::getenv("SLIM_JUDGES");
  if (python != nullptr && pybids_repetitions > 0) {
    std::vector<double> seconds;
    for (int i = 0; i < pybids_repetitions; ++i) seconds.push_back(pybids_s(python, root));
    std::sort(seconds.begin(), seconds.end());
    const std::string what = "pybids, index and metadata, median of " + std::to_string(pybids_repetitions);
    row(what.c_str(), seconds[seconds.size() / 2], ours);
  } else {
    std::puts("pybids: not run (SLIM_JUDGES is not set, or 0 repetitions asked for)");
  }
  fs::remove_all(folder);
  return 0;
}
