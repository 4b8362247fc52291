# SPDX-License-Identifier: Apache-2.0
"""judge_toy.py COHORT: what independent programs see in a cohort of make_toy_dataset, as JSON."""
import csv
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy


def validator_errors(folder):
    program = Path(sys.executable).parent / "bids-validator-deno"
    answer = subprocess.run([program, folder, "--format", "json"], capture_output=True, text=True)
    issues = json.loads(answer.stdout)["issues"]["issues"]
    return [issue["code"] + " " + issue.get("location", "") for issue in issues if issue["severity"] == "error"]


def table(path):
    return list(csv.DictReader(open(path), delimiter="\t"))


def ball(image, centre, radius):
    """Values of the voxels around a place in mm."""
    voxels = numpy.indices(image.shape[:3]).reshape(3, -1).T
    away = numpy.linalg.norm(nibabel.affines.apply_affine(image.affine, voxels) - centre, axis=1)
    return numpy.asarray(image.dataobj, dtype=float).reshape(len(voxels), -1)[away < radius].mean(axis=1)


def gates(bold, mask):
    """The measures that decide whether a run is taken: mean over SD, spatial and temporal variation."""
    x = numpy.asarray(bold.dataobj, dtype=float)[numpy.asarray(mask.dataobj) > 0]
    mean, sd = x.mean(axis=1), x.std(axis=1)
    rough = (numpy.diff(x, axis=1) ** 2).sum(axis=1) / (2 * ((x - mean[:, None]) ** 2).sum(axis=1))
    return {"voxels": len(x), "constant": int((sd == 0).sum()), "mean_over_sd": float(numpy.median(mean / sd)),
            "spatial_variation": float(mean.std() / mean.mean()), "roughness": float(numpy.median(rough))}


def course_of(bold, network, label):
    """Mean over a network's voxels as a share of its mean over time."""
    x = numpy.asarray(bold.dataobj, dtype=float)
    own = x[network == label].mean(axis=0)
    return own / own.mean()


def main(root):
    truth = json.load(open(root / "sourcedata/truth/truth.json"))
    people = table(root / "sourcedata/truth/truth.tsv")
    network = numpy.asarray(nibabel.load(root / "sourcedata/truth/networks.nii.gz").dataobj)
    label = next(n["label"] for n in truth["networks"] if n["planted"])
    name = next(n["name"] for n in truth["networks"] if n["planted"])
    landmark = numpy.array(truth["landmark_mm"])
    result = {"errors": validator_errors(root) + validator_errors(root / "derivatives/toyprep"), "people": []}
    for person in people:
        folder = root / "derivatives/toyprep" / person["participant_id"]
        bold = nibabel.load(next(folder.rglob("*_desc-preproc_bold.nii.gz")))
        mask = nibabel.load(next(folder.rglob("*_desc-brain_mask.nii.gz")))
        course = table(next((root / "sourcedata/truth").glob(person["participant_id"] + "*_networks.tsv")))
        known = numpy.array([float(row[name]) for row in course])
        common = numpy.array([float(row["common"]) for row in course])
        own = course_of(bold, network, label)
        fit = numpy.linalg.lstsq(numpy.stack([known, common, numpy.ones_like(known)], axis=1), own, rcond=None)[0]
        left = ball(bold, landmark, truth["landmark_radius_mm"] - 2).mean()
        right = ball(bold, landmark * [-1, 1, 1], truth["landmark_radius_mm"] - 2).mean()
        result["people"].append(
            {"axes": "".join(nibabel.aff2axcodes(bold.affine)), "left_over_right": float(left / right),
             "spacing": [float(size) for size in bold.header.get_zooms()], "gates": gates(bold, mask),
             "response": float(fit[0]), "planted": float(person["planted_amplitude"]),
             "course_correlation": float(numpy.corrcoef(own - fit[1] * common, known)[0, 1])})
    print(json.dumps(result))


main(Path(sys.argv[1]))
