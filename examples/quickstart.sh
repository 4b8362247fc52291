#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# quickstart.sh [WORK_FOLDER]: sets up, builds, makes a synthetic cohort with a planted effect, pre-trains a tiny model on
# it, and shows that the effect is found. WORK_FOLDER is quickstart/ in the repository unless given. Run again,
# it skips what is there.
# With SLIM_BIN=FOLDER the programs in that folder are used and nothing is built.
set -euo pipefail
export LC_ALL=C
source "$(dirname "$0")/../cmake/places.sh"

mkdir -p "${1:-$SLIM_SOURCE/quickstart}"
work=$(cd "${1:-$SLIM_SOURCE/quickstart}" && pwd)
cohort=$work/bids out=$work/out
models=$out/models
people=$cohort/participants.tsv

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ slimbrain'; printf ' %s' "$@"; echo; "$SLIM_BIN/slimbrain" "$@"; }

if [ -z "${SLIM_BIN:-}" ]; then
  step "1/9 Setting up and building (the first time this takes some minutes)"
  "$SLIM_SOURCE/cmake/build.sh" slimbrain make_toy_dataset show_run show_training show_saliency
  SLIM_BIN=$SLIM_SOURCE/build/release/bin
else
  step "1/9 Using the programs in $SLIM_BIN"
fi

step "2/9 A synthetic cohort: 40 participants in MNI space; patients lose 30 % of the signal in the left temporal lobe"
"$SLIM_BIN/make_toy_dataset" "$cohort" --subjects 40 --form mni --frames 44 --tr 0.72 --voxel-mm 4 \
  --variation 0.1 --loss 0.3 --seed 1 2>/dev/null

step "3/9 Packing the runs for the model"
run "$cohort" "$out" participant --stages prep

step "4/9 Pre-training a tiny model; it sees no label"
if [ -f "$models/model-tiny/model.json" ]; then
  echo "$models/model-tiny: there already"
else
  run - "$out" group --stages pretrain --model-name tiny --stage1-epochs 10
fi

step "5/9 Embedding with it"
run "$cohort" "$out" participant --stages embed --model tiny

step "6/9 A linear head that tells group"
if [ -f "$models/model-tinyGroup/model.json" ]; then
  echo "$models/model-tinyGroup: there already"
else
  run - "$out" group --stages finetune --model tiny --target group --targets-file "$people"
fi

step "7/9 Predicting each run; attribution maps of four patients"
run "$cohort" "$out" participant --stages predict --model tinyGroup
run "$cohort" "$out" participant --stages saliency --model tinyGroup --saliency-steps 12 --participant-label 02 04 06 08

step "8/9 How well the frozen encoder tells group, beside baselines and with permuted labels"
metrics=$out/group_desc-group_metrics.tsv
run - "$out" group --stages evaluate --model tiny --target group --targets-file "$people" --cv 5 --include-train

step "9/9 What there is now"
run - "$out" group
stores=("$out"/sub-*/func/*_clips.safetensors)
means=("$out"/sub-01/func/*_stat-mean_boldmap.nii.gz)
maps=("$out"/sub-*/func/*_stat-intgrad_desc-group_boldmap.nii.gz)
"$SLIM_BIN/show_run" "${stores[0]}" "$work/sub-01.png" >/dev/null
"$SLIM_BIN/show_training" "$models/model-tiny" "$work/training.png" >/dev/null
"$SLIM_BIN/show_saliency" "$work/saliency.png" "${means[0]}" "${maps[@]}" >/dev/null

echo "AUC of telling patients from controls (0.5: chance); by folds, over participants; labels were not seen in pre-training:"
awk -F '\t' 'NR == 1 {for (i = 1; i <= NF; ++i) c[$i] = i; next}
  $c["metric"] == "auc" && $c["value"] != "n/a" && ($c["group"] == "all" || $c["group"] == "pretrained=true") {
    printf "  %-14s %-18s %8s   %s to %s   n = %s\n", $c["method"], $c["group"], substr($c["value"], 1, 6),
      substr($c["ci_low"], 1, 6), substr($c["ci_high"], 1, 6), $c["n"]}' "$metrics"

cat <<END

  cohort       $cohort  (derivative in MNI space; what was planted: sourcedata/truth)
  results      $out  (a BIDS derivative dataset; README.md there says what the files are)
  models       $models
  metrics      $metrics
  pictures     $work/sub-01.png    mean z image of the first run, left on the left, and its mean time course
               $work/training.png  losses of both stages
               $work/saliency.png  mean attribution of the patients over the mean image: strongest in the left temporal lobe, where the loss is planted

Such a small model, trained for minutes on invented brains, is for looking at files and commands only. With a trained model
(slimbrain-model import FILE.pth DIR) and your data:
  slimbrain BIDS_DIR OUT_DIR participant --model DIR
END
