#!/usr/bin/env bash
# Builds the model brain-mr from a folder of images, and its cross-validation: rebuild.sh DATA OUT
# DATA holds mr-four-contrasts, mr-three-contrasts and mr-one-contrast, with one folder for each subject of split.csv.
# About a day on one core; each command goes on where it was stopped, and folds may run side by side (FOLDS='--fold 0').
# A trial of half an hour: STEPS='--set training.steps=2' FOLDS='--fold 1 --figures 1 --spacing 4'
set -euo pipefail
data=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
configs=$here/../../../configs
mkdir -p "$out/raw"
tail -n +2 "$here/split.csv" | while IFS=, read -r subject _; do  # DATA may hold other subjects
  ln -sfn "$(realpath "$data"/mr-*-contrast*/"$subject")" "$out/raw/$subject"
done
[ -f "$out/cohort/cohort.yaml" ] || anymod prepare --raw "$out/raw" --split-list "$here/split.csv" --label-pattern '**/seg*.nii.gz' \
  --pattern t1='**/t1.nii.gz' --pattern cet1='**/cet1.nii.gz' --pattern t2='**/t2.nii.gz' --pattern flair='**/flair.nii.gz' --out "$out/cohort"
train() { anymod train --cohort "$out/cohort" --all-folds --resume ${STEPS:-} "$@"; }
folds() { anymod crossvalidate --cohort "$out/cohort" ${STEPS:-} ${FOLDS:-} "$@"; }
train --config "$configs/brain-mr-start.yaml" --out "$out/start"
train --config "$configs/brain-mr.yaml" --set training.start_from="$out/start/model" --out "$out/mean"
train --config "$configs/brain-mr-realistic.yaml" --set training.start_from="$out/mean/model" --out "$out/realistic"
folds --config "$configs/brain-mr-start.yaml" --show t1 --out "$out/folds-start"
folds --config "$configs/brain-mr.yaml" --set training.start_from="$out/folds-start/fold-{fold}/run/model" --mirror --out "$out/folds"
anymod calibrate --model "$out/realistic/model" --crossvalidation "$out/folds" --cohort "$out/cohort" --out "$out/brain-mr"
anymod evaluate --model "$out/brain-mr" --cohort "$out/cohort" --split test --mirror --out "$out/test"
