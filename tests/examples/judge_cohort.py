# SPDX-License-Identifier: Apache-2.0
"""What the quickstart's maps say about the planted loss of signal, by nibabel.

usage: judge_cohort.py WORK_FOLDER   (of quickstart.sh, in which maps of patients were made)
"""
import json
import pathlib
import sys

import nibabel
import numpy

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

mean = maps.mean(axis=0)
brain = (maps != 0).any(axis=0)
volume = (planted & brain).sum() / brain.sum()
mass = numpy.abs(mean)[planted].sum() / numpy.abs(mean).sum() / volume
print(f"mean of {len(maps)} maps: mass in the planted region is {mass:.2f} x its share of the volume ({volume:.3f}); "
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
