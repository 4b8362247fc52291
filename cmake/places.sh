# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts: where things that are fetched once live. Outside the work tree, so that clones share them.
SLIM_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SLIM_CACHE=${SLIM_CACHE:-${XDG_CACHE_HOME:-${HOME:-$SLIM_SOURCE/build}/.cache}/slimbrain}
SLIM_TORCH_ROOT=${SLIM_TORCH_ROOT:-$SLIM_CACHE/libtorch-2.11.0/torch}
SLIM_TEMPLATE_DIR=${SLIM_TEMPLATE_DIR:-$SLIM_CACHE/templates}
