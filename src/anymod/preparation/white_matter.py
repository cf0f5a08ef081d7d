"""Tissue maps for subjects without one: from `mri_synthseg` if it is installed, else white matter alone, estimated from T1.

Harmonized targets need nothing but the median of white matter (method, section 9; Dorent et al., section 4.4.1).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.cluster.vq import ClusterError, kmeans2

from anymod.arrays import Array
from anymod.cohorts import default_group
from anymod.cohorts.schema import EXTRA_COLUMNS
from anymod.errors import MissingExtraError, VolumeError
from anymod.preparation.options import WhiteMatter
from anymod.volumes import Grid, Volume, foreground_of, read_labels, resample, write_volume

SYNTHSEG = "mri_synthseg"  # of FreeSurfer 7.3 and later (Billot et al., Med. Image Anal. 86:102789, 2023)
SYNTHSEG_SECONDS = 3600  # it takes minutes on one core
LEFT, RIGHT = 2, 41  # FreeSurfer's white matter
FIELD_MM = 4.0  # spacing at which the receive field is fitted
ITERATIONS = (50, 50, 30)  # at each of its resolutions
INNER_MM = 3.0  # voxels nearer to the border are not used: they are partly something else
FIRST_CENTRES = (10.0, 45.0, 85.0)  # percentiles: fluid, grey and white matter
MOST_VALUES = 50_000  # for k-means
BRAIN_ML = (400.0, 2000.0)  # a head with its skull is larger
WHITE_SHARE = (0.25, 0.65)  # of the inner voxels; 0.32 to 0.58 in real and simulated brains
REMEDY = "give a tissue map with --tissue-pattern, or train with targets: percentile"


def tissue_map(volumes: Mapping[str, Volume], method: WhiteMatter) -> tuple[Volume, str]:
    """Return labels with FreeSurfer's values, on the grid of the image they were found in, and the name of the method.

    Args:
        volumes: Images by modality and maps by column, before they are cut to the grid of another image.
        method: `synthseg` (needs `mri_synthseg`), `estimate` (needs a skull-stripped `t1`), or `auto`: synthseg if it is installed.

    Raises:
        MissingExtraError: The method is `synthseg` and it is not installed.
        VolumeError: There is no image to estimate from, or the estimate is implausible.
    """
    program = synthseg_for(method)
    if program is not None:
        return _by_synthseg(program, volumes), SYNTHSEG
    name = _t1_of(volumes)
    if name is None:
        why = (
            f"it has {', '.join(name for name in volumes if name not in EXTRA_COLUMNS)}, and no t1 to estimate it from"
        )
        raise VolumeError("no white matter", "the subject", why, REMEDY)
    t1, mask = volumes[name], volumes.get("mask")
    fits = mask is not None and mask.grid.same_as(t1.grid)
    foreground = foreground_of(t1.data, mask.data if mask is not None and fits else None, t1.spacing_mm)
    return estimate_white_matter(t1, foreground), "white matter estimated from t1"


def _t1_of(volumes: Mapping[str, Volume]) -> str | None:
    """Return the name of the T1 image, in whatever case; None if there is none."""
    return next((name for name in volumes if name.lower() == "t1"), None)


def synthseg_for(method: WhiteMatter) -> str | None:
    """Return the path of SynthSeg, or None if white matter is to be estimated; raise MissingExtraError if it is needed and missing."""
    program = shutil.which(SYNTHSEG) if method != "estimate" else None
    if method == "synthseg" and program is None:
        why, remedy = f"there is no program {SYNTHSEG}", "install FreeSurfer 7.3 or later, or choose estimate"
        raise MissingExtraError("no SynthSeg", "--white-matter", why, remedy)
    return program


def estimate_white_matter(t1: Volume, foreground: Array) -> Volume:
    """Return 2 (left) and 41 (right) where a skull-stripped T1 certainly shows white matter, the brightest of three classes, else 0.

    The receive field is removed by N4 (Tustison et al., IEEE Trans. Med. Imaging 29:1310, 2010), and the classes come from k-means.

    Raises:
        VolumeError: The head is not skull-stripped, or the class has a size that white matter never has.
    """
    volume_ml = float(foreground.sum() * np.prod(t1.spacing_mm) / 1000)
    if not BRAIN_ML[0] <= volume_ml <= BRAIN_ML[1]:
        why = f"the foreground is {volume_ml:.0f} ml, and a skull-stripped brain {BRAIN_ML[0]:.0f} to {BRAIN_ML[1]:.0f}"
        raise _doubtful(t1, why)
    try:
        even = t1.data / receive_field(t1, foreground)
    except RuntimeError as problem:  # raised by ITK
        raise _doubtful(t1, f"no receive field was found ({str(problem).strip()[-120:]})") from problem
    reach = np.maximum(1, np.round(INNER_MM / np.array(t1.spacing_mm))).astype(int)
    inner = ndimage.binary_erosion(foreground, np.ones(2 * reach + 1))
    if not inner.any():
        raise _doubtful(t1, "the foreground is too thin to have an inside")
    values = np.clip(even, *np.percentile(even[foreground], (2, 99)))
    white = _largest_piece(inner & (values > _threshold(values[inner], t1)))
    share = float(white.sum() / inner.sum())
    if not WHITE_SHARE[0] <= share <= WHITE_SHARE[1]:
        why = f"the brightest class is {share:.0%} of the brain, not {WHITE_SHARE[0]:.0%} to {WHITE_SHARE[1]:.0%}"
        raise _doubtful(t1, why)
    certain = ndimage.binary_erosion(white)
    white = certain if certain.any() else white
    sides = np.where(_right_half(t1.grid, foreground), RIGHT, LEFT)
    return Volume(np.where(white, sides, 0).astype(np.int32), t1.grid, f"{t1.source} (tissue)")


def _threshold(values: Array, t1: Volume) -> float:
    """Return the value between the middle and the brightest of the three classes of the values [N]."""
    drawn = values[:: max(1, values.size // MOST_VALUES)].astype(np.float64)
    first = np.percentile(drawn, FIRST_CENTRES)[:, None]
    try:
        centres, _ = kmeans2(drawn[:, None], first, minit="matrix", missing="raise")
    except ClusterError:
        raise _doubtful(t1, "its values do not form three classes") from None
    middle, bright = np.sort(centres[:, 0])[1:]
    return float((middle + bright) / 2)


def _doubtful(t1: Volume, why: str) -> VolumeError:
    return VolumeError("white matter in doubt", t1.source, why, REMEDY)


def receive_field(volume: Volume, foreground: Array) -> Array:
    """Return the receive field [X, Y, Z], a smooth factor about 1 on the brightness of an image, as estimated by ITK's N4."""
    shifted = (volume.data - volume.data[foreground].min() + 1).astype(np.float32)
    image, mask = (_as_image(each, volume.grid) for each in (shifted, foreground.astype(np.uint8)))
    factors = [max(1, round(FIELD_MM / spacing)) for spacing in volume.spacing_mm]
    correction = sitk.N4BiasFieldCorrectionImageFilter()
    correction.SetMaximumNumberOfIterations(ITERATIONS)
    correction.SetNumberOfWorkUnits(1)  # bit-identical on all machines
    correction.Execute(sitk.Shrink(image, factors), sitk.Shrink(mask, factors))
    return np.exp(sitk.GetArrayFromImage(correction.GetLogBiasFieldAsImage(image)).T)


def _as_image(data: Array, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(data.T)
    image.SetSpacing(grid.spacing_mm)
    return image


def _largest_piece(mask: Array) -> Array:
    pieces, count = ndimage.label(mask)
    return pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]) if count > 1 else mask


def _right_half(grid: Grid, foreground: Array) -> Array:
    """Return whether each voxel [X, Y, Z] lies to the patient's right of the centre of the foreground."""
    x, y, z = (
        np.arange(size, dtype=np.float32) * step for size, step in zip(grid.shape, grid.affine[0, :3], strict=True)
    )
    across = (x[:, None, None] + y[:, None] + z).astype(np.float32)
    return across > across[foreground].mean()


def _by_synthseg(program: str, volumes: Mapping[str, Volume]) -> Volume:
    """Return the labels that `mri_synthseg` finds in T1 or, without T1, in the first MR image; SynthSeg accepts any contrast."""
    images = [name for name in volumes if name not in EXTRA_COLUMNS and default_group(name) != "us"]
    if not images:
        raise VolumeError("no white matter", "the subject", "it has no MR image to find it in", REMEDY)
    image = volumes[_t1_of(volumes) or images[0]]
    with tempfile.TemporaryDirectory(prefix="anymod-") as folder:
        source, result = Path(folder, "image.nii.gz"), Path(folder, "labels.nii.gz")
        write_volume(source, image)
        command = [program, "--i", str(source), "--o", str(result), "--cpu", "--threads", "1"]
        try:
            done = subprocess.run(  # noqa: S603 (a program chosen by the user, and our own paths)
                command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=SYNTHSEG_SECONDS
            )
        except subprocess.TimeoutExpired:
            why = f"{SYNTHSEG} took more than {SYNTHSEG_SECONDS} s"
            raise VolumeError("no white matter", image.source, why, REMEDY) from None
        if done.returncode != 0 or not result.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            why = f"{SYNTHSEG} ended with status {done.returncode}" + "".join(f" ({line[:120]})" for line in last)
            raise VolumeError("no white matter", image.source, why, REMEDY)
        labels = read_labels(result)
    if not np.isin(labels.data, (LEFT, RIGHT)).any():
        why = f"{SYNTHSEG} found no white matter (label {LEFT} or {RIGHT})"
        raise VolumeError("no white matter", image.source, why, REMEDY)
    return resample(labels, image.grid, labels=True)
