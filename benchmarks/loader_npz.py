# SPDX-License-Identifier: Apache-2.0
"""How fast does the zipped-npz pattern of published code load clips, from one thread and a warm cache?

loader_npz.py write FOLDER CLIPS     writes dense clips [40, 96, 96, 96] as .npz, compressed and stored, brain-shaped
loader_npz.py read FOLDER SECONDS    prints {"compressed": clips/s, "stored": clips/s}: np.load, cast to float32

A published data set holds one .npz a clip: np.load(path)["arr"] opens the zip, inflates or copies the member and checks
its CRC; the dense array, background included, is then cast to float32 for the network.
"""
import json
import pathlib
import sys
import time

import numpy as np

FORMS = {"compressed": np.savez_compressed, "stored": np.savez}


def brain():
    """An ellipsoid of about the size of the packaged brain mask."""
    axes = np.meshgrid(*[np.arange(96) for _ in range(3)], indexing="ij")
    radii = (34, 42, 35)
    return sum(((axis - 47.5) / radius) ** 2 for axis, radius in zip(axes, radii)) < 1


def write(folder, clips):
    mask = brain()
    random = np.random.default_rng(7)
    for clip in range(clips):
        values = np.zeros((40, 96, 96, 96), np.float16)
        values[:, mask] = random.standard_normal((40, int(mask.sum())), np.float32)
        for form, save in FORMS.items():
            save(folder / f"{form}-{clip}.npz", arr=values)


def read(folder, seconds):
    rates = {}
    for form in FORMS:
        paths = sorted(folder.glob(f"{form}-*.npz"))
        for path in paths:
            path.read_bytes()  # into the page cache
        clips, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            with np.load(paths[clips % len(paths)]) as archive:
                array = archive["arr"].astype(np.float32)
            assert array.shape == (40, 96, 96, 96)
            clips += 1
        rates[form] = clips / (time.perf_counter() - start)
    print(json.dumps(rates))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
    else:
        read(pathlib.Path(sys.argv[2]), float(sys.argv[3]))
