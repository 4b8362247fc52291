#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fetch_torch.sh DIR: puts libtorch (the PyPI wheel of torch, without its Python requirements) into DIR, laid out as in
# a Python environment: DIR/torch/{lib,include,share} and DIR/nvidia/cu13/lib. Does nothing when DIR is complete.
# The two NVIDIA run-time libraries that libtorch_cpu.so needs come from their own wheels, unless a toolkit has them.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: fetch_torch.sh DIR" >&2
  exit 64
fi
dir=$1
here=$(cd "$(dirname "$0")" && pwd)
stamp=$dir/complete-$(sha256sum "$here/torch.sha256" | cut -c1-16)
if [ -f "$stamp" ]; then
  exit 0
fi

mkdir -p "$dir"
work=$(mktemp -d "$dir/.download-XXXXXX")
trap 'rm -rf "$work"' EXIT

# One wheel for every host: the libraries inside do not depend on the Python version, the file name does.
fetch() {  # fetch REQUIREMENT...
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
    --abi none --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux2014_x86_64 \
    --dest "$work" "$@"
}

echo "libtorch: downloading torch 2.11.0 (531 MB) into $dir" >&2
fetch torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
(cd "$work" && sha256sum --quiet --check "$here/torch.sha256") || {
  echo "libtorch: a downloaded wheel does not have the pinned SHA-256 (cmake/torch.sha256); nothing was installed" >&2
  exit 65
}
python3 - "$work" "$dir" <<'PYTHON'
import pathlib, sys, zipfile
work, target = map(pathlib.Path, sys.argv[1:])
for wheel in sorted(work.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        keep = [n for n in archive.namelist()
                if n.startswith(("torch/lib/", "torch/include/", "torch/share/", "nvidia/")) or "licenses/" in n.lower()]
        archive.extractall(target, keep)
PYTHON
rm -f "$dir"/complete-*
touch "$stamp"
echo "libtorch: ready in $dir" >&2
