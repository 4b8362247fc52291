// SPDX-License-Identifier: Apache-2.0
// make_toy_dataset OUT: a small synthetic BIDS cohort whose truth is known: anatomy, networks that oscillate,
// whose amplitude tells group and age (--effect, --age-effect), and the place where patients lose signal
// (--loss).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json_file.h"
#include "examples/toy_cohort.h"
#include "examples/toy_dataset.h"
#include "examples/toy_space.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::toy {
namespace {

/// Calls work(i) for i in 0..count-1 on a few threads; the first failure is thrown again.
template <class Work>
void in_parallel(int64_t count, int64_t threads, const Work& work) {
  std::atomic<int64_t> next{0};
  std::mutex lock;
  std::exception_ptr failure;
  std::vector<std::thread> pool;
  for (int64_t t = 0; t < std::min(count, threads); ++t) {
    pool.emplace_back([&] {
      try {
        for (int64_t i = next++; i < count; i = next++) {
          work(i);
        }
      } catch (...) {
        const std::scoped_lock guard(lock);
        failure = failure ? failure : std::current_exception();
        next = count;
      }
    });
  }
  for (std::thread& thread : pool) {
    thread.join();
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

bool is_there_already(const Options& options) {
  if (!fs::exists(options.out) || (fs::is_directory(options.out) && fs::is_empty(options.out))) {
    return false;
  }
  const fs::path truth = options.out / "sourcedata" / "truth" / "truth.json";
  if (fs::exists(truth) && read_json(truth).at("options") == json(options.science())) {
    return true;
  }
  throw Error(message::kBadOutputPlace, "The folder holds something else already.",
              {.file = options.out.string(), .remedy = "choose another folder or remove this one"});
}

/// Makes the cohort beside its place and moves it there when it is whole.
void make_cohort(const Options& options) {
  const fs::path out = fs::absolute(options.out).lexically_normal();
  const fs::path place = out.has_filename() ? out : out.parent_path();
  const fs::path partial = place.parent_path() / (std::string(kPartialPrefix) + place.filename().string());
  fs::remove_all(partial);
  create_folder(partial / "sourcedata" / "truth");
  std::vector<Participant> people;
  for (int64_t i = 0; i < options.subjects; ++i) {
    people.push_back(make_participant(options, i));
  }
  write_dataset_files(partial, options, options.raw() ? "raw" : "derivative", people);
  if (options.form == "both") {
    write_dataset_files(partial / "derivatives" / "toyprep", options, "derivative", people);
  }
  in_parallel(options.subjects, options.threads,
              [&](int64_t i) { write_participant(options, people[static_cast<size_t>(i)], partial); });
  write_truth(options, people, partial / "sourcedata" / "truth");
  fs::remove(place);  // an empty folder may stand there
  fs::rename(partial, place);
}

int run_program(int argc, char** argv) {
  Options options;
  CLI::App app{
      "Makes a synthetic BIDS cohort with known anatomy, signals and labels: the left temporal network "
      "oscillates "
      "more strongly in patients (--effect) and with age (--age-effect), and patients lose signal around it "
      "(--loss).",
      "make_toy_dataset"};
  app.option_defaults()->always_capture_default();
  app.add_option("OUT", options.out, "folder to make")->required();
  app.add_option("--subjects", options.subjects, "participants")->check(CLI::Range(1, 9999));
  app.add_option("--sessions", options.sessions, "sessions of each; 0: no session level")
      ->check(CLI::Range(0, 99));
  app.add_option("--frames", options.frames, "volumes of a run")->check(CLI::Range(2, 32767));
  app.add_option("--dummies", options.dummies, "leading volumes that are not steady yet")
      ->check(CLI::Range(0, 20));
  app.add_option("--tr", options.tr_s, "repetition time, s")->check(CLI::Range(0.1, 20.0));
  app.add_option("--form", options.form, "raw, mni or both")->check(CLI::IsMember({"raw", "mni", "both"}));
  app.add_option("--orientation", options.orientation,
                 "storage order of all images, such as LAS, RAS or PIR");
  app.add_option("--voxel-mm", options.voxel_mm, "voxel edge in MNI space, mm")->check(CLI::Range(1.0, 12.0));
  app.add_option("--raw-voxel-mm", options.raw_voxel_mm, "voxel edge of raw BOLD, mm")
      ->check(CLI::Range(1.0, 12.0));
  app.add_option("--t1w-voxel-mm", options.t1w_voxel_mm, "voxel edge of T1w, mm")
      ->check(CLI::Range(0.5, 6.0));
  app.add_option("--noise", options.noise, "SD of noise, share of grey matter's mean")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--motion-mm", options.motion_mm, "usual step of the head per volume, mm")
      ->check(CLI::Range(0.0, 5.0));
  app.add_option("--effect", options.effect, "patients' amplitude is 1 + this")
      ->check(CLI::Range(-1.0, 10.0));
  app.add_option("--age-effect", options.age_effect, "amplitude gained per 25 years over 45")
      ->check(CLI::Range(-1.0, 1.0));
  app.add_option("--loss", options.loss, "share of the signal that patients lose in the left temporal lobe")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--variation", options.variation, "how much brains differ; 0: not at all")
      ->check(CLI::Range(0.0, 2.0));
  app.add_option("--task", options.task, "task label")->check([](const std::string& label) {
    const bool legal = !label.empty() && std::all_of(label.begin(), label.end(),
                                                     [](unsigned char c) { return std::isalnum(c); });
    return legal ? std::string() : "a label holds letters and digits only";
  });
  app.add_option("--seed", options.seed, "same seed, same bytes");
  app.add_option("--threads", options.threads, "participants made at once")->check(CLI::Range(1, 256));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Fault::Usage);
  }
  box_grid(options.orientation, {0.0, 0.0, 0.0}, {1.0, 1.0, 1.0},
           1.0);  // refuses a wrong code before any work
  const bool there = is_there_already(options);
  if (!there) {
    make_cohort(options);
  }
  std::printf("%s: %lld participants, %s\n", options.out.c_str(), static_cast<long long>(options.subjects),
              there ? "there already" : "made");
  return 0;
}

}  // namespace
}  // namespace slim::toy

int main(int argc, char** argv) {
  try {
    return slim::toy::run_program(argc, argv);
  } catch (const slim::Error& error) {
    std::fprintf(stderr, "make_toy_dataset: error %s\n", error.what());
    return static_cast<int>(error.fault());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_toy_dataset: %s\n", error.what());
    return 1;
  }
}
