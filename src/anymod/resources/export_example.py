"""Synthesize the missing images of one subject without torch: python example.py OUT t1=t1.nii.gz flair=flair.nii.gz

Needs numpy, nibabel and onnxruntime. All images must be on one grid with the model's spacing, see export.json.
"""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import onnxruntime  # type: ignore[import-untyped]

here, out = Path(__file__).parent, Path(sys.argv[1])
about = json.loads((here / "export.json").read_text())
if about["intensity"]["anchor"] != "percentile" or about["channels"] != 1:
    raise SystemExit("this example supports only percentile scaling and single slices; see export.json")
names, images = [each["name"] for each in about["modalities"]], {}
turned = nib.orientations.axcodes2ornt(about["orientation"])
for argument in sys.argv[2:]:
    name, path = argument.split("=", 1)
    image = nib.load(path)
    way = nib.orientations.ornt_transform(nib.io_orientation(image.affine), turned)
    volume = image.as_reoriented(way)
    data = volume.get_fdata(dtype=np.float32)
    inside = data != 0
    low, high = np.percentile(data[inside], [about["intensity"][f"{end}_percentile"] for end in ("lower", "upper")])
    scaled = (np.clip(data, low, high) - low) / (high - low) * (1 + 255 / 256) - 255 / 256
    images[names.index(name)] = np.where(inside, scaled, -1), inside
union = np.any([inside for _, inside in images.values()], axis=0)
box = tuple(slice(each.min(), each.max() + 1) for each in np.nonzero(union))  # slices are centred on the foreground
there, stride = np.array([side.stop - side.start for side in box[:2]]), about["sides_are_multiples_of"]
sides = np.array(about["only_size"] or -(-np.maximum(about["image_size"], there) // stride) * stride)
if (sides < there).any():
    raise SystemExit(f"this model takes slices of {sides} pixels only: crop the images")
first = -((there - sides) // 2)
middle = (slice(first[0], first[0] + there[0]), slice(first[1], first[1] + there[1]))
stack = np.full((box[2].stop - box[2].start, len(names), 1, *sides), -1, np.float32)
for place, (scaled, _) in images.items():
    stack[(slice(None), place, 0, *middle)] = scaled[box].transpose(2, 0, 1)
shown = np.tile([place in images for place in range(len(names))], (len(stack), 1))
session = onnxruntime.InferenceSession(here / about["graph"], providers=["CPUExecutionProvider"])
made = np.concatenate(
    [session.run(None, {"images": stack[i : i + 1], "shown": shown[i : i + 1]})[0] for i in range(len(stack))]
)
out.mkdir(parents=True, exist_ok=True)
for place, each in enumerate(about["modalities"]):
    if place not in images:
        plane = np.zeros(data.shape, np.float32)
        plane[box] = made[(slice(None), place, *middle)].transpose(1, 2, 0)
        raw = each["low"] + (plane + 255 / 256) / (1 + 255 / 256) * (each["high"] - each["low"])
        raw = np.where(union, raw, each["background"]).astype(np.float32)
        nib.save(nib.Nifti1Image(raw, volume.affine), out / f"{each['name']}.nii.gz")
