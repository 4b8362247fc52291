# SPDX-License-Identifier: Apache-2.0
"""Holds our reading of NIfTI files against nibabel's.

usage: judge_nibabel.py LIST
LIST is JSON: [{"file", "dump", "dims", "affine" (3 x 4, or null without orientation), "expect_written": {...} or absent}].
"dump" holds the voxels as float32, x fastest. With "expect_written" the file is one of ours, and what another reader must
find in its header is checked too. Prints a line for every difference; exit code 1 if there is one.
"""
import json
import sys

import nibabel as nib
import numpy as np


def differences(entry):
    image = nib.load(entry["file"])
    if list(image.shape) != entry["dims"]:
        yield f"shape {list(image.shape)} is not {entry['dims']}"
        return
    values = np.asarray(image.dataobj).astype(np.float32).ravel(order="F")
    dump = np.fromfile(entry["dump"], np.float32)
    if dump.size != values.size:
        yield f"{dump.size} values, nibabel reads {values.size}"
        return
    equal = (dump == values) | (np.isnan(dump) & np.isnan(values))
    if not equal.all():
        first = int(np.argmin(equal))
        yield f"{int((~equal).sum())} of {equal.size} voxels differ, first {first}: {dump[first]!r}, {values[first]!r}"
    if entry["affine"] is not None:
        affine = np.array(entry["affine"])
        if not np.allclose(affine, image.affine[:3], rtol=1e-6, atol=1e-5):
            yield f"affine {affine.tolist()} is not {image.affine[:3].tolist()}"
    written = entry.get("expect_written")
    if written:
        header = image.header
        sform, sform_code = header.get_sform(coded=True)
        qform, qform_code = header.get_qform(coded=True)
        if (int(sform_code), int(qform_code)) != (written["sform_code"], written["qform_code"]):
            yield f"codes {sform_code}, {qform_code}"
        if written["qform_code"] > 0 and not np.allclose(sform, qform, rtol=0, atol=1e-4):
            yield f"sform {sform.tolist()} and qform {qform.tolist()} differ"
        if header.get_xyzt_units() != ("mm", "sec"):
            yield f"units {header.get_xyzt_units()}"
        if header.get_data_dtype() != np.dtype(written["dtype"]):
            yield f"type {header.get_data_dtype()}"
        if len(image.shape) == 4 and abs(float(header["pixdim"][4]) - written["repetition_time_s"]) > 1e-6:
            yield f"pixdim[4] {header['pixdim'][4]}"


def main():
    with open(sys.argv[1], encoding="utf-8") as stream:
        entries = json.load(stream)
    count = 0
    for entry in entries:
        for line in differences(entry):
            print(f"{entry['file']}: {line}")
            count += 1
    print(f"{len(entries)} files, {count} differences")
    return 1 if count or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
