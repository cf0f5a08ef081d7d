"""An image is recognized in another file by its content."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from anymod.volumes import Grid, Volume, content_fingerprint, orient, read_volume, write_volume

DATA = np.random.default_rng(0).integers(0, 500, (5, 6, 7)).astype(np.float32)
IMAGE = Volume(DATA, Grid(DATA.shape, np.diag([1.0, 2, 3, 1])))


def test_compression_number_type_and_order_of_axes_do_not_matter(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", IMAGE)
    nib.save(nib.Nifti1Image(DATA.astype(np.int16), IMAGE.affine), tmp_path / "b.nii")
    write_volume(tmp_path / "c.nii.gz", orient(IMAGE, "PSL"))
    found = {content_fingerprint(read_volume(tmp_path / name)) for name in ("a.nii.gz", "b.nii", "c.nii.gz")}
    assert found == {content_fingerprint(IMAGE)}


def test_one_changed_voxel_or_another_shape_is_another_image() -> None:
    changed = DATA.copy()
    changed[2, 3, 4] += 1
    flat = DATA.reshape(5, 7, 6)
    others = (Volume(data, Grid(data.shape, IMAGE.affine)) for data in (changed, flat, DATA[::-1].copy()))
    assert content_fingerprint(IMAGE) not in map(content_fingerprint, others)
