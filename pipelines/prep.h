// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pipelines/job.h"
#include "pipelines/resources.h"

namespace slim::pipelines {

/// Packs the job's runs into clip stores with mask, mean image, tSNR and QC. What is current is left alone.
void run_prep(const Job& job);

/// Hash of the prep settings of a configuration (fields are bound to it); stands in dataset_description.json
/// and every prep sidecar.
std::string prep_hash(const Config& config, const std::vector<Field>& fields);

/// Estimated peak memory of preparing one run, bytes, from its header.
int64_t memory_for(const bids::BoldRun& run, const Config& config);

/// Error SB4004 when the largest run does not fit into the memory that the job may use.
void check_memory(const std::vector<bids::BoldRun>& runs, const Config& config, const Limit& memory);

}  // namespace slim::pipelines
