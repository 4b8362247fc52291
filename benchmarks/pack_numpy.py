# SPDX-License-Identifier: Apache-2.0
"""What a laboratory would write with nibabel and NumPy for the work of slimbrain's pack path.

pack_numpy.py plain BOLD OUT    pack a run on the 2 mm MNI lattice, written as is usual: mask, gates, z-scores, tokens
pack_numpy.py tuned BOLD OUT    the same, written for speed
pack_numpy.py compare OURS OUT  compare two stores
pack_numpy.py spline BOLD N     interpolate N frames to the SLIM grid with SciPy's cubic splines
Prints one line of JSON: frames, seconds (imports not counted).
"""

import json
import pathlib
import sys
import time

import nibabel
import numpy
import safetensors.numpy

SLIM = numpy.array([[-2.0, 0, 0, 94], [0, 2, 0, -114], [0, 0, 2, -76], [0, 0, 0, 1]])


def flags_of(path):
    """A run-length table of the project: title, then lengths of runs of 0 and 1 in turn."""
    runs = numpy.array(path.read_text().split("\n", 1)[1].split(), int)
    return numpy.repeat(numpy.arange(runs.size) % 2, runs).astype(bool)


def token_voxels(flags):
    """Storage index on the SLIM grid (x fastest) of every stored value."""

    def place(cell):
        morton = sum((4 * (cell[0] >> k & 1) + 2 * (cell[1] >> k & 1) + (cell[2] >> k & 1)) << 3 * k for k in range(3))
        return (cell[0] // 8 * 3 + cell[1] // 8) * 3 + cell[2] // 8, morton

    padded = numpy.pad(flags, (0, 24**3 - flags.size)).reshape(24, 24, 24)
    cells = numpy.array(sorted(map(tuple, numpy.argwhere(padded).tolist()), key=place))
    inner = numpy.argwhere(numpy.ones((4, 4, 4)))
    voxels = (4 * cells[:, None] + inner).reshape(-1, 3)
    return voxels, voxels @ [1, 96, 96 * 96]


def tables():
    core = pathlib.Path(__file__).parent.parent / "src" / "core"
    brain = numpy.pad(flags_of(core / "slim_brain.txt"), (0, 96**3))[: 96**3]
    return brain.reshape(96, 96, 96, order="F"), *token_voxels(flags_of(core / "slim_tokens.txt"))


def check(inside, frames, mask, brain):
    """The gates; inside is [frames, voxels]."""
    mean, deviation = inside.mean(axis=0, dtype=numpy.float64), inside.std(axis=0, dtype=numpy.float64)
    steps = numpy.diff(inside, axis=0).astype(numpy.float64)
    fast = numpy.median((steps**2).sum(axis=0) / (2 * frames * deviation**2))
    dice = 2 * numpy.count_nonzero(mask & brain) / (mask.sum() + brain.sum())
    centres = [numpy.argwhere(m).mean(axis=0) for m in (mask, brain)]
    assert numpy.median(numpy.abs(mean) / deviation) > 5, "demeaned"
    assert mean.std() / mean.mean() > 0.03, "flat"
    assert fast > 0 and not numpy.any(numpy.all(steps == 0, axis=1)), "equal frames"
    assert not numpy.any(inside.min(axis=1) == inside.max(axis=1)), "constant frame"
    assert numpy.count_nonzero(mask & brain) / brain.sum() > 0.6, "coverage"
    assert dice > 0.7 and 2 * numpy.linalg.norm(centres[0] - centres[1]) < 12, "fit"


def save(out, bold, valid, run_mean, run_sd):
    exact = bold.astype(numpy.float64)
    tensors = {
        "bold": bold.reshape(len(bold), -1, 64),
        "frame_sum": exact.sum(axis=1),
        "frame_sumsq": (exact**2).sum(axis=1),
        "valid": numpy.packbits(valid, bitorder="little"),
    }
    safetensors.numpy.save_file(tensors, out, {"run_mean": repr(float(run_mean)), "run_sd": repr(float(run_sd))})


def lattice_shift(image):
    shift = numpy.linalg.inv(image.affine) @ SLIM
    assert numpy.allclose(shift[:3, :3], numpy.eye(3)), "not the 2 mm lattice in LAS order"
    return numpy.rint(shift[:3, 3]).astype(int)


def plain(path, out):
    """As it is usually written: get_fdata, whole arrays, voxels by coordinates."""
    image = nibabel.load(path)
    offset = lattice_shift(image)
    brain, voxels, _ = tables()
    data = image.get_fdata()
    frames = data.shape[3]
    grid = numpy.zeros((96, 96, 96, frames))
    low = numpy.maximum(0, -offset)
    high = numpy.minimum(96, numpy.array(data.shape[:3]) - offset)
    to = tuple(slice(a, b) for a, b in zip(low, high))
    grid[to] = data[tuple(slice(a + o, b + o) for a, b, o in zip(low, high, offset))]
    x, y, z = voxels.T
    tokens = numpy.zeros((96, 96, 96), bool)
    tokens[x, y, z] = True
    mask = numpy.all(grid != 0, axis=3) & numpy.all(numpy.isfinite(grid), axis=3) & (grid.std(axis=3) > 0) & tokens
    inside = grid[mask].T
    check(inside, frames, mask, brain)
    run_mean, run_sd = inside.mean(), inside.std()
    grid = (grid - run_mean) / run_sd
    grid[~mask] = 0
    bold = numpy.ascontiguousarray(grid[x, y, z].T.astype(numpy.float16))
    save(out, bold, mask[x, y, z], run_mean, run_sd)
    return frames


def tuned(path, out):
    """Written for speed: float32, one index table, frames contiguous, in place."""
    image = nibabel.load(path)
    brain, voxels, slim_index = tables()
    source = voxels + lattice_shift(image)
    covered = numpy.all((source >= 0) & (source < image.shape[:3]), axis=1)
    index = numpy.where(covered, source @ [1, image.shape[0], image.shape[0] * image.shape[1]], 0)
    data = numpy.asarray(image.dataobj, numpy.float32)
    frames = data.shape[3]
    data = data.reshape((-1, frames), order="F").T
    rows = numpy.take(data, index, axis=1)  # rows stay contiguous, unlike data[:, index]
    del data
    rows[:, ~covered] = 0
    valid = numpy.all(rows != 0, axis=0) & numpy.all(numpy.isfinite(rows), axis=0) & (numpy.ptp(rows, axis=0) > 0)
    mask = numpy.zeros(96**3, bool)
    mask[slim_index] = valid
    inside = rows[:, valid]
    check(inside, frames, mask.reshape(96, 96, 96, order="F"), brain)
    run_mean, run_sd = inside.mean(dtype=numpy.float64), inside.std(dtype=numpy.float64)
    del inside
    rows -= numpy.float32(run_mean)
    rows *= numpy.float32(1 / run_sd)
    rows[:, ~valid] = 0
    save(out, rows.astype(numpy.float16), valid, run_mean, run_sd)
    return frames


def difference(ours, theirs):
    """Largest difference of two stores' z-scores, and whether their valid voxels are the same."""
    a, b = (safetensors.numpy.load_file(path) for path in (ours, theirs))
    worst = max(numpy.abs(x.astype(numpy.float32) - y.astype(numpy.float32)).max() for x, y in zip(a["bold"], b["bold"]))
    return float(worst), bool(numpy.array_equal(a["valid"], b["valid"]))


def spline(path, count):
    from scipy.ndimage import map_coordinates

    image = nibabel.load(path)
    move = numpy.linalg.inv(image.affine) @ SLIM
    voxels = numpy.stack(numpy.meshgrid(*[numpy.arange(96)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = (voxels @ move[:3, :3].T + move[:3, 3]).T
    inside = numpy.all((points >= -0.5) & (points.T <= numpy.array(image.shape[:3]) - 0.5).T, axis=0)
    points = points[:, inside][:, :286208]  # as many as there are token voxels
    start = time.perf_counter()
    for frame in range(count):
        data = numpy.asarray(image.dataobj[..., frame], numpy.float32)
        map_coordinates(data, points, order=3, mode="mirror", output=numpy.float32)
    return count, time.perf_counter() - start


if __name__ == "__main__":
    start = time.perf_counter()
    if sys.argv[1] in ("plain", "tuned"):
        work = plain if sys.argv[1] == "plain" else tuned
        frames, seconds = work(sys.argv[2], sys.argv[3]), time.perf_counter() - start
    elif sys.argv[1] == "compare":
        worst, same = difference(sys.argv[2], sys.argv[3])
        print(json.dumps({"difference": worst, "same_valid": same}))
        sys.exit()
    else:
        frames, seconds = spline(sys.argv[2], int(sys.argv[3]))
    print(json.dumps({"frames": frames, "seconds": seconds}))
