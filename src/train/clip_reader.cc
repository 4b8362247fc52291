// SPDX-License-Identifier: Apache-2.0
#include "train/clip_reader.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "clips/clip_store.h"
#include "core/error.h"

namespace fs = std::filesystem;

namespace slim::train {
namespace {

class StoreReader : public ClipReader {
 public:
  StoreReader(std::vector<fs::path> paths, const TokenSet& tokens, size_t files_open)
      : paths_(std::move(paths)), tokens_(tokens), files_open_(std::max<size_t>(1, files_open)) {}

  int64_t frame_values() const override { return tokens_.size() * kTokenVoxels; }

  void read(int64_t run, const clips::ClipFrames& frames, std::span<uint16_t> out) override {
    const std::shared_ptr<const clips::ClipStore> store = store_of(run);
    const auto row = static_cast<size_t>(frame_values());
    size_t done = 0;
    for (size_t w = 0; w < frames.size();) {
      clips::Window range = frames[w];
      for (++w; w < frames.size() && frames[w].first == range.last; ++w) {
        range.last = frames[w].last;
      }
      if (range.first < 0 || range.first >= range.last || range.last > store->n_frames()) {
        throw Error(message::kUnfitModel, "A clip lies outside its run.",
                    {.file = paths_[static_cast<size_t>(run)].string(),
                     .expected = "frames inside 0-" + std::to_string(store->n_frames() - 1),
                     .found = clips::describe(frames),
                     .remedy = "rank the run's windows again"});
      }
      const size_t values = static_cast<size_t>(range.last - range.first) * row;
      if (values > out.size() - done) {
        throw Error(message::kBug, "A clip is longer than its place.");
      }
      store->read_frames(range.first, range.last - range.first, out.subspan(done, values));
      done += values;
    }
    if (done != out.size()) {
      throw Error(message::kBug, "A clip is shorter than its place.");
    }
  }

  void read_valid(int64_t run, std::span<uint8_t> out) override {
    const std::shared_ptr<const clips::ClipStore> store = store_of(run);
    const std::span<const uint8_t> bits = store->valid();
    std::copy_n(bits.begin(), std::min(bits.size(), out.size()), out.begin());
  }

 private:
  struct Open {
    int64_t run;
    std::shared_ptr<const clips::ClipStore> store;
  };

  /// The store of a run; the one used longest ago is closed when too many are open (by its last reader).
  std::shared_ptr<const clips::ClipStore> store_of(int64_t run) {
    {
      const std::scoped_lock lock(mutex_);
      if (const auto found = places_.find(run); found != places_.end()) {
        open_.splice(open_.begin(), open_, found->second);
        return found->second->store;
      }
    }
    if (run < 0 || static_cast<size_t>(run) >= paths_.size()) {
      throw Error(message::kBug, "A run that does not exist was asked for.");
    }
    // Opened without the lock: a slow disk must not hold up readers of other runs. Two may open the same; one
    // stays.
    auto store = std::make_shared<const clips::ClipStore>(
        clips::ClipStore::open(paths_[static_cast<size_t>(run)], tokens_));
    const std::scoped_lock lock(mutex_);
    if (!places_.contains(run)) {
      open_.push_front({run, store});
      places_[run] = open_.begin();
      if (open_.size() > files_open_) {
        places_.erase(open_.back().run);
        open_.pop_back();
      }
    }
    return store;
  }

  std::vector<fs::path> paths_;
  TokenSet tokens_;
  size_t files_open_;
  std::mutex mutex_;
  std::list<Open> open_;  // last used first
  std::unordered_map<int64_t, std::list<Open>::iterator> places_;
};

}  // namespace

std::unique_ptr<ClipReader> read_stores(std::vector<fs::path> stores, const TokenSet& tokens,
                                        size_t files_open) {
  return std::make_unique<StoreReader>(std::move(stores), tokens, files_open);
}

}  // namespace slim::train
