#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh [TARGET...]: sets up, configures and builds into build/release.
set -euo pipefail
source "$(dirname "$0")/places.sh"

"$SLIM_SOURCE/cmake/setup.sh"
cd "$SLIM_SOURCE"
cmake --preset release -DSLIM_TORCH_ROOT="$SLIM_TORCH_ROOT" >build.log 2>&1 || {
  cat build.log >&2
  exit 70
}
rm -f build.log
cmake --build build/release --target "${@:-all}"
