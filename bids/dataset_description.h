// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bids/producer.h"

namespace slim::bids {

/// "bids:NAME:path", the path percent-encoded where URIs need it; NAME empty = the dataset that the file lies
/// in.
std::string bids_uri(std::string_view name, std::string_view path);

/// What identifies the container that the program runs in; empty fields are left out.
struct ContainerIdentity {
  std::string type{};  // docker or apptainer
  std::string tag{};
  std::string uri{};
};
/// From SLIMBRAIN_CONTAINER_URI, _TAG and _DIGEST.
ContainerIdentity container_from_environment();

/// What dataset_description.json, README.md and descriptions.tsv of our outputs say.
struct DatasetFacts {
  std::string program_version;
  std::string code_url{};            // where the program's source is; empty = not said
  std::string configuration_hash{};  // of prep; empty = not said and not compared
  std::string input_name{};          // Name of the input dataset
  std::string license{};
  std::vector<std::string> authors{};
  std::vector<std::string> input_producers{};            // GeneratedBy items of the input, JSON text each
  std::vector<std::string> source_datasets{};            // SourceDatasets items of the input, JSON text each
  std::map<std::string, std::filesystem::path> links{};  // DatasetLinks: name -> local folder
  std::map<std::string, std::string> remote_links{};     // DatasetLinks: name -> URI
  std::vector<std::pair<std::string, std::string>>
      labels{};  // desc label -> description, besides the fixed ones
  ContainerIdentity container{};
};

/// Fills the facts that the inputs know: names, licence, authors, producers, links.
DatasetFacts facts_from_inputs(const InputChoice& inputs);

/// Texts of the dataset-level files; the same facts give the same bytes. `root` is where links are relative
/// to.
std::string dataset_description_text(const DatasetFacts& facts, const std::filesystem::path& root);
std::string bidsignore_text();
std::string readme_text();
std::string descriptions_table_text(const DatasetFacts& facts);
std::string descriptions_json_text();

/// The text of an existing description, grown by the links and sources of a new one; equal to `existing` when
/// nothing is new. Errors: SB1007 another program's dataset or a link that means another folder, SB1008
/// another configuration.
struct GrownDescription {
  std::string text;
  std::vector<std::string> warnings{};
};
GrownDescription grow_description(const std::string& existing, const DatasetFacts& facts,
                                  const std::filesystem::path& root, bool replace_configuration = false);

}  // namespace slim::bids
