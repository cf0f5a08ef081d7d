"""ITK's transforms: known points in millimetres through mirrored and oblique grids, and files that are no transforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from anymod.errors import VolumeError
from anymod.volumes import Grid, Volume, read_transform, resample

TURNED = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def grid_of(directions: np.ndarray, origin: tuple[float, float, float], spacing: float, side: int) -> Grid:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * spacing, origin
    return Grid((side, side, side), affine)


def spot(grid: Grid, point: np.ndarray) -> Volume:
    """Return an image that is bright within 3 mm of a point (RAS)."""
    places = np.stack(np.meshgrid(*(np.arange(side) for side in grid.shape), indexing="ij"), axis=-1)
    world = places @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return Volume((np.linalg.norm(world - point, axis=-1) < 3).astype(np.float32), grid)


def centre(volume: Volume) -> np.ndarray:
    weights = volume.data / volume.data.sum()
    places = np.stack(np.meshgrid(*(np.arange(side) for side in volume.shape), indexing="ij"), axis=-1)
    return (weights[..., None] * (places @ volume.affine[:3, :3].T + volume.affine[:3, 3])).sum((0, 1, 2))


@pytest.mark.parametrize("moving", [np.eye(3), np.diag([-1.0, -1.0, 1.0]), TURNED])
def test_a_point_comes_from_where_the_transform_says(moving: np.ndarray) -> None:
    point = np.array([4.0, -6.0, 10.0])  # RAS, in the image that is brought over
    image = spot(grid_of(moving, tuple(point - moving @ np.full(3, 20.0)), 1.0, 41), point)
    fixed = grid_of(TURNED.T, (-30.0, -30.0, -20.0), 1.5, 48)
    transform = sitk.Euler3DTransform()
    transform.SetTranslation((5.0, -2.0, 3.0))  # LPS: what lies at q shows what the image has at q + (5, -2, 3)
    transform.SetRotation(0.1, -0.05, 0.2)
    lps = np.array([-1.0, -1.0, 1.0])
    expected = lps * np.array(transform.GetInverse().TransformPoint((lps * point).tolist()))
    brought = resample(image, fixed, transform=transform)
    np.testing.assert_allclose(centre(brought), expected, atol=0.15)
    nearest = resample(Volume(image.data > 0.5, image.grid), fixed, labels=True, transform=transform)
    assert nearest.data.dtype == np.bool_
    np.testing.assert_allclose(centre(nearest), expected, atol=0.4)


def test_the_identity_changes_nothing() -> None:
    image = spot(grid_of(np.eye(3), (0.0, 0.0, 0.0), 2.0, 20), np.array([18.0, 20.0, 15.0]))
    same = resample(image, image.grid, transform=sitk.Euler3DTransform())
    np.testing.assert_allclose(same.data, image.data, atol=1e-5)


def test_a_written_transform_reads_back(tmp_path: Path) -> None:
    transform = sitk.TranslationTransform(3, (1.0, 2.0, 3.0))
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    assert read_transform(tmp_path / "t.tfm").TransformPoint((0.0, 0.0, 0.0)) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tfm", None, "does not exist"),
        ("t.tfm", b"", "does not begin"),
        ("t.tfm", b"\xff\xfe\x00", "unreadable transform"),
        ("t.h5", b"#Insight Transform File V1.0", "no ITK transform in text form"),
        ("t.tfm", b"#Insight Transform File V1.0\nTransform: Nothing_double_3_3\nParameters: 1\n", "unreadable"),
        (
            "t.tfm",
            b"#Insight Transform File V1.0\nTransform: TranslationTransform_double_2_2\nParameters: 1 2\nFixedParameters:\n",
            "2 dimensions",
        ),
        (
            "t.tfm",
            b"#Insight Transform File V1.0\nTransform: TranslationTransform_double_3_3\nParameters: nan 2 3\nFixedParameters:\n",
            "transform",
        ),
    ],
)
def test_what_is_no_transform_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VolumeError, match=message):
        read_transform(tmp_path / name)
