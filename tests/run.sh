#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [CTEST ARGUMENTS]: sets up, builds and passes all tests.
# Judges (a Python environment with the tools that check our files) are installed beside libtorch, pinned by
# tests/judges.txt. Data and reference cases are looked for in ../shared (SLIM_DATA_DIR, SLIM_REFERENCE_DIR); tests that
# need them are skipped, saying so, where they are absent.
set -euo pipefail
source "$(dirname "$0")/../cmake/places.sh"
cd "$SLIM_SOURCE"

cmake/build.sh

judges=$SLIM_CACHE/judges-$(sha256sum tests/judges.txt | cut -c1-12)
if [ ! -f "$judges/complete" ]; then
  python3 -m venv --clear "$judges"
  "$judges/bin/python" -m pip install --quiet --requirement tests/judges.txt
  touch "$judges/complete"
fi
export SLIM_JUDGES=$judges/bin/python SLIM_TEMPLATE_DIR
export SLIM_DATA_DIR=${SLIM_DATA_DIR:-$SLIM_SOURCE/../shared/data}
export SLIM_REFERENCE_DIR=${SLIM_REFERENCE_DIR:-$SLIM_SOURCE/../shared/reference}

cmake --preset asan >/dev/null
cmake --build build/asan
ctest --test-dir build/asan --output-on-failure -j 2 "$@"
ctest --test-dir build/release --output-on-failure -j 2 "$@"
# CTest does not say which tests were skipped inside a program that it ran as one.
awk '/: Skipped$/ { getline; print "skipped: " $0 }' build/release/Testing/Temporary/LastTest.log | sort | uniq -c
