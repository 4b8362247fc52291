#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# quickstart.sh [WORK_FOLDER]: sets up, builds, makes a small synthetic cohort, embeds it with an untrained tiny model and
# shows what it made. WORK_FOLDER is quickstart/ in the repository unless given. Run again, it skips what is there.
# With SLIM_BIN=FOLDER the programs in that folder are used and nothing is built.
set -euo pipefail
export LC_ALL=C
source "$(dirname "$0")/../cmake/places.sh"

mkdir -p "${1:-$SLIM_SOURCE/quickstart}"
work=$(cd "${1:-$SLIM_SOURCE/quickstart}" && pwd)
cohort=$work/bids out=$work/out model=$work/models/model-tinyrandom picture=$work/sub-01.png

step() { printf '\n== %s\n' "$*"; }

if [ -z "${SLIM_BIN:-}" ]; then
  step "1/5 Setting up and building (the first time this takes some minutes)"
  "$SLIM_SOURCE/cmake/build.sh" slimbrain make_toy_dataset show_run
  SLIM_BIN=$SLIM_SOURCE/build/release/bin
else
  step "1/5 Using the programs in $SLIM_BIN"
fi

step "2/5 A synthetic cohort: 4 participants, 60 volumes of 2 s, raw and in MNI space"
"$SLIM_BIN/make_toy_dataset" "$cohort" --subjects 4 --frames 60 --seed 1

step "3/5 A tiny model with random weights"
if [ -f "$model/model.json" ]; then
  echo "$model: there already"
else
  "$SLIM_BIN/slimbrain-model" init "$model" --preset tiny --seed 1 --name tinyrandom
fi

step "4/5 Packing and embedding"
call=("$SLIM_BIN/slimbrain" "$cohort" "$out" participant --stages prep,embed --model "$model")
printf '%s ' "\$ ${call[0]##*/}" "${call[@]:1}"
echo
"${call[@]}"

step "5/5 What there is now"
embeddings=("$out"/sub-*/func/*_desc-tinyrandom_embedding.tsv)
stores=("$out"/sub-*/func/*_clips.safetensors)
"$SLIM_BIN/show_run" "${stores[0]}" "$picture" >/dev/null

printf 'The head of %s:\n' "${embeddings[0]#"$work"/}"
cut -f 1-9 "${embeddings[0]}" | sed 's/$/\t.../' | expand -t 8,14,24,36,46,56,70,84,98

printf '\nOne row a run (group and age are planted in the signal of the left temporal lobe):\n'
row() { printf '  %-12s %-8s %4s %6s %6s  %9s %9s %9s ...\n' "$@"; }
row run group age clips width dim_0000 dim_0001 dim_0002
for table in "${embeddings[@]}"; do
  run=$(basename "$table")
  participant=${run%%_*}
  read -r age group < <(awk -F '\t' -v id="$participant" '$1 == id {print $2, $4}' "$cohort/participants.tsv")
  read -r clips dims first second third < <(awk -F '\t' '$1 == "clip" {n++} $1 == "run" {printf "%d %d %.4f %.4f %.4f\n", n, NF - 6, $7, $8, $9}' "$table")
  row "${run%%_task*}" "$group" "$age" "$clips" "$dims" "$first" "$second" "$third"
done

cat <<END

  cohort       $cohort  (raw: sub-*; in MNI space: derivatives/toyprep; the truth: sourcedata/truth)
  results      $out  (a BIDS derivative dataset; README.md there says what the files are)
  clip store   ${stores[0]}
  picture      $picture  (mean z image of the first run, left on the left, and its mean time course)
  model        $model

The tiny model is UNTRAINED: its weights are random numbers, so these vectors carry no meaning yet. With a trained model
(slimbrain-model import FILE.pth DIR) the same call gives real embeddings:
  slimbrain BIDS_DIR OUT_DIR participant --model DIR
END
