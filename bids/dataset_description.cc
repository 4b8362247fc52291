// SPDX-License-Identifier: Apache-2.0
#include "bids/dataset_description.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace slim::bids {
namespace {

constexpr const char* kBidsVersion = "1.11.1";
constexpr const char* kProgram = "slimbrain";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

fs::path resolved(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::weakly_canonical(path, error);
  return error ? fs::absolute(path).lexically_normal() : result;
}

// Relative, so that the inputs and outputs of a study can be moved together and no user's name is in the
// file.
std::string relative_link(const fs::path& target, const fs::path& root) {
  const std::string text = resolved(target).lexically_relative(resolved(root)).generic_string();
  return text.empty() ? std::string(".") : text;
}

json links_of(const DatasetFacts& facts, const fs::path& root) {
  json links = json::object();
  for (const auto& [name, folder] : facts.links) {
    links[name] = relative_link(folder, root);
  }
  for (const auto& [name, uri] : facts.remote_links) {
    links[name] = uri;
  }
  return links;
}

// Sorted and each once, so that it does not matter which job brought an item first.
std::vector<json> item_set(const std::vector<std::string>& texts) {
  std::vector<json> items;
  for (const std::string& text : texts) {
    items.push_back(json::parse(text));
  }
  std::sort(items.begin(), items.end(), [](const json& a, const json& b) { return a.dump() < b.dump(); });
  items.erase(std::unique(items.begin(), items.end()), items.end());
  return items;
}

ordered_json own_entry(const DatasetFacts& facts) {
  ordered_json entry;
  entry["Name"] = kProgram;
  entry["Version"] = facts.program_version;
  entry["Description"] = "BOLD runs on the SLIM grid and what the SLIM-Brain model makes of them";
  if (!facts.code_url.empty()) {
    entry["CodeURL"] = facts.code_url;
  }
  if (!facts.configuration_hash.empty()) {
    entry["ConfigurationHash"] = facts.configuration_hash;
  }
  ordered_json container;
  for (const auto& [key, value] :
       {std::pair("Type", &facts.container.type), std::pair("Tag", &facts.container.tag),
        std::pair("URI", &facts.container.uri)}) {
    if (!value->empty()) {
      container[key] = *value;
    }
  }
  if (!container.is_null()) {
    entry["Container"] = container;
  }
  return entry;
}

std::string text_of(const ordered_json& description) {
  // Names from hostile inputs may not be UTF-8; they must not stop a commit.
  return description.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string text_at(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) {
    return {};
  }
  return object[key].get<std::string>();
}

std::vector<std::string> items_at(const json& object, const char* key) {
  std::vector<std::string> items;
  if (object.is_object() && object.contains(key) && object[key].is_array()) {
    for (const json& item : object[key]) {
      if (item.is_object()) {
        items.push_back(item.dump());
      }
    }
  }
  return items;
}

void add_names(const json& description, DatasetFacts* facts) {
  if (facts->input_name.empty()) {
    facts->input_name = text_at(description, "Name");
  }
  if (facts->license.empty()) {
    facts->license = text_at(description, "License");
  }
  if (facts->authors.empty() && description.is_object() && description.contains("Authors") &&
      description["Authors"].is_array()) {
    for (const json& author : description["Authors"]) {
      if (author.is_string() && !author.get<std::string>().empty()) {
        facts->authors.push_back(author);
      }
    }
  }
}

json parsed(const std::string& text) {
  try {
    json description = json::parse(text);
    if (description.is_object()) {
      return description;
    }
  } catch (const json::exception&) {
  }
  throw Error(message::kBadJson, "The dataset_description.json of OUT_DIR cannot be read as a JSON object.");
}

bool same_folder(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

// One name for two folders would mix their participants; a folder that was moved is only a new place.
void grow_links(const DatasetFacts& facts, const fs::path& root, ordered_json* links,
                GrownDescription* grown) {
  const json added = links_of(facts, root);
  for (const auto& [name, value] : added.items()) {
    const std::string old = links->contains(name) && (*links)[name].is_string()
                                ? (*links)[name].get<std::string>()
                                : std::string();
    if (old == value.get<std::string>()) {
      continue;
    }
    std::error_code ignored;
    if (!old.empty() && facts.links.contains(name) && fs::exists(root / old, ignored)) {
      if (same_folder(root / old, facts.links.at(name))) {
        continue;
      }
      throw Error(message::kBadOutputPlace,
                  "OUT_DIR was made from another dataset under the name " + name + ": " + old + " there, " +
                      value.get<std::string>() + " now.",
                  {.remedy = "use another OUT_DIR, or another name with -d NAME=PATH"});
    }
    if (!old.empty()) {
      grown->warnings.push_back("The dataset " + name + " was at " + old +
                                " when OUT_DIR was made and is at " + value.get<std::string>() + " now.");
    }
    (*links)[name] = value;
  }
}

/// The authors of the input. BIDS wants at least two entries: where fewer are known, those who made the input are named
/// by it, and we name ourselves.
std::vector<std::string> authors_of(const DatasetFacts& facts) {
  std::vector<std::string> authors = facts.authors;
  if (authors.empty()) {
    authors.push_back("The authors of the input dataset");
  }
  if (authors.size() == 1) {
    authors.push_back("The slimbrain developers (software)");
  }
  return authors;
}

}  // namespace

std::string bids_uri(std::string_view name, std::string_view path) {
  constexpr std::string_view kPlain = "/_-.";
  std::string uri = "bids:" + std::string(name) + ":";
  for (const char c : path) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (alnum || kPlain.find(c) != std::string_view::npos) {
      uri += c;
    } else {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      uri += '%';
      uri += kHex[static_cast<unsigned char>(c) >> 4];
      uri += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return uri;
}

ContainerIdentity container_from_environment() {
  ContainerIdentity container;
  container.uri = environment("SLIMBRAIN_CONTAINER_URI");
  container.tag = environment("SLIMBRAIN_CONTAINER_TAG");
  const std::string digest = environment("SLIMBRAIN_CONTAINER_DIGEST");
  if (container.uri.empty()) {
    return container;
  }
  if (!digest.empty() && container.uri.find('@') == std::string::npos) {
    container.uri += "@" + digest;
  }
  container.type = container.uri.starts_with("docker:") ? "docker" : "apptainer";
  return container;
}

DatasetFacts facts_from_inputs(const InputChoice& inputs) {
  DatasetFacts facts;
  if (!inputs.raw_root.empty()) {
    facts.links["raw"] = inputs.raw_root;
    const Recognition raw = recognise(inputs.raw_root);
    add_names(*raw.description, &facts);
    const std::string doi = text_at(*raw.description, "DatasetDOI");
    if (!doi.empty()) {
      facts.source_datasets.push_back(json{{"DOI", doi}}.dump());
    }
  }
  for (const InputDataset& dataset : inputs.datasets) {
    facts.links[dataset.name] = dataset.root;
    if (!dataset.description) {
      continue;
    }
    add_names(*dataset.description, &facts);
    for (const std::string& item : items_at(*dataset.description, "GeneratedBy")) {
      facts.input_producers.push_back(item);
    }
    for (const std::string& item : items_at(*dataset.description, "SourceDatasets")) {
      facts.source_datasets.push_back(item);
    }
  }
  return facts;
}

std::string dataset_description_text(const DatasetFacts& facts, const fs::path& root) {
  ordered_json description;
  description["Name"] =
      "slimbrain outputs: " + (facts.input_name.empty() ? "unnamed dataset" : facts.input_name);
  description["BIDSVersion"] = kBidsVersion;
  description["DatasetType"] = "derivative";
  if (!facts.license.empty()) {
    description["License"] = facts.license;
  }
  description["Authors"] = authors_of(facts);
  description["HowToAcknowledge"] =
      "Please cite the SLIM-Brain paper, slimbrain with its version, and the authors of the input data.";
  description["GeneratedBy"] = ordered_json::array({own_entry(facts)});
  for (const json& producer : item_set(facts.input_producers)) {
    description["GeneratedBy"].push_back(ordered_json(producer));
  }
  const json sources = item_set(facts.source_datasets);
  if (!sources.empty()) {
    description["SourceDatasets"] = sources;
  }
  const json links = links_of(facts, root);
  if (!links.empty()) {
    description["DatasetLinks"] = links;
  }
  return text_of(description);
}

GrownDescription grow_description(const std::string& existing, const DatasetFacts& facts,
                                  const fs::path& root, bool replace_configuration) {
  const json old = parsed(existing);
  const json* own = nullptr;
  if (old.contains("GeneratedBy") && old["GeneratedBy"].is_array() && !old["GeneratedBy"].empty() &&
      text_at(old["GeneratedBy"][0], "Name") == kProgram) {
    own = &old["GeneratedBy"][0];
  }
  if (own == nullptr) {
    throw Error(message::kBadOutputPlace, "OUT_DIR holds a dataset that slimbrain did not make.",
                {.found = text_at(old, "Name"),
                 .remedy = "choose a folder of its own, for example BIDS_DIR/derivatives/slimbrain"});
  }
  for (const auto& [key, is_right] :
       {std::pair("DatasetLinks", &json::is_object), std::pair("SourceDatasets", &json::is_array)}) {
    if (old.contains(key) && !(old[key].*is_right)()) {
      throw Error(message::kBadJson,
                  std::string(key) + " in the dataset_description.json of OUT_DIR is of another type.");
    }
  }
  GrownDescription grown;
  ordered_json description = ordered_json::parse(existing);
  const std::string hash = text_at(*own, "ConfigurationHash");
  if (!facts.configuration_hash.empty() && hash != facts.configuration_hash) {
    if (!hash.empty() && !replace_configuration) {
      throw Error(message::kOtherSettings, "OUT_DIR was prepared with other settings.",
                  {.expected = "configuration " + hash,
                   .found = "configuration " + facts.configuration_hash,
                   .remedy = "use another OUT_DIR, or --force to redo everything"});
    }
    description["GeneratedBy"][0]["ConfigurationHash"] = facts.configuration_hash;
  }
  DatasetFacts all = facts;
  for (size_t i = 1; i < old["GeneratedBy"].size(); ++i) {
    all.input_producers.push_back(old["GeneratedBy"][i].dump());
  }
  ordered_json makers = ordered_json::array({description["GeneratedBy"][0]});
  for (const json& producer : item_set(all.input_producers)) {
    makers.push_back(ordered_json(producer));
  }
  description["GeneratedBy"] = makers;
  for (const std::string& item : items_at(old, "SourceDatasets")) {
    all.source_datasets.push_back(item);
  }
  const json sources = item_set(all.source_datasets);
  if (!sources.empty() && sources != old.value("SourceDatasets", json::array())) {
    description["SourceDatasets"] = sources;
  }
  ordered_json links = old.value("DatasetLinks", json::object());
  grow_links(facts, root, &links, &grown);
  const json sorted = links;  // keys in order, whichever job came first
  if (sorted != old.value("DatasetLinks", json::object())) {
    description["DatasetLinks"] = sorted;
  }
  grown.text = json(description) == old ? existing : text_of(description);
  return grown;
}

std::string bidsignore_text() {
  return "*.html\nfigures\nmodels\nlogs\ngroup_*\n*_clips.*\n*_embedding.*\n*_predictions.*\n*_qc.*\n*_"
         "saliency.*\n"
         "*_timeseries.*\n*_boldmap.*\n*_boldref.*\n*_xfm.*\n!phenotype/*_predictions.*\n";
}

std::string readme_text() {
  return R"(# Outputs of slimbrain

This folder is a BIDS derivative dataset. It is made by slimbrain, which brings BOLD
runs onto one grid and computes SLIM-Brain embeddings of them.

Every data file has a JSON file of the same name beside it. Its block `Slimbrain` tells
the program's version, the settings' hash and fingerprints of the inputs; `Sources` names
the inputs. A file that exists is complete; running the same call again makes what is
missing and leaves the rest.

| file | content |
| --- | --- |
| `sub-*/[ses-*/]func/*_desc-slimprep_clips.safetensors` | the run on the SLIM grid, ready for the model |
| `sub-*/[ses-*/]func/*_desc-brain_mask.nii.gz` | voxels that carry signal, 96 x 96 x 96 at 2 mm |
| `sub-*/[ses-*/]func/*_embedding.tsv` | embeddings: a row for each clip, the run's mean last |
| `sub-*/[ses-*/]func/*_predictions.tsv` | predictions: a row for each clip, the run's last |
| `sub-*/[ses-*/]func/*_stat-*_desc-*_boldmap.nii.gz`, `*_saliency.tsv` | where a prediction came from, by voxel and by region |
| `descriptions.tsv` | meaning of the `desc-` labels |
| `logs/` | a record of each call; nothing else here names times, hosts or users |

`res-slim` is a 96 x 96 x 96 grid of 2 mm voxels, stored LAS, in the template named by
`space-`. `.bidsignore` lists the files that the BIDS standard does not know yet.
)";
}

std::string descriptions_table_text(const DatasetFacts& facts) {
  std::map<std::string, std::string> labels{
      {"brain", "Voxels of the SLIM grid that carry signal"},
      {"slimprep", "BOLD on the SLIM grid: template space, steady interval, z-scored over the run"}};
  for (const auto& [label, text] : facts.labels) {
    labels[label] = text;
  }
  std::string table = "desc_id\tdescription\n";
  for (const auto& [label, text] : labels) {
    table += "desc-" + label + "\t" + text + "\n";
  }
  return table;
}

std::string descriptions_json_text() {
  ordered_json columns;
  columns["Description"] = "Meaning of the desc- labels in the file names of this dataset";
  columns["desc_id"] = {{"Description", "Entity with its label, as in file names"}};
  columns["description"] = {{"Description", "What the files with this label hold"}};
  return columns.dump(2) + "\n";
}

}  // namespace slim::bids
