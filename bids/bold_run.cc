// SPDX-License-Identifier: Apache-2.0
#include "bids/bold_run.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <tuple>
#include <variant>

#include "bids/dataset_description.h"
#include "bids/run_index.h"
#include "bids/search_text.h"

namespace fs = std::filesystem;

namespace slim::bids {
namespace {

constexpr size_t kExamples = 3;
constexpr const char* kNeeded = "BOLD images in MNI space, made by fMRIPrep, an HCP pipeline or the like";
constexpr const char* kRemedy =
    "this version does not preprocess raw BOLD: run fMRIPrep with --output-spaces MNI152NLin6Asym:res-2, "
    "then give its folder with -d NAME=PATH";

using Images = std::vector<const IndexedImage*>;

BidsName raw_name(const BidsName& name) {
  return name.raw().without("part").with_suffix("bold").with_extension(".nii.gz");
}

template <class Work>
void for_each_index(size_t count, int threads, const Work& work) {
  std::atomic<size_t> next = 0;
  const auto loop = [&] {
    for (size_t i = next++; i < count; i = next++) {
      work(i);
    }
  };
  std::vector<std::jthread> pool;
  for (int i = 1; i < std::min<int>(threads, static_cast<int>(count)); ++i) {
    pool.emplace_back(loop);
  }
  loop();
}

class Search {
 public:
  explicit Search(const RunRequest& request) : request_(request) {}

  RunSearch run() {
    result_.inputs = find_inputs(request_.bids_dir, request_.derivatives, request_.input_type);
    funnel_ = make_funnel(request_.selection);
    scan();
    if (result_.inputs.datasets.empty()) {
      refuse_raw();
    }
    Images images = select();
    settle(group(images));
    exclude_missing_runs();
    if (result_.runs.empty() && result_.failed.empty()) {
      refuse_empty();
    }
    result_.warnings.insert(result_.warnings.end(), funnel_.warnings.begin(), funnel_.warnings.end());
    result_.warnings.insert(result_.warnings.end(), index_.warnings().begin(), index_.warnings().end());
    result_.warnings.insert(result_.warnings.end(), result_.inputs.warnings.begin(),
                            result_.inputs.warnings.end());
    return std::move(result_);
  }

 private:
  void scan() {
    std::vector<std::string> labels;
    for (const std::string& label : request_.selection.participants) {
      labels.emplace_back(bare_label("sub", label));
    }
    index_ = RunIndex::scan(result_.inputs, labels, request_.threads);
    const auto listed = [&](const std::string& label) {
      return std::find(index_.participants().begin(), index_.participants().end(), label) !=
             index_.participants().end();
    };
    if (!std::all_of(labels.begin(), labels.end(), listed)) {
      // Only now is everybody's folder listed: to name the nearest label.
      const RunIndex everybody = RunIndex::scan(result_.inputs, {}, request_.threads);
      known_participants(labels, everybody.participants());
    }
  }

  void add_step(std::string name, size_t before, size_t after, std::vector<std::string> examples = {}) {
    examples.resize(std::min(examples.size(), kExamples));
    result_.funnel.push_back({.name = std::move(name),
                              .before = static_cast<int64_t>(before),
                              .after = static_cast<int64_t>(after),
                              .examples = std::move(examples)});
  }

  // Runs the images through the user's steps; files are what a step looks at, T what is carried along.
  template <class T, class FileOf>
  void apply_steps(std::vector<T>* items, const FileOf& file_of) {
    for (const SelectionStep& step : funnel_.steps) {
      const size_t before = items->size();
      std::vector<std::string> examples;
      std::erase_if(*items, [&](const T& item) {
        const BidsFile& file = file_of(item);
        const bool goes = !step.keeps(file);
        if (goes && examples.size() < kExamples) {
          examples.push_back(file.path + " (" + failing_value(step, file) + ")");
        }
        return goes;
      });
      add_step(step.name, before, items->size(), std::move(examples));
    }
  }

  Images select() {
    Images images;
    for (const IndexedImage& image : index_.images()) {
      images.push_back(&image);
    }
    add_step("BOLD images found", images.size(), images.size());
    apply_steps(&images, [](const IndexedImage* image) -> const BidsFile& { return image->file; });
    const size_t before = images.size();
    std::vector<std::string> examples;
    std::erase_if(images, [&](const IndexedImage* image) {
      const std::string reason = why_no_series(image->file.name);
      if (!reason.empty()) {
        result_.excluded.push_back({image->file.path, "not a whole run's volume series: " + reason});
        examples.push_back(image->file.path + " (" + reason + ")");
      }
      return !reason.empty();
    });
    for (const auto& [path, reason] : index_.others()) {
      result_.excluded.push_back({path, reason});
    }
    add_step("whole volume series", before, images.size(), std::move(examples));
    return images;
  }

  bool is_usable(const IndexedImage& image) const {
    const std::string* space = image.file.name.get("space");
    return space != nullptr && usable_space(*space, dialect(image.dataset)).has_value();
  }

  SpaceDialect dialect(size_t dataset) const {
    const InputDataset& input = result_.inputs.datasets[dataset];
    return input.old_dcan || input.producer == Producer::Hcp ? SpaceDialect::Dcan : SpaceDialect::Standard;
  }

  // Images of each run, from the first dataset that has a usable one.
  std::vector<Images> group(const Images& images) {
    std::map<std::string, Images> by_run;
    for (const IndexedImage* image : images) {
      by_run[run_key(image->file.name)].push_back(image);
    }
    std::vector<Images> runs;
    for (auto& [key, candidates] : by_run) {
      const auto usable = std::find_if(candidates.begin(), candidates.end(),
                                       [&](const IndexedImage* image) { return is_usable(*image); });
      const size_t dataset = (usable == candidates.end() ? candidates.front() : *usable)->dataset;
      std::erase_if(candidates, [&](const IndexedImage* image) {
        if (image->dataset == dataset) {
          return false;
        }
        result_.excluded.push_back(
            {image->file.path, "the run was found in " + result_.inputs.datasets[dataset].name + " first"});
        return true;
      });
      found_runs_.insert(key);
      runs.push_back(std::move(candidates));
    }
    candidates_ = images.size();
    return runs;
  }

  void settle(const std::vector<Images>& groups) {
    using Outcome = std::variant<std::monostate, BoldRun, Error>;
    std::vector<Outcome> outcomes(groups.size());
    std::vector<std::vector<RunSearch::Excluded>> left(groups.size());
    for_each_index(groups.size(), request_.threads, [&](size_t i) {
      try {
        outcomes[i] = bold_run(groups[i], &left[i]);
      } catch (const Error& error) {
        outcomes[i] = error;
      } catch (const std::exception& error) {
        outcomes[i] = Error(message::kBug, error.what());
      }
    });
    std::vector<std::string> failures, examples;
    for (size_t i = 0; i < groups.size(); ++i) {
      for (RunSearch::Excluded& excluded : left[i]) {
        examples.push_back(excluded.path + " (" + excluded.reason + ")");
        result_.excluded.push_back(std::move(excluded));
      }
      if (BoldRun* run = std::get_if<BoldRun>(&outcomes[i])) {
        result_.runs.push_back(std::move(*run));
      } else {
        const IndexedImage& first = *groups[i].front();
        const Error& error = std::get<Error>(outcomes[i]);
        failures.push_back(first.file.path + " (" + std::string(error.code()) + ")");
        result_.failed.push_back({raw_name(first.file.name), first.file.path, error});
      }
    }
    failures.insert(failures.end(), examples.begin(), examples.end());
    std::sort(result_.runs.begin(), result_.runs.end(), [](const BoldRun& a, const BoldRun& b) {
      return std::tuple(a.participant, a.name.build()) < std::tuple(b.participant, b.name.build());
    });
    add_step("one usable image a run", candidates_, result_.runs.size(), std::move(failures));
  }

  BoldRun bold_run(const Images& images, std::vector<RunSearch::Excluded>* left) const {
    std::vector<ImageCandidate> candidates;
    for (const IndexedImage* image : images) {
      candidates.push_back({image->file.name, image->file.path, image->absolute});
    }
    const ImageChoice choice =
        choose_image(candidates, request_.image, request_.read_header, dialect(images.front()->dataset));
    for (size_t i = 0; i < images.size(); ++i) {
      if (i != choice.index) {
        left->push_back({images[i]->file.path, "another image stands for this run: " +
                                                   choice.reason.substr(0, choice.reason.size() - 1)});
      }
    }
    return described(*images[choice.index], choice);
  }

  BoldRun described(const IndexedImage& image, const ImageChoice& choice) const {
    check_present(image);
    const InputDataset& input = result_.inputs.datasets[image.dataset];
    BoldRun run;
    run.name = raw_name(image.file.name);
    run.participant = *image.file.name.get("sub");
    run.image = image.absolute;
    run.space = choice.space;
    run.family = choice.family;
    run.producer = input.producer;
    run.dataset = input.name;
    run.denoised = input.denoised || is_denoised_by_name(image.file.name);
    run.image_uri = bids_uri(input.name, image.file.path);
    run.choice = choice.reason;
    run.mask = image.mask;
    run.movement_regressors = image.movement_regressors;
    if (input.producer == Producer::Hcp) {
      run.mask_uri =
          run.mask ? bids_uri(input.name, run.mask->lexically_relative(input.root).generic_string()) : "";
    } else {
      add_companions(image, &run);
    }
    FoundMetadata found = index_.metadata(image);
    run.metadata = std::move(found.json);
    run.metadata_note = std::move(found.note);
    if (run.confounds && request_.read_confounds) {
      const DummyVolumes dummies = count_dummy_volumes(*run.confounds);
      run.dummy_volumes = dummies.count;
      run.confound_rows = dummies.rows;
    }
    return run;
  }

  static void check_present(const IndexedImage& image) {
    if (!image.present) {
      throw Error(
          message::kMissingPath,
          "The minimally preprocessed image of this run is not here, only files made from it.",
          {.file = image.absolute.string(),
           .remedy = "fetch the image of this very name; denoised ones (hp2000_clean) do not replace it"});
    }
    if (image.file.state == FileState::Annexed) {
      throw Error(message::kAnnexed, "The content of this annexed file is not here.",
                  {.file = image.absolute.string(), .remedy = "datalad get " + image.absolute.string()});
    }
  }

  void add_companions(const IndexedImage& image, BoldRun* run) const {
    const InputDataset& input = result_.inputs.datasets[image.dataset];
    if (const BidsFile* mask =
            index_.companion(image.dataset, image.file.name.with("desc", "brain").with_suffix("mask"))) {
      run->mask = index_.absolute(image.dataset, *mask);
      run->mask_uri = bids_uri(input.name, mask->path);
    }
    const BidsName table = image.file.name.raw().with("desc", "confounds").with_extension(".tsv");
    for (const BidsName& name : {table, table.without("part")}) {
      for (const char* suffix : {"timeseries", "regressors"}) {
        const BidsFile* file = index_.companion(image.dataset, name.with_suffix(suffix));
        if (file != nullptr && !run->confounds) {
          run->confounds = index_.absolute(image.dataset, *file);
          run->confounds_uri = bids_uri(input.name, file->path);
        }
      }
    }
  }

  // Runs that were acquired and asked for, but that no derivative holds.
  void exclude_missing_runs() {
    std::string names;
    for (const InputDataset& input : result_.inputs.datasets) {
      names += (names.empty() ? "" : ", ") + input.name;
    }
    std::set<std::string> told;
    for (const BidsFile& file : index_.raw_images()) {
      const std::string key = run_key(file.name);
      if (funnel_.keeps(file) && !found_runs_.contains(key) && told.insert(key).second) {
        ++missing_;
        result_.excluded.push_back({file.path, "the raw run has no preprocessed image in " + names});
      }
    }
  }

  [[noreturn]] void refuse_raw() {
    std::vector<const BidsFile*> files;
    for (const BidsFile& file : index_.raw_images()) {
      files.push_back(&file);
    }
    add_step("raw BOLD images found", files.size(), files.size());
    apply_steps(&files, [](const BidsFile* file) -> const BidsFile& { return *file; });
    if (files.empty() && !index_.raw_images().empty()) {
      refuse_selection();
    }
    if (files.empty() && request_.input_type == InputType::Auto) {
      refuse_selection();
    }
    throw Error(message::kNeedsDerivative,
                "There are only raw BOLD runs (" + std::to_string(files.size()) +
                    " selected): no derivative with images in MNI space was found.",
                {.file = request_.bids_dir.string(),
                 .expected = kNeeded,
                 .found = places_text(result_.inputs.searched),
                 .remedy = kRemedy});
  }

  [[noreturn]] void refuse_selection() {
    throw Error(message::kEmptySelection, "The selection is empty:\n" + funnel_text(result_.funnel),
                {.found = places_text(result_.inputs.searched)});
  }

  [[noreturn]] void refuse_empty() {
    for (const InputDataset& input : result_.inputs.datasets) {
      if (index_.images().empty() && input.producer != Producer::Hcp &&
          probe_bold_names(input.root) == BoldNames::OldFmriprep) {
        throw Error(message::kNeedsDerivative,
                    "The derivative " + input.name +
                        " was made by fMRIPrep before 1.2: its file names (..._bold_space-..._preproc) are "
                        "not BIDS names.",
                    {.file = input.root.string(),
                     .expected = kNeeded,
                     .found = places_text(result_.inputs.searched),
                     .remedy = "run a newer fMRIPrep with --output-spaces MNI152NLin6Asym:res-2"});
      }
    }
    if (missing_ > 0) {
      throw Error(message::kNeedsDerivative,
                  "None of the " + std::to_string(missing_) + " selected runs has a preprocessed image.",
                  {.file = request_.bids_dir.string(),
                   .expected = kNeeded,
                   .found = places_text(result_.inputs.searched),
                   .remedy = kRemedy});
    }
    refuse_selection();
  }

  const RunRequest& request_;
  RunSearch result_{};
  Funnel funnel_{};
  RunIndex index_{};
  std::set<std::string> found_runs_{};
  size_t candidates_ = 0;
  size_t missing_ = 0;
};

}  // namespace

RunSearch find_bold_runs(const RunRequest& request) { return Search(request).run(); }

}  // namespace slim::bids
