// SPDX-License-Identifier: Apache-2.0
#include "pipelines/saliency_files.h"

#include "core/atomic_file.h"
#include "image/nifti_io.h"
#include "pipelines/model_stage.h"
#include "pipelines/predict.h"
#include "pipelines/saliency_map.h"
#include "pipelines/sidecar.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim::pipelines {
namespace {

bool is_path(const SaliencyMap& map) { return map.method == "intgrad"; }

std::string described(const SaliencyMap& map, const std::string& what) {
  std::string text;
  for (const std::string& banner : map.banners) {
    text += banner + " ";
  }
  return text + what + " " + map.target.name + ".";
}

/// Keys that maps and tables share.
json map_sidecar(const SaliencyMap& map, const std::string& description) {
  json sidecar = grid_sidecar(map.run, described(map, description), {store_uri(map.run)}, map.block);
  sidecar.update({{"Method", is_path(map) ? "integrated gradients from " + map.baseline +
                                                ", Gauss-Legendre rule in the cube root of the path"
                                          : "gradient x input"},
                  {"Target", target_facts(map.target)},
                  {"Function", map.explained.function},
                  {"Units", map.explained.units}});
  return sidecar;
}

bids::DerivativeFile slim_file(const SaliencyMap& map) {
  json sidecar = map_sidecar(map, "Which voxels made the model's prediction of");
  sidecar["SkullStripped"] = true;
  sidecar["Normalization"] =
      is_path(map) ? "none: signed; the sum over voxels is the mean over clips of F(x) - F(baseline), "
                     "up to the residual"
                   : "none: signed";
  return {saliency_name(map.run, map.method, map.target.name), std::move(sidecar),
          [values = on_slim_grid(map.values, map.valid)](const fs::path& path) {
            image::write_nifti(path, image::slim_grid(), values, {.form_code = 4});
          }};
}

/// On the grid of the image that the run was prepared from. That image lies in the template's space, so only
/// the lattice differs.
bids::DerivativeFile source_file(const SaliencyMap& map) {
  const bids::BoldRun& run = map.run;
  const image::VoxelGrid grid = image::read_header(run.image).grid;
  json sidecar = map_sidecar(map, "Which voxels, on the grid of the run's own image, made the prediction of");
  sidecar["SkullStripped"] = true;
  sidecar["Normalization"] = "none: signed; interpolated, so that sums are not kept";
  sidecar["SpatialReference"] = run.image_uri;
  sidecar["Resolution"] = "that of the run's own image";
  const auto image_name = bids::BidsName::parse(run.image.filename().string());
  const std::string* res = image_name ? image_name->get("res") : nullptr;
  // Never without: the sidecar of such a name would, by inheritance, apply to the map on the SLIM grid too.
  const bids::BidsName name = saliency_name(run, map.method, map.target.name)
                                  .with("res", res == nullptr || *res == "slim" ? "source" : *res);
  return {name, std::move(sidecar), [grid, slim = on_slim_grid(map.values, map.valid)](const fs::path& path) {
            image::write_nifti(path, grid, on_other_grid(slim, grid), {.form_code = 4});
          }};
}

bids::DerivativeFile region_file(const SaliencyMap& map, const Atlas& atlas) {
  json sidecar = map_sidecar(map, "Share of the regions of atlas " + atlas.labels.name +
                                      " in the map of what made the prediction of");
  sidecar.erase("Resolution");
  sidecar["Slimbrain"].erase("Saliency");  // stands beside the map
  sidecar["Slimbrain"]["RegionAtlas"] = {{"Name", atlas.labels.name}, {"SHA256", atlas.labels.sha256}};
  sidecar.update(
      {{"index", {{"Description", "Label of the region."}}},
       {"name", {{"Description", "Name of the region."}}},
       {"n_voxels", {{"Description", "Valid voxels of the run in the region, 2 mm."}}},
       {"mean", {{"Description", "Mean of the map over these."}, {"Units", map.explained.units}}},
       {"mean_abs", {{"Description", "Mean of the map's absolute value."}, {"Units", map.explained.units}}},
       {"share",
        {{"Description", "Sum of absolute values in the region over that of the whole map."},
         {"Units", "1"}}},
       {"rank", {{"Description", "Place by share, 1 = largest."}}}});
  bids::BidsName name = saliency_name(map.run, map.method, map.target.name)
                            .without("res")
                            .with("seg", atlas.labels.name)
                            .with_suffix("saliency")
                            .with_extension(".tsv");
  return {
      std::move(name), std::move(sidecar),
      [text = region_table(atlas, map.values, map.valid)](const fs::path& path) { write_text(path, text); }};
}

}  // namespace

bids::BidsName saliency_name(const bids::BoldRun& run, const std::string& method, const std::string& target) {
  return grid_name(run).with("stat", method).with("desc", target).with_suffix("boldmap");
}

std::vector<bids::DerivativeFile> saliency_files(const SaliencyMap& map, const std::vector<Atlas>& atlases,
                                                 bool source_too) {
  std::vector<bids::DerivativeFile> files;
  for (const Atlas& atlas : atlases) {
    files.push_back(region_file(map, atlas));
  }
  if (source_too) {
    files.push_back(source_file(map));
  }
  files.push_back(slim_file(map));
  return files;
}

}  // namespace slim::pipelines
