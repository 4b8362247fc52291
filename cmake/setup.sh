#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# setup.sh: installs what slimbrain is built with on Debian 12 or Ubuntu 22.04/24.04: packages, libtorch, the template.
# Safe to run again; does nothing when everything is there. Without root it uses sudo where that works without asking,
# needs nothing when the packages are there, and otherwise names the missing ones and stops.
set -euo pipefail
source "$(dirname "$0")/places.sh"

packages=(g++ cmake ninja-build nlohmann-json3-dev libcli11-dev libtbb-dev libnifti2-dev libisal-dev zlib1g-dev
          libpng-dev libinsighttoolkit5-dev googletest)
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || packages+=(python3 python3-venv)

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "setup: these packages are missing and this user cannot install them: ${missing[*]}" >&2
      echo "setup: ask an administrator for: apt-get install ${missing[*]}" >&2
      exit 69
    fi
    as_root=(sudo -n)
  fi
  if ! command -v apt-get >/dev/null; then
    echo "setup: this is not a Debian or Ubuntu system; install the equivalents of: ${missing[*]}" >&2
    exit 69
  fi
  echo "setup: installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

if [ ! -f "$SLIM_TORCH_ROOT/lib/libtorch_cpu.so" ] || [ "$SLIM_TORCH_ROOT" = "$SLIM_CACHE/libtorch-2.11.0/torch" ]; then
  "$SLIM_SOURCE/cmake/fetch_torch.sh" "$SLIM_CACHE/libtorch-2.11.0"
fi
"$SLIM_SOURCE/cmake/fetch_templates.sh" "$SLIM_TEMPLATE_DIR"
