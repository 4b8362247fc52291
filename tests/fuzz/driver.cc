// SPDX-License-Identifier: Apache-2.0
// fuzz_x [INPUTS [SEED]] | fuzz_x FILE...: drives a parser with mutated inputs, keeping those that reach new
// branches, or replays files. A finding (a sanitizer's report, an abort, an uncaught exception, more than 20
// s, a request for more than 512 MB) ends the program with its report; the input is then in fuzz_x.finding.
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "tests/fuzz/coverage.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"

namespace {

constexpr unsigned kSecondsPerInput = 20;
constexpr size_t kMaxCorpus = 4000;

std::string current;  // what a finding is about
std::string program;

void save_finding() {
  const std::string path = program + ".finding";
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd >= 0) {
    const ssize_t written = write(fd, current.data(), current.size());
    std::fprintf(stderr, "%s: the input (%zd bytes) is in %s\n", program.c_str(), written, path.c_str());
    close(fd);
  }
}

void on_alarm(int) {
  std::fprintf(stderr, "%s: one input took more than %u s\n", program.c_str(), kSecondsPerInput);
  save_finding();
  _exit(1);
}

void run(std::string input) {
  current = std::move(input);
  alarm(kSecondsPerInput);
  // A copy of its own, so that AddressSanitizer sees a read past its end.
  const std::vector<uint8_t> bytes(current.begin(), current.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  alarm(0);
}

bool number(const char* text, uint64_t& value) {
  const std::string_view view = text;
  const auto result = std::from_chars(view.data(), view.data() + view.size(), value);
  return result.ec == std::errc() && result.ptr == view.data() + view.size();
}

int replay(int count, char** paths) {
  for (int i = 0; i < count; ++i) {
    std::ifstream file(paths[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: cannot read %s\n", program.c_str(), paths[i]);
      return 1;
    }
    run({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
  }
  std::printf("%s: %d files, 0 findings\n", program.c_str(), count);
  return 0;
}

}  // namespace

extern "C" const char* __asan_default_options();
const char* __asan_default_options() {
  return "handle_abort=1:allocator_may_return_null=0:max_allocation_size_mb=512:detect_leaks=1";
}
extern "C" const char* __ubsan_default_options();
const char* __ubsan_default_options() { return "print_stacktrace=1:abort_on_error=1"; }

int main(int argc, char** argv) {
  program = std::string_view(argv[0]).substr(std::string_view(argv[0]).rfind('/') + 1);
  __sanitizer_set_death_callback(save_finding);
  struct sigaction action {};
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, nullptr);

  uint64_t inputs = 100'000, seed = 1;
  if (argc > 1 && !number(argv[1], inputs)) {
    return replay(argc - 1, argv + 1);
  }
  if (argc > 2 && !number(argv[2], seed)) {
    std::fprintf(stderr, "usage: %s [INPUTS [SEED]] | FILE...\n", program.c_str());
    return 64;
  }
  FuzzCorpus corpus = fuzz_corpus();
  for (const std::string& input : corpus.seeds) {
    slim::fuzz::start_coverage();
    run(input);
    slim::fuzz::found_new_coverage();
  }
  corpus.seeds.emplace_back();
  const size_t given = corpus.seeds.size();
  for (uint64_t i = 0; i < inputs; ++i) {
    slim::Stream stream(seed, program, 0, i);
    std::string input = slim::fuzz::mutate(corpus.seeds, corpus.words, stream);
    slim::fuzz::start_coverage();
    run(std::move(input));
    if (slim::fuzz::found_new_coverage() && corpus.seeds.size() < kMaxCorpus) {
      corpus.seeds.push_back(current);
    }
  }
  std::printf("%s: %llu inputs, 0 findings (%zu seeds, %zu inputs kept, %d branch counts)\n", program.c_str(),
              static_cast<unsigned long long>(inputs), given - 1, corpus.seeds.size() - given,
              slim::fuzz::coverage_size());
  return 0;
}
