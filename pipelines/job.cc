// SPDX-License-Identifier: Apache-2.0
#include "pipelines/job.h"

#include <chrono>
#include <map>
#include <mutex>
#include <new>
#include <thread>

#include "pipelines/lock.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

/// The locks of the participants that are in work; a lock goes when the last of its runs is over.
class HeldLocks {
 public:
  HeldLocks(const fs::path& out_dir, const std::vector<bids::BoldRun>& runs) : out_dir_(out_dir) {
    for (const bids::BoldRun& run : runs) {
      ++waiting_[run.participant];
    }
  }
  /// Error SB5003 when another process holds it.
  void take(const std::string& participant) {
    const std::lock_guard lock(mutex_);
    if (!held_.contains(participant)) {
      held_.emplace(participant, ParticipantLock::acquire(out_dir_, "sub-" + participant));
    }
  }
  void leave(const std::string& participant) {
    const std::lock_guard lock(mutex_);
    if (--waiting_[participant] == 0) {
      held_.erase(participant);
    }
  }

 private:
  fs::path out_dir_;
  std::mutex mutex_;
  std::map<std::string, int64_t> waiting_;
  std::map<std::string, ParticipantLock> held_;
};

std::string words_for(const UnitResult& result) {
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f s", result.seconds);
  switch (result.outcome) {
    case Outcome::Done:
      return "done in " + std::string(seconds) + (result.reason.empty() ? "" : ", " + result.reason);
    case Outcome::UpToDate:
      return "up to date";
    case Outcome::Failed:
      return "failed (" + result.code + ")";
    case Outcome::Excluded:
      return "left out: " + result.reason;
  }
  return "";
}

}  // namespace

UnitResult attempt(const std::string& stage, const std::string& unit,
                   const std::function<void(const Error&)>& tell, const std::function<UnitReport()>& work) {
  UnitResult result{.stage = stage, .unit = unit};
  const auto fail = [&](const Error& error) {
    result.outcome = Outcome::Failed;
    result.code = error.code();
    result.fault = error.fault();
    result.reason = error.sentence();
    tell(error);
  };
  const auto start = std::chrono::steady_clock::now();
  try {
    const UnitReport report = work();
    result.outcome = report.outcome;
    result.reason = report.words;
  } catch (const Error& error) {
    fail(error);
  } catch (const std::bad_alloc&) {
    fail(Error(message::kNoMemory, "Memory ran out.",
               {.remedy = "ask for more memory, or use --runs-at-once 1"}));
  } catch (const std::exception& error) {
    // What torch says goes on with a stack of calls.
    const std::string what = error.what();
    fail(Error(message::kBug, "Internal error: " + what.substr(0, what.find('\n')),
               {.remedy = "please report it with the run record in logs/"}));
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

void for_each_run(const Job& job, const std::string& stage, int workers, const UnitWork& work) {
  HeldLocks locks(job.output.root(), job.runs);
  Progress progress(job.log, job.progress, stage, static_cast<int64_t>(job.runs.size()));
  std::atomic<size_t> next{0};
  std::atomic<bool> give_up{false};
  const auto do_runs = [&] {
    for (size_t i = next++; i < job.runs.size() && !job.stop && !give_up; i = next++) {
      const bids::BoldRun& run = job.runs[i];
      const std::string unit = unit_name(run.name);
      const auto tell = [&](const Error& error) {
        if (error.code() != message::kStopped.code) {  // the call itself says that it was stopped
          job.log.error(error.within(unit));
        }
      };
      UnitResult result = attempt(stage, unit, tell, [&]() -> UnitReport {
        if (job.record.failed(unit)) {
          return {Outcome::Excluded, "an earlier stage failed"};
        }
        locks.take(run.participant);
        return work(run, [&](int64_t done, int64_t total) { progress.advance(unit, done, total); });
      });
      locks.leave(run.participant);
      if (job.stop && result.code == message::kStopped.code) {
        return;  // abandoned at a safe point: neither done nor failed
      }
      progress.finish_unit(unit, words_for(result));
      give_up = give_up || (job.config.run.stop_on_first_crash && result.outcome == Outcome::Failed);
      job.log.event(
          "unit",
          {{"stage", stage}, {"unit", unit}, {"outcome", words_for(result)}, {"seconds", result.seconds}});
      job.record.add(std::move(result));
    }
  };
  if (workers <= 1) {
    do_runs();
    return;
  }
  std::vector<std::jthread> threads;
  for (int i = 0; i < workers; ++i) {
    threads.emplace_back(do_runs);
  }
}

bool is_current(const Job& job, const bids::BidsName& primary, const std::string& hash,
                const nlohmann::json& fingerprints) {
  const nlohmann::json sidecar = job.output.committed_sidecar(primary);
  const auto block = sidecar.find("Slimbrain");
  return block != sidecar.end() && block->value("ConfigurationHash", "") == hash &&
         block->value("InputFingerprints", nlohmann::json()) == fingerprints;
}

std::string unit_name(const bids::BidsName& run) {
  const std::string text = run.build();
  return text.substr(0, text.rfind('_'));
}

bids::BidsName grid_name(const bids::BoldRun& run) {
  return run.name.raw().with("space", run.space).with("res", "slim").with_extension(".nii.gz");
}

bids::BidsName clip_store_name(const bids::BoldRun& run) {
  return grid_name(run).with("desc", "slimprep").with_suffix("clips").with_extension(".safetensors");
}

bids::BidsName embedding_name(const bids::BoldRun& run, const std::string& model) {
  return grid_name(run).with("desc", model).with_suffix("embedding").with_extension(".tsv");
}

}  // namespace slim::pipelines
