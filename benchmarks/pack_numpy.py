# SPDX-License-Identifier: Apache-2.0
"""What a laboratory would write with nibabel and NumPy for the work of slimbrain's pack path.

pack_numpy.py pack BOLD OUT     pack a run on the 2 mm MNI lattice: mask, gates, z-scores, float16 tokens
pack_numpy.py spline BOLD N     interpolate N frames to the SLIM grid with SciPy's cubic splines
Prints one line of JSON: frames, seconds (imports not counted).
"""

import json
import sys
import time

import nibabel
import numpy

SLIM = numpy.array([[-2.0, 0, 0, 94], [0, 2, 0, -114], [0, 0, 2, -76], [0, 0, 0, 1]])


def token_order(cells):
    """Location by location, Morton inside."""

    def morton(cell):
        return sum(((4 * (cell[0] >> k & 1) + 2 * (cell[1] >> k & 1) + (cell[2] >> k & 1)) << 3 * k) for k in range(3))

    return sorted(map(tuple, cells), key=lambda c: ((c[0] // 8 * 3 + c[1] // 8) * 3 + c[2] // 8, morton(c)))


def pack(path, out):
    image = nibabel.load(path)
    shift = numpy.linalg.inv(image.affine) @ SLIM
    assert numpy.allclose(shift[:3, :3], numpy.eye(3)), "not the 2 mm lattice in LAS order"
    offset = numpy.rint(shift[:3, 3]).astype(int)
    data = image.get_fdata(dtype=numpy.float32)
    frames = data.shape[3]
    grid = numpy.zeros((96, 96, 96, frames), numpy.float32)
    low = numpy.maximum(0, -offset)
    high = numpy.minimum(96, numpy.array(data.shape[:3]) - offset)
    to = tuple(slice(a, b) for a, b in zip(low, high))
    source = tuple(slice(a + o, b + o) for a, b, o in zip(low, high, offset))
    grid[to] = data[source]
    del data
    mask = numpy.all(grid != 0, axis=3) & numpy.all(numpy.isfinite(grid), axis=3)
    brain = grid[mask]
    mean, deviation = brain.mean(axis=1, dtype=numpy.float64), brain.std(axis=1, dtype=numpy.float64)
    assert numpy.median(numpy.abs(mean) / deviation) > 5, "demeaned"
    assert mean.std() / mean.mean() > 0.03, "flat"
    run_mean, run_sd = brain.mean(dtype=numpy.float64), brain.std(dtype=numpy.float64)
    del brain
    grid = (grid - numpy.float32(run_mean)) * numpy.float32(1 / run_sd)
    grid[~mask] = 0
    cubes = mask.reshape(24, 4, 24, 4, 24, 4).any(axis=(1, 3, 5))
    order = token_order(numpy.argwhere(cubes))
    half = grid.astype(numpy.float16).reshape(24, 4, 24, 4, 24, 4, frames)
    tokens = numpy.empty((frames, len(order), 64), numpy.float16)
    for row, (x, y, z) in enumerate(order):
        tokens[:, row] = half[x, :, y, :, z].reshape(64, frames).T
    sums = tokens.astype(numpy.float64).sum(axis=(1, 2))
    numpy.savez(out, bold=tokens, frame_sum=sums, mask=mask)
    return frames


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
    if sys.argv[1] == "pack":
        frames, seconds = pack(sys.argv[2], sys.argv[3]), time.perf_counter() - start
    else:
        frames, seconds = spline(sys.argv[2], int(sys.argv[3]))
    print(json.dumps({"frames": frames, "seconds": seconds}))
