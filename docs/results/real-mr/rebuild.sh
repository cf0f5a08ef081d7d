#!/usr/bin/env bash
# Builds the cohort and the table of docs/results/real-mr again from the stored model: rebuild.sh DATA OUT
# DATA holds mr-four-contrasts and mr-three-contrasts; OUT is a folder to create. About 5 minutes on two cores.
set -euo pipefail
data=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
# Split 0 takes part in nothing: the licence of brats2013-0001 forbids weights that ship.
anymod prepare --raw "$data" --subject-from 'mr-*-contrasts/{subject}/*' --mask-pattern 'mr-*-contrasts/*/mask.nii.gz' \
  --label-pattern 'mr-*-contrasts/*/seg.nii.gz' --pattern t1='mr-*-contrasts/*/t1.nii.gz' --pattern cet1='mr-*-contrasts/*/cet1.nii.gz' \
  --pattern t2='mr-*-contrasts/*/t2.nii.gz' --pattern flair='mr-*-contrasts/*/flair.nii.gz' \
  --split-list "$here/split.csv" --out "$out/cohort"
anymod evaluate --model "$here/model" --cohort "$out/cohort" --split test --mirror --out "$out/report"
