# SPDX-License-Identifier: Apache-2.0
"""Saliency maps and region tables of an output folder against nibabel and SciPy.

usage: judge_saliency.py OUT_DIR [SOURCE_IMAGES_DIR]   also the maps on the runs' own grids, given their images
       judge_saliency.py OUT_DIR --left-only           nothing right of the midline, something left of it
"""
import csv
import json
import pathlib
import sys

import nibabel
import numpy
from scipy.ndimage import map_coordinates

out = pathlib.Path(sys.argv[1])
left_only = "--left-only" in sys.argv
sources = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 and not left_only else None

maps = sorted(out.rglob("*_res-slim_stat-*_desc-*_boldmap.nii.gz"))
assert maps
for path in maps:
    image = nibabel.load(path)
    assert image.get_data_dtype() == numpy.float32, path
    values = numpy.asarray(image.dataobj).astype(float)
    assert numpy.isfinite(values).all() and (values != 0).any(), path
    stem = path.name.split("_stat-")[0]
    mask = numpy.asarray(nibabel.load(path.parent / f"{stem}_desc-brain_mask.nii.gz").dataobj) > 0
    assert (values[~mask] == 0).all(), f"{path}: values outside the run's mask"

    world_x = nibabel.affines.apply_affine(image.affine, numpy.argwhere(values != 0))[:, 0]
    if left_only:
        assert (world_x <= 0).all() and (world_x < 0).any(), (path, world_x.max())  # 0: the midline

    sidecar = json.loads(path.with_name(path.name.removesuffix(".nii.gz") + ".json").read_text())
    for key in ("Method", "Target", "Units", "Normalization", "Sources", "SpatialReference", "Resolution"):
        assert key in sidecar, (path, key)
    clips = sidecar["Slimbrain"]["Saliency"]["Clips"]
    total = numpy.mean([clip["SumA"] for clip in clips])
    size = numpy.mean([clip["SumAbsA"] for clip in clips])
    assert abs(values.sum() - total) <= 1e-5 * size, (path, values.sum(), total)
    for clip in clips:
        assert abs(sum(w["SumA"] for w in clip["Windows"]) - clip["SumA"]) <= 1e-5 * clip["SumAbsA"], path
        assert abs(sum(w["SumAbsA"] for w in clip["Windows"]) - clip["SumAbsA"]) <= 1e-5 * clip["SumAbsA"], path
        if "Residual" in clip:
            whole = clip["F"] - clip["FAtBaseline"]
            residual = abs(clip["SumA"] - whole) / max(abs(whole), 1e-6)
            assert abs(residual - clip["Residual"]) <= 1e-6 * max(1, residual), (path, residual)
            verdict = "complete" if residual <= 0.05 else "approximate" if residual <= 0.2 else "incomplete"
            assert clip["Verdict"] == verdict, (path, clip)

    if left_only:  # valid voxels that hold 0 cannot be told from others
        continue

    # The grid's regions are cells of 8 x 8 x 8 voxels: the table holds their numbers, in whatever order.
    table = path.name.split("_res-slim")[0] + "_seg-grid" + path.name.split("_res-slim")[1]
    table = path.with_name(table.replace("_boldmap.nii.gz", "_saliency.tsv"))
    rows = list(csv.DictReader(table.open(), delimiter="\t"))
    assert list(rows[0]) == ["index", "name", "n_voxels", "mean", "mean_abs", "share", "rank"]
    blocks = lambda a: a.reshape(12, 8, 12, 8, 12, 8).sum((1, 3, 5)).ravel()
    # The mask is larger than the tokens here and there; a stored voxel with exactly 0 is no chance event.
    voxels, sums = blocks((values != 0).astype(float)), blocks(values)
    expected = [(int(n), s / n) for n, s in zip(voxels, sums) if n > 0]
    scale = numpy.abs(values).max()
    for row in rows:
        if row["n_voxels"] == "0":
            assert row["mean"] == "n/a", row
            continue
        near = [m for n, m in expected if n == int(row["n_voxels"]) and abs(m - float(row["mean"])) < 1e-6 * scale]
        assert near, (table, row)
    shares = numpy.array([float(row["share"]) for row in rows])
    assert 0.5 < shares.sum() <= 1 + 1e-6, (table, shares.sum())
    ranks = numpy.array([int(row["rank"]) for row in rows])
    assert sorted(ranks) == list(range(1, len(rows) + 1))
    assert (numpy.diff(shares[numpy.argsort(ranks)]) <= 0).all(), table

    if sources is not None:
        run = path.name.split("_space-")[0]
        source = nibabel.load(next(sources.rglob(f"{run}_space-*_desc-preproc_bold.nii.gz")))
        own = [p for p in path.parent.glob(f"{run}_space-*_stat-*_desc-*_boldmap.nii.gz") if "_res-slim" not in p.name]
        assert len(own) == 1, own
        mine = nibabel.load(own[0])
        assert mine.shape == source.shape[:3], (own, mine.shape)
        assert numpy.allclose(mine.affine, source.affine, atol=1e-4), own
        grid = numpy.indices(mine.shape).reshape(3, -1).T
        points = nibabel.affines.apply_affine(numpy.linalg.inv(image.affine) @ source.affine, grid).T
        wanted = map_coordinates(values, points, order=1, mode="constant", cval=0.0).reshape(mine.shape)
        assert numpy.allclose(numpy.asarray(mine.dataobj), wanted, atol=1e-5 * scale), own

print("judge content:", len(maps), "maps")
