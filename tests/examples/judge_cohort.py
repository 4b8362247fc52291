# SPDX-License-Identifier: Apache-2.0
"""What the quickstart's maps say about the planted loss of signal, by nibabel.

usage: judge_cohort.py WORK_FOLDER SLIMBRAIN   (of quickstart.sh, in which maps of patients were made; the program)
"""
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys

import nibabel
import numpy
import safetensors
import safetensors.numpy

work = pathlib.Path(sys.argv[1])
truth = nibabel.load(work / "bids/sourcedata/truth/signal_loss.nii.gz")
paths = sorted((work / "out").rglob("*_res-slim_stat-intgrad_desc-group_boldmap.nii.gz"))
assert len(paths) >= 8, paths
images = [nibabel.load(path) for path in paths]
maps = numpy.stack([numpy.asarray(image.dataobj).astype(float) for image in images])
affine, shape = images[0].affine, images[0].shape

# Voxels of the maps whose centres lie in the truth's voxels, by world coordinates alone.
world = nibabel.affines.apply_affine(affine, numpy.indices(shape).reshape(3, -1).T)
places = numpy.rint(nibabel.affines.apply_affine(numpy.linalg.inv(truth.affine), world)).astype(int)
inside = ((places >= 0) & (places < truth.shape)).all(axis=1)
planted = numpy.zeros(len(world), bool)
planted[inside] = numpy.asarray(truth.dataobj)[tuple(places[inside].T)] > 0
planted = planted.reshape(shape)
assert (world.reshape(*shape, 3)[planted][:, 0] < 0).all()


def share_of_planted(maps):
    """Mass of the mean map in the planted region over that region's share of the volume."""
    mean = maps.mean(axis=0)
    brain = (maps != 0).any(axis=0)
    return numpy.abs(mean)[planted].sum() / numpy.abs(mean).sum() / ((planted & brain).sum() / brain.sum())


def write_random(trained, folder):
    """A copy of a model whose weights, head included, are drawn anew."""
    shutil.copytree(trained, folder)
    random, tensors = numpy.random.default_rng(1), {}
    with safetensors.safe_open(trained / "weights.safetensors", "numpy") as file:
        for name in file.keys():
            old = file.get_tensor(name)
            if old.ndim == 1:
                tensors[name] = numpy.ones_like(old) if "norm" in name and name.endswith("weight") else numpy.zeros_like(old)
            else:
                spread = 0.02 if "pos_embed" in name else (2 / (old.shape[0] + old[0].size)) ** 0.5
                tensors[name] = random.normal(0, spread, old.shape).astype(old.dtype)
        safetensors.numpy.save_file(tensors, folder / "weights.safetensors", metadata=file.metadata())
    card = json.loads((folder / "model.json").read_text())
    card["weights_sha256"] = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    card["name"] = folder.name.removeprefix("model-")
    (folder / "model.json").write_text(json.dumps(card))


mean = maps.mean(axis=0)
mass = share_of_planted(maps)
print(f"mean of {len(maps)} maps: mass in the planted region is {mass:.2f} x its share of the volume; "
      f"{mean[planted].sum():.2f} of {mean.sum():.2f} logits come from it")
assert mass >= 3, mass
assert mean[planted].sum() > 0, "less signal there speaks for a patient"

# Among the maps of one participant are those whose weights were drawn anew, from the head down to the embedding.
checked = [json.loads(path.with_name(path.name.removesuffix(".nii.gz") + ".json").read_text())["Slimbrain"]["Saliency"]
           for path in paths]
sanity = [step for saliency in checked for step in saliency.get("Sanity", [])]
assert sanity, "no map was compared with those of random weights"
print("rank correlation with the map of random weights:", {s["Randomised"]: round(s["Spearman"], 2) for s in sanity})
assert sanity[-1]["Spearman"] < 0.9, sanity

# A path from the average brain multiplies gradients by what differs from it, so the region shows with random weights
# too. From 0 it shows with the trained ones only.
people = ["20", "22", "24"]
write_random(work / "out/models/model-tinyGroup", work / "out/models/model-random")


def planted_share(model, baseline):
    subprocess.run([sys.argv[2], work / "bids", work / "out", "participant", "--stages", "saliency", "--model", model,
                    "--saliency-baseline", baseline, "--saliency-steps", "4", "--participant-label", *people], check=True)
    return share_of_planted(numpy.stack([
        numpy.asarray(nibabel.load(path).dataobj).astype(float) for person in people
        for path in (work / f"out/sub-{person}/func").glob("*_res-slim_stat-intgrad_desc-group_boldmap.nii.gz")]))


trained, random = planted_share("tinyGroup", "zero"), planted_share("random", "zero")
print(f"mean of {len(people)} maps from 0: {trained:.2f} x, with random weights {random:.2f} x; "
      f"from the average with random weights {planted_share('random', 'average'):.2f} x")
assert trained > random, (trained, random)
assert random <= 1.5, random
