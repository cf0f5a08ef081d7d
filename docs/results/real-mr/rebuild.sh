#!/usr/bin/env bash
# Builds the cohort, the tables and the pictures of docs/results/real-mr again from the stored model: rebuild.sh DATA OUT
# DATA holds mr-four-contrasts, mr-three-contrasts and raw-archive-layout; OUT is a folder to create. About ten minutes on one core.
set -euo pipefail
data=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out/raw"
tail -n +2 "$here/split.csv" | while IFS=, read -r subject _; do  # DATA may hold other subjects
  ln -sfn "$(realpath "$data"/mr-*-contrasts/"$subject")" "$out/raw/$subject"
done
anymod prepare --raw "$out/raw" --label-pattern '**/seg.nii.gz' --pattern t1='**/t1.nii.gz' --pattern cet1='**/cet1.nii.gz' \
  --pattern t2='**/t2.nii.gz' --pattern flair='**/flair.nii.gz' --split-list "$here/split.csv" --out "$out/cohort"
anymod evaluate --model "$here/model" --cohort "$out/cohort" --split test --mirror --out "$out/report"
python "$here/errors.py" --cohort "$out/cohort" > "$out/errors.md"
python "$here/lesions.py" --cohort "$out/cohort" --out "$out/pictures" > "$out/lesions.md"
# Somebody else's files as they are, and a whole head with thick slices that the model was trained on.
archive=$data/raw-archive-layout/Brats18_TCIA05_396_1/Brats18_TCIA05_396_1_ whole=$data/mr-three-contrasts/ms-long-01/
for images in "$archive" "$whole"; do
  anymod synthesize --model "$here/model" --input t1="${images}t1.nii.gz" --input flair="${images}flair.nii.gz" --target cet1 --target t2 --mirror \
    --out "$out/from-t1-flair/$(basename "$images")"
done
