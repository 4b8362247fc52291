#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fetch_templates.sh DIR: installs the ICBM 2009a symmetric template and its tissue maps (from the PyPI wheel of nilearn;
# McGill notice: see NOTICE) into DIR/tpl-MNI152NLin2009aSym. Does nothing when the files there have the pinned hashes.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: fetch_templates.sh DIR" >&2
  exit 64
fi
exec python3 - "$1/tpl-MNI152NLin2009aSym" "$(cd "$(dirname "$0")/.." && pwd)/NOTICE" <<'PYTHON'
import gzip, hashlib, pathlib, shutil, subprocess, sys, tempfile, zipfile

# name in the wheel, installed name, SHA-256 of the decompressed bytes
FILES = [
    ("t1", "desc-brain_T1w", "eeb8a792a93948c83462305c71db783800e95eb3f6ce35975a4dd0f374f79bff"),
    ("gm", "label-GM_probseg", "9800242e730cec0d4ae97358d232904d09771bb0f10202ea4bf80eee50609b43"),
    ("wm", "label-WM_probseg", "7c78a23ddd786979edbb50bdada52c86c405cf2986baee5df5791e0200d7ffeb"),
]
folder, notice = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def target(name):
    return folder / f"tpl-MNI152NLin2009aSym_res-01_{name}.nii.gz"


def good(path, sha256):
    try:
        return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == sha256
    except (OSError, EOFError, gzip.zlib.error):
        return False


if all(good(target(name), sha256) for _, name, sha256 in FILES):
    sys.exit(0)
folder.mkdir(parents=True, exist_ok=True)
with tempfile.TemporaryDirectory(dir=folder) as work:
    print(f"templates: downloading the wheel of nilearn 0.14.1 into {folder}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", work,
                    "--python-version", "3.11", "nilearn==0.14.1"], check=True)
    with zipfile.ZipFile(next(pathlib.Path(work).glob("*.whl"))) as wheel:
        for source, name, sha256 in FILES:
            data = wheel.read(f"nilearn/datasets/data/mni_icbm152_{source}_tal_nlin_sym_09a_converted.nii.gz")
            if hashlib.sha256(gzip.decompress(data)).hexdigest() != sha256:
                sys.exit(f"templates: {source} does not have the pinned SHA-256; nothing more was installed")
            partial = pathlib.Path(work) / "partial.nii.gz"
            partial.write_bytes(data)
            partial.rename(target(name))
    shutil.copyfile(notice, folder / "NOTICE")
PYTHON
