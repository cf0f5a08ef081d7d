"""A tissue map for a subject that came without one: by `mri_synthseg` where it is installed, else white matter alone, from T1.

Harmonized targets need the median of white matter (method, section 9; Dorent et al., section 4.4.1) and nothing else of the map.
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
SYNTHSEG_SECONDS = 3600  # on one processor it takes minutes
LEFT, RIGHT = 2, 41  # FreeSurfer's white matter
FIELD_MM = 4.0  # spacing at which the receive field is fitted
ITERATIONS = (50, 50, 30)  # at each of its resolutions
INNER_MM = 3.0  # what lies nearer to the border is partly something else
FIRST_CENTRES = (10.0, 45.0, 85.0)  # percentiles: fluid, grey and white matter
MOST_VALUES = 50_000
BRAIN_ML = (400.0, 2000.0)  # more is a head with its skull
WHITE_SHARE = (0.25, 0.65)  # of what lies inside; on real and simulated brains 0.32 to 0.58 was met
RESTING = "the subject keeps no tissue map; give one with --tissue-pattern, or train with targets: percentile"


def tissue_map(volumes: Mapping[str, Volume], method: WhiteMatter) -> tuple[Volume, str]:
    """Return labels with FreeSurfer's values on the grid of the image that they were found in, and what made them.

    Args:
        volumes: Images by modality, maps by column, as they came: not yet cut to another image's grid.
        method: `synthseg` (needs `mri_synthseg`), `estimate` (needs `t1`, skull-stripped), or `auto`: the first where it is installed.

    Raises:
        MissingExtraError: `synthseg` is asked for and is not installed.
        VolumeError: There is no image to estimate from, or the estimate cannot be believed.
    """
    program = synthseg_for(method)
    if program is not None:
        return _by_synthseg(program, volumes), SYNTHSEG
    if "t1" not in volumes:
        why = f"it has {', '.join(name for name in volumes if name not in EXTRA_COLUMNS)}, and no t1 to find it in"
        raise VolumeError("no white matter", "the subject", why, RESTING)
    t1, mask = volumes["t1"], volumes.get("mask")
    fits = mask is not None and mask.grid.same_as(t1.grid)
    foreground = foreground_of(t1.data, mask.data if mask is not None and fits else None)
    return estimate_white_matter(t1, foreground), "white matter estimated from t1"


def synthseg_for(method: WhiteMatter) -> str | None:
    """Return the program to call, None where the estimate is to be made; raise MissingExtraError where it is needed and is not there."""
    program = shutil.which(SYNTHSEG) if method != "estimate" else None
    if method == "synthseg" and program is None:
        why, remedy = f"there is no program {SYNTHSEG}", "install FreeSurfer 7.3 or later, or choose estimate"
        raise MissingExtraError("no SynthSeg", "--white-matter", why, remedy)
    return program


def estimate_white_matter(t1: Volume, foreground: Array) -> Volume:
    """Return 2 (left) and 41 (right) where a skull-stripped T1 surely shows white matter, else 0: the brightest of three classes.

    The receive field is taken out first (N4; Tustison et al., IEEE Trans. Med. Imaging 29:1310, 2010), the classes are k-means'.
    Raises VolumeError where the head is not stripped, or the class has a size that white matter never has.
    """
    volume_ml = float(foreground.sum() * np.prod(t1.spacing_mm) / 1000)
    if not BRAIN_ML[0] <= volume_ml <= BRAIN_ML[1]:
        why = f"the foreground is {volume_ml:.0f} ml, and a skull-stripped brain {BRAIN_ML[0]:.0f} to {BRAIN_ML[1]:.0f}"
        raise VolumeError("white matter in doubt", t1.source, why, RESTING)
    try:
        even = t1.data / receive_field(t1, foreground)
    except RuntimeError as problem:  # of ITK
        why = f"no receive field was found ({str(problem).strip()[-120:]})"
        raise VolumeError("white matter in doubt", t1.source, why, RESTING) from problem
    reach = np.maximum(1, np.round(INNER_MM / np.array(t1.spacing_mm))).astype(int)
    inner = ndimage.binary_erosion(foreground, np.ones(2 * reach + 1))
    if not inner.any():
        raise VolumeError("white matter in doubt", t1.source, "the foreground is too thin to have an inside", RESTING)
    values = np.clip(even, *np.percentile(even[foreground], (2, 99)))
    drawn = values[inner][:: max(1, int(inner.sum()) // MOST_VALUES)].astype(np.float64)
    first = np.percentile(drawn, FIRST_CENTRES)[:, None]
    try:
        centres, _ = kmeans2(drawn[:, None], first, minit="matrix", missing="raise")
    except ClusterError:
        raise VolumeError("white matter in doubt", t1.source, "its values form no three classes", RESTING) from None
    middle, bright = np.sort(centres[:, 0])[1:]
    white = _largest_piece(inner & (values > (middle + bright) / 2))
    share = float(white.sum() / max(inner.sum(), 1))
    if not WHITE_SHARE[0] <= share <= WHITE_SHARE[1]:
        why = f"the brightest class is {share:.0%} of the brain, not {WHITE_SHARE[0]:.0%} to {WHITE_SHARE[1]:.0%}"
        raise VolumeError("white matter in doubt", t1.source, why, RESTING)
    surely = ndimage.binary_erosion(white)
    white = surely if surely.any() else white
    right = _right_half(t1.grid, foreground)
    return Volume(np.where(white, np.where(right, RIGHT, LEFT), 0).astype(np.int32), t1.grid, f"{t1.source} (tissue)")


def receive_field(volume: Volume, foreground: Array) -> Array:
    """Return the smooth field [X, Y, Z], about 1, by which an image's brightness varies from place to place, by ITK's N4."""
    shifted = (volume.data - volume.data[foreground].min() + 1).astype(np.float32)
    image, mask = (_as_image(each, volume.grid) for each in (shifted, foreground.astype(np.uint8)))
    factors = [max(1, round(FIELD_MM / spacing)) for spacing in volume.spacing_mm]
    correction = sitk.N4BiasFieldCorrectionImageFilter()
    correction.SetMaximumNumberOfIterations(ITERATIONS)
    correction.SetNumberOfWorkUnits(1)  # the same bits whatever the machine
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
    """Return [X, Y, Z]: what lies to the patient's right of the middle of the foreground."""
    x, y, z = (
        np.arange(size, dtype=np.float32) * step for size, step in zip(grid.shape, grid.affine[0, :3], strict=True)
    )
    across = (x[:, None, None] + y[:, None] + z).astype(np.float32)
    return across > across[foreground].mean()


def _by_synthseg(program: str, volumes: Mapping[str, Volume]) -> Volume:
    """Return the labels that `mri_synthseg` finds in T1, else in the first image that is no ultrasound; any contrast will do."""
    images = [name for name in volumes if name not in EXTRA_COLUMNS and default_group(name) != "us"]
    if not images:
        raise VolumeError("no white matter", "the subject", "it has no MR image to find it in", RESTING)
    image = volumes["t1" if "t1" in images else images[0]]
    with tempfile.TemporaryDirectory(prefix="anymod-") as folder:
        source, result = Path(folder, "image.nii.gz"), Path(folder, "labels.nii.gz")
        write_volume(source, image)
        command = [program, "--i", str(source), "--o", str(result), "--cpu", "--threads", "1"]
        try:
            done = subprocess.run(  # noqa: S603 (a program that the user asked for, and paths of our own)
                command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=SYNTHSEG_SECONDS
            )
        except subprocess.TimeoutExpired:
            why = f"{SYNTHSEG} took more than {SYNTHSEG_SECONDS} s"
            raise VolumeError("no white matter", image.source, why, RESTING) from None
        if done.returncode != 0 or not result.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            why = f"{SYNTHSEG} ended with status {done.returncode}" + "".join(f" ({line[:120]})" for line in last)
            raise VolumeError("no white matter", image.source, why, RESTING)
        labels = read_labels(result)
    if not np.isin(labels.data, (LEFT, RIGHT)).any():
        why = f"{SYNTHSEG} found none (no label {LEFT} or {RIGHT})"
        raise VolumeError("no white matter", image.source, why, RESTING)
    return resample(labels, image.grid, labels=True)
