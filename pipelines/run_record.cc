// SPDX-License-Identifier: Apache-2.0
#include "pipelines/run_record.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <set>

#include "core/atomic_file.h"
#include "core/version.h"
#include "pipelines/resources.h"

namespace fs = std::filesystem;

namespace slim::pipelines {
namespace {

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::Done:
      return "done";
    case Outcome::UpToDate:
      return "up to date";
    case Outcome::Failed:
      return "failed";
    case Outcome::Excluded:
      return "excluded";
  }
  return "";
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

RunRecord::RunRecord(const fs::path& out_dir, nlohmann::json facts)
    : out_dir_(out_dir), facts_(std::move(facts)) {
  const fs::path folder = out_dir / "logs";
  create_folder(folder);
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &parts);
  stem_ = folder / ("slimbrain-" + std::string(stamp) + "-" + make_uuid().substr(0, 8));
  facts_["slimbrain_record"] = 1;
  facts_["version"] = kVersion;
  facts_["started"] = stamp;
  facts_["host"] = host_name();
  if (const char* job = std::getenv("SLURM_JOB_ID")) {
    facts_["job"] = job;
  }
  write({{"exit_code", nullptr}});
}

void RunRecord::add_fact(const std::string& key, nlohmann::json value) {
  const std::lock_guard lock(mutex_);
  facts_[key] = std::move(value);
}

void RunRecord::add(UnitResult result) {
  const std::lock_guard lock(mutex_);
  units_.push_back(std::move(result));
}

bool RunRecord::failed(const std::string& unit) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(units_.begin(), units_.end(),
                     [&](const UnitResult& u) { return u.outcome == Outcome::Failed && u.unit == unit; });
}

int RunRecord::exit_code(bool stopped) const {
  const std::lock_guard lock(mutex_);
  std::set<int> faults;
  bool any_good = false;
  for (const UnitResult& unit : units_) {
    any_good = any_good || unit.outcome == Outcome::Done || unit.outcome == Outcome::UpToDate;
    if (unit.outcome == Outcome::Failed) {
      faults.insert(static_cast<int>(unit.fault.value_or(Fault::Bug)));
    }
  }
  if (stopped || faults.contains(static_cast<int>(Fault::TryAgain))) {
    return static_cast<int>(Fault::TryAgain);
  }
  if (faults.empty()) {
    return 0;
  }
  for (const Fault grave : {Fault::Bug, Fault::InputOutput, Fault::CannotCreate, Fault::Unavailable}) {
    if (faults.contains(static_cast<int>(grave))) {
      return static_cast<int>(grave);
    }
  }
  return faults.size() == 1 && !any_good ? *faults.begin() : 1;
}

void RunRecord::write(const nlohmann::json& ending) {
  nlohmann::json record = facts_;
  record["units"] = nlohmann::json::array();
  for (const UnitResult& unit : units_) {
    nlohmann::json row{{"stage", unit.stage},
                       {"unit", unit.unit},
                       {"outcome", name_of(unit.outcome)},
                       {"seconds", unit.seconds}};
    if (!unit.reason.empty()) {
      row["reason"] = unit.reason;
    }
    if (!unit.code.empty()) {
      row["code"] = unit.code;
    }
    record["units"].push_back(std::move(row));
  }
  record["peak_memory_bytes"] = peak_memory();
  record.update(ending);
  const std::string text = record.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  write_atomically(stem_.string() + ".json", [&](const fs::path& path) { write_text(path, text); });
}

std::string RunRecord::close(bool stopped) {
  const int code = exit_code(stopped);
  const std::lock_guard lock(mutex_);
  const auto count = [&](Outcome outcome) {
    return std::to_string(std::count_if(units_.begin(), units_.end(),
                                        [&](const UnitResult& u) { return u.outcome == outcome; }));
  };
  write({{"exit_code", code}});
  return "slimbrain: " + count(Outcome::Done) + " done, " + count(Outcome::UpToDate) + " up to date, " +
         count(Outcome::Failed) + " failed, " + count(Outcome::Excluded) + " excluded; exit " +
         std::to_string(code) + "; record " + stem_.lexically_relative(out_dir_).string() + ".json";
}

}  // namespace slim::pipelines
