#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes slim_brain.txt and slim_tokens.txt from the MNI152NLin2009aSym template that fetch_templates.sh installs.

usage: make_token_set.py TEMPLATE_FOLDER OUTPUT_FOLDER          (standard library only)

A SLIM voxel is brain when the template's byte at the same millimetre position is > 0. SLIM centres are even integers and
the template lattice is 1 mm with integer origin, so this is an index pick: template index (192-2i, 20+2j, 2k-4).
"""
import gzip
import hashlib
import pathlib
import struct
import sys

SIZE, EDGE, GRID = 96, 4, 24


def read_volume(path):
    data = gzip.decompress(path.read_bytes())
    shape = struct.unpack_from("<3h", data, 42)
    offset = int(struct.unpack_from("<f", data, 108)[0])
    return shape, data[offset:]


def run_lengths(flags):
    runs, value, count = [], 0, 0
    for flag in flags:
        if flag == value:
            count += 1
        else:
            runs.append(count)
            value, count = flag, 1
    return runs + [count]


def write(path, title, flags):
    runs = run_lengths(flags)
    lines = [f"{title} {hashlib.sha256(flags).hexdigest()}"]
    for start in range(0, len(runs), 20):
        lines.append(" ".join(map(str, runs[start:start + 20])))
    path.write_text("\n".join(lines) + "\n")
    print(path.name, sum(flags), "set,", len(runs), "runs,", lines[0].split()[-1])


def main():
    templates, output = map(pathlib.Path, sys.argv[1:3])
    (nx, ny, nz), voxels = read_volume(templates / "tpl-MNI152NLin2009aSym_res-01_desc-brain_T1w.nii.gz")
    brain, tokens = bytearray(SIZE**3), bytearray(GRID**3)
    for k in range(SIZE):
        for j in range(SIZE):
            for i in range(SIZE):
                x, y, z = 192 - 2 * i, 20 + 2 * j, 2 * k - 4
                if 0 <= x < nx and 0 <= y < ny and 0 <= z < nz and voxels[x + nx * (y + ny * z)] > 0:
                    brain[i + SIZE * (j + SIZE * k)] = 1
                    tokens[((i // EDGE) * GRID + j // EDGE) * GRID + k // EDGE] = 1
    write(output / "slim_brain.txt", "slim-brain 1 96 96 96 x-fastest", bytes(brain))
    write(output / "slim_tokens.txt", "slim-tokens 1 24 24 24 z-fastest", bytes(tokens))


if __name__ == "__main__":
    main()
