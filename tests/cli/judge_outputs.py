# SPDX-License-Identifier: Apache-2.0
"""Other people's readers on an output folder: the official validator, pybids, nibabel, Python safetensors.

usage: judge_outputs.py OUT_DIR          exit 0 when all are content
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import bids
import nibabel
import numpy
from safetensors import safe_open

out = pathlib.Path(sys.argv[1])
validator = pathlib.Path(sys.executable).parent / "bids-validator-deno"


def issues(folder):
    result = subprocess.run([validator, "--json", folder], capture_output=True, text=True)
    try:
        found = json.loads(result.stdout)["issues"]["issues"]
    except (json.JSONDecodeError, KeyError):
        sys.exit(f"the validator did not answer: {result.stdout[:500]} {result.stderr[:500]}")
    return [issue for issue in found if issue.get("severity") in ("error", "warning")]


found = issues(out)
assert not found, json.dumps(found, indent=1)[:4000]

# The judge bites: without .bidsignore it finds our own suffixes.
with tempfile.TemporaryDirectory() as copy:
    bare = pathlib.Path(copy) / "bare"
    shutil.copytree(out, bare)
    (bare / ".bidsignore").unlink()
    assert issues(bare), "the validator accepts anything"

layout = bids.BIDSLayout(out, validate=False, is_derivative=True)
stores = sorted(out.rglob("*_clips.safetensors"))
assert stores
subjects = layout.get_subjects()
for store in stores:
    assert store.name.split("_")[0].removeprefix("sub-") in subjects, store
masks = layout.get(suffix="mask", desc="brain", extension=".nii.gz")
assert len(masks) == len(stores), (masks, stores)

slim_affine = numpy.array([[-2, 0, 0, 94], [0, 2, 0, -114], [0, 0, 2, -76], [0, 0, 0, 1]], float)
for path in out.rglob("*_res-slim_*.nii.gz"):
    image = nibabel.load(path)
    assert image.shape[:3] == (96, 96, 96), (path, image.shape)
    assert (image.affine == slim_affine).all(), (path, image.affine)
    assert (image.get_sform() == image.get_qform()).all(), path
    assert image.header["sform_code"] == 4 and image.header["qform_code"] == 4, path
    assert image.header.get_xyzt_units()[0] == "mm", path
    numpy.asarray(image.dataobj)
    head = path.read_bytes()[:10]
    assert head[3] == 0 and head[4:8] == bytes(4), f"{path}: the gzip header carries a name or a time"

for store in stores:
    with safe_open(store, "numpy") as file:
        bold = file.get_tensor("bold")
        valid = numpy.unpackbits(file.get_tensor("valid"), bitorder="little").astype(bool)
        meta = file.metadata()
        frames = int(meta["n_frames"])
        assert bold.shape == (frames, 4472, 64) and bold.dtype == numpy.float16, (store, bold.shape)
        values = bold.reshape(frames, -1).astype(numpy.float64)
        assert (values[:, ~valid] == 0).all(), store
        inside = values[:, valid]
        assert abs(inside.mean()) < 1e-5 and abs(inside.std() - 1) < 1e-5, (store, inside.mean(), inside.std())
        assert numpy.allclose(file.get_tensor("frame_sum"), inside.sum(1), rtol=1e-9, atol=1e-6), store
        assert numpy.allclose(file.get_tensor("frame_sumsq"), (inside**2).sum(1), rtol=1e-9), store
    with open(store, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
        assert (8 + header) % 4096 == 0, store

for table in [*out.rglob("sub-*_embedding.tsv"), *out.rglob("sub-*_predictions.tsv"), *out.rglob("sub-*_saliency.tsv")]:
    columns = table.read_text().splitlines()[0].split("\t")
    sidecar = json.loads(table.with_suffix(".json").read_text())
    for column in columns:
        assert "Description" in sidecar[column], (table, column)

for sidecar in out.rglob("sub-*/**/*.json"):
    content = json.loads(sidecar.read_text())
    if "Slimbrain" in content:
        for uri in content.get("Sources", []):
            assert uri.startswith("bids:"), (sidecar, uri)

print("judges content:", len(stores), "clip stores")
