#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run_gpu_suite.sh OUT_DIR: builds, tests and measures on a machine that has torch (in the environment of python3, or at
# SLIM_TORCH_ROOT), CUDA 13, cmake, ninja and a compiler; the rest is in build/gpu-bundle (target gpu_bundle).
# Every phase has a time limit and adds its lines to OUT_DIR/gpu_results.tsv as it goes.
# Exit: 0 all verdicts passed, 1 one did not or a test was skipped, 69 everything was built but there is no CUDA device, 70 it was not built.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: run_gpu_suite.sh OUT_DIR" >&2
  exit 64
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
source "$(dirname "$0")/../../cmake/places.sh"
cd "$SLIM_SOURCE"
build=build/gpu
results=$out/gpu_results.tsv
log=$out/log.txt
printf 'phase\tcase\tmetric\tvalue\tunit\tlow\thigh\tverdict\n' >"$results"
: >"$log"

say() { echo "gpu suite: $*" | tee -a "$log" >&2; }
row() { (IFS=$'\t' && echo "$*") >>"$results"; }
ended() {  # ended PHASE RC SECONDS: what a phase left with; 124 is the time limit
  local verdict=pass
  [ "$2" -eq 0 ] || verdict=fail
  row "$1" phase 'exit code' "$2" '' 0 0 "$verdict"
  row "$1" phase seconds "$3" s n/a n/a -
}

if [ ! -f "$SLIM_TORCH_ROOT/lib/libtorch_cuda.so" ]; then
  SLIM_TORCH_ROOT=$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])') || {
    say "there is no torch: install it for python3, or set SLIM_TORCH_ROOT to the folder that holds include/ and lib/"
    exit 70
  }
fi
say "torch: $SLIM_TORCH_ROOT"

start=$SECONDS
rc=0
{ timeout 60 cmake --preset gpu -DSLIM_TORCH_ROOT="$SLIM_TORCH_ROOT" &&
  timeout "${SLIM_GPU_BUILD_LIMIT:-400}" cmake --build "$build" --target gpu_test gpu_bench device_test; } >>"$log" 2>&1 || rc=$?
ended build "$rc" $((SECONDS - start))
if [ "$rc" -ne 0 ]; then
  tail -n 40 "$log" >&2
  say "not built: see $log"
  exit 70
fi
say "built in $((SECONDS - start)) s"

{ echo '{'
  echo "  \"commit\": \"$(git rev-parse HEAD 2>/dev/null || echo unknown)\","
  echo "  \"torch\": \"$(sed -n 's/.*PACKAGE_VERSION "\([0-9.]*\).*/\1/p' "$SLIM_TORCH_ROOT/share/cmake/Torch/TorchConfigVersion.cmake" | head -n 1)\","
  echo "  \"device\": \"$(nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader 2>/dev/null | head -n 1)\","
  echo "  \"host\": \"$(nproc) cores, $(uname -sr)\""
  echo '}'; } >"$out/gpu_environment.json"

test_phase() {  # test_phase PHASE LIMIT PROGRAM
  local start=$SECONDS rc=0 skipped verdict=pass
  timeout "$2" "$build/bin/$3" --gtest_output="xml:$out/$3.xml" >>"$log" 2>&1 || rc=$?
  ended "$1" "$rc" $((SECONDS - start))
  skipped=$(awk '/result="skipped"/ { ++n } END { print n + 0 }' "$out/$3.xml") || skipped=n/a
  [ "$skipped" = 0 ] || verdict=skip
  row "$1" "$3" 'skipped tests' "$skipped" '' n/a 0 "$verdict"
  say "$1: exit code $rc"
}
measure_phase() {  # measure_phase PHASE LIMIT
  local start=$SECONDS rc=0
  timeout "$2" "$build/bin/gpu_bench" "$1" 2>>"$log" | tail -n +2 >>"$results" || rc=$?
  ended "$1" "$rc" $((SECONDS - start))
  say "$1: exit code $rc"
}

test_phase plugin 60 device_test
test_phase correctness 180 gpu_test
reason=$("$build/bin/gpu_bench" supply 2>&1 >/dev/null) && rc=0 || rc=$?
if [ "$rc" -eq 69 ]; then
  say "skipped: $reason"
  row supply device present 0 '' n/a n/a skip
  exit 69
fi
measure_phase supply 30
measure_phase ceilings 40
measure_phase attention 60
measure_phase embed 60
measure_phase finetune 70
measure_phase jepa 90
measure_phase input 60

if cut -f 8 "$results" | grep -qxE 'fail|skip'; then
  say "these did not pass:"
  awk -F '\t' '$8 == "fail" || $8 == "skip"' "$results" | tee -a "$log" >&2
  exit 1
fi
say "all verdicts passed: $results"
