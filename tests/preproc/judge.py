# SPDX-License-Identifier: Apache-2.0
"""Judges of the pack path's numerics: SciPy and nibabel. Prints the largest error, the test compares it."""

import sys

import numpy


def spline(folder):
    """map_coordinates of every case against ours; error relative to the range of the input."""
    from scipy.ndimage import map_coordinates

    worst = 0.0
    cases = numpy.loadtxt(f"{folder}/cases.txt", dtype=int, ndmin=2)
    for number, (nx, ny, nz) in enumerate(cases):
        frame = numpy.fromfile(f"{folder}/{number}.frame", numpy.float32).reshape(nx, ny, nz, order="F")
        points = numpy.fromfile(f"{folder}/{number}.points").reshape(-1, 3)
        ours = numpy.fromfile(f"{folder}/{number}.ours", numpy.float32)
        theirs = map_coordinates(frame.astype(float), points.T, order=3, mode="mirror")
        worst = max(worst, numpy.abs(ours - theirs).max() / numpy.ptp(frame))
    print(repr(float(worst)), len(cases))


def positions(folder):
    """Voxel coordinates of SLIM voxels by nibabel's own affines, for images written by nibabel."""
    import nibabel

    slim = numpy.array([[-2.0, 0, 0, 94], [0, 2, 0, -114], [0, 0, 2, -76], [0, 0, 0, 1]])
    k, j, i = numpy.unravel_index(numpy.arange(96**3), (96, 96, 96))
    voxels = numpy.stack([i, j, k, numpy.ones_like(i)])
    worst = 0.0
    for name in sys.argv[3:]:
        image = nibabel.load(f"{folder}/{name}.nii")
        theirs = (numpy.linalg.inv(image.affine) @ slim @ voxels)[:3].T
        ours = numpy.fromfile(f"{folder}/{name}.points").reshape(-1, 3)
        worst = max(worst, numpy.abs(ours - theirs).max())
        table = numpy.fromfile(f"{folder}/{name}.table", numpy.int32)
        nearest = numpy.rint(theirs).astype(int)
        inside = numpy.all((nearest >= 0) & (nearest < image.shape[:3]), axis=1)
        index = nearest @ numpy.cumprod([1, *image.shape[:2]])
        worst = max(worst, float(numpy.count_nonzero(table != numpy.where(inside, index, -1))))
    print(repr(worst))


def time(folder):
    """CubicSpline (not-a-knot) of random courses of every length; error relative to the range."""
    from scipy.interpolate import CubicSpline

    worst = 0.0
    cases = numpy.loadtxt(f"{folder}/cases.txt", ndmin=2)
    for number, (frames_in, frames_out, voxels, tr, target) in enumerate(cases):
        courses = numpy.fromfile(f"{folder}/{number}.in", numpy.float32).reshape(int(frames_in), int(voxels))
        ours = numpy.fromfile(f"{folder}/{number}.out", numpy.float32).reshape(int(frames_out), int(voxels))
        curve = CubicSpline(numpy.arange(int(frames_in)) * tr, courses.astype(float), bc_type="not-a-knot")
        theirs = curve(numpy.arange(int(frames_out)) * target)
        worst = max(worst, numpy.abs(ours - theirs).max() / numpy.ptp(courses))
    print(repr(float(worst)), len(cases))


def store(path):
    """A clip store read by the safetensors package: shapes and the statistics of its values."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        bold, valid = file.get_tensor("bold"), file.get_tensor("valid")
        bits = numpy.unpackbits(valid, bitorder="little").astype(bool)
        flat = bold.reshape(bold.shape[0], -1)
        inside = flat[:, bits].astype(float)
        worst = max(
            abs(inside.mean()),
            abs(inside.std() - 1),
            float(numpy.abs(flat[:, ~bits]).max(initial=0)),
            float(numpy.abs(file.get_tensor("frame_sum") - inside.sum(1)).max()) * 1e-3,
            float(numpy.abs(file.get_tensor("frame_sumsq") / (inside**2).sum(1) - 1).max()) * 1e3,
        )
        print(repr(float(worst)), *bold.shape, file.metadata()["n_valid"], int(bits.sum()))


if __name__ == "__main__":
    {"spline": spline, "positions": positions, "time": time, "store": store}[sys.argv[1]](sys.argv[2])
