"""The affine of a NIfTI file: its sform if usable, else its qform, else its voxel sizes alone; doubtful choices are noted."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.quaternions import quat2mat

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import NO_ORIENTATION, check_affine, why_unusable
from anymod.volumes.grid import SCANNER

DISAGREEMENT_MM = 0.1  # at a corner; the quaternion's rounding error is smaller
QUATERNION_EXCESS = 1e-2  # a squared norm up to 1 + this is a rounding error and is normalized
MM_PER_UNIT = {1: 1000.0, 3: 0.001}  # codes of xyzt_units for metres and micrometres
KNOWN_SPACES = range(1, 6)  # codes of the standard; others become 'scanner'
FIX_HEADER, CONVERT_AGAIN = "fix the header", "fix the header or convert the scan again"


def affine_of(header: nib.Nifti1Header, shape: tuple[int, int, int], where: Path) -> tuple[Array, int, tuple[str, ...]]:
    """Return the voxel -> world affine [4, 4] in mm, the code of its space (see `Grid`), and notes on doubtful choices.

    If both transforms are present, the sform is used, as in nibabel; ITK uses the qform.

    Raises:
        VolumeError: NaN, or no transform that a scan could have.
    """
    with np.errstate(all="ignore"):  # absurd numbers overflow here and are refused below
        affine, code, notes = _chosen(header, shape, where)
    scale = MM_PER_UNIT.get(int(header["xyzt_units"]) & 7)
    if scale is not None:
        affine = np.diag([scale, scale, scale, 1.0]) @ affine
        notes = (*notes, f"lengths converted to mm (factor {scale:g}), as the header states")
    check_affine(affine, where)
    return affine, code if code in KNOWN_SPACES else SCANNER, notes


def _chosen(header: nib.Nifti1Header, shape: tuple[int, int, int], where: Path) -> tuple[Array, int, tuple[str, ...]]:
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    has_sform, has_qform = sform_code > 0, qform_code > 0
    sform = _sform(header)
    if has_sform and not np.isfinite(sform).all():
        raise VolumeError("broken geometry", where, "the sform holds NaN or infinity", FIX_HEADER)
    if has_sform and np.linalg.det(sform[:3, :3]) != 0:
        return sform, sform_code, _disagreement(header, sform, shape, where) if has_qform else ()
    if has_qform:
        notes = ("the sform cannot be inverted; the qform was used",) if has_sform else ()
        return _qform(header, where), qform_code, notes
    if has_sform:
        why = "the sform cannot be inverted and there is no qform"
        raise VolumeError("broken geometry", where, why, CONVERT_AGAIN)
    return _sizes_alone(header, shape, where), SCANNER, (NO_ORIENTATION,)


def _sform(header: nib.Nifti1Header) -> Array:
    rows = [header[name].astype(np.float64) for name in ("srow_x", "srow_y", "srow_z")]
    return np.vstack([*rows, [0.0, 0.0, 0.0, 1.0]])


def _qform(header: nib.Nifti1Header, where: Path) -> Array:
    """Return the transform given by the header's quaternion, voxel sizes and offsets."""
    vector = np.array([header[name] for name in ("quatern_b", "quatern_c", "quatern_d")], dtype=np.float64)
    offset = np.array([header[name] for name in ("qoffset_x", "qoffset_y", "qoffset_z")], dtype=np.float64)
    if not (np.isfinite(vector).all() and np.isfinite(offset).all()):
        raise VolumeError("broken geometry", where, "the qform holds NaN or infinity", FIX_HEADER)
    squared = float(vector @ vector)
    if squared > 1 + QUATERNION_EXCESS:
        why = f"the qform's quaternion is longer than 1 (squared {squared:.3g})"
        raise VolumeError("broken geometry", where, why, CONVERT_AGAIN)
    quaternion = np.array([np.sqrt(max(0.0, 1 - squared)), *vector])
    steps = _steps(header, where)
    steps[2] *= -1 if header["pixdim"][0] < 0 else 1
    affine = np.eye(4)
    affine[:3, :3] = quat2mat(quaternion / np.linalg.norm(quaternion)) * steps
    affine[:3, 3] = offset
    return affine


def _steps(header: nib.Nifti1Header, where: Path) -> Array:
    steps = np.abs(header["pixdim"][1:4].astype(np.float64))
    absent = np.arange(3) >= int(header["dim"][0])
    steps[absent & (steps == 0)] = 1.0  # a two-dimensional file need not give the size of its missing axis
    if not (np.isfinite(steps).all() and steps.min() > 0):
        raise VolumeError("broken geometry", where, f"its voxel sizes are {steps.tolist()} mm", FIX_HEADER)
    return steps


def _sizes_alone(header: nib.Nifti1Header, shape: tuple[int, int, int], where: Path) -> Array:
    """Return an affine with the volume's centre at the origin and the first axis to the left, the same guess as nibabel's."""
    steps = _steps(header, where) * (-1, 1, 1)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -steps * (np.array(shape) - 1) / 2
    return affine


def _disagreement(header: nib.Nifti1Header, sform: Array, shape: tuple[int, int, int], where: Path) -> tuple[str, ...]:
    try:
        qform = _qform(header, where)
    except VolumeError as problem:
        return (f"the sform was used, because {problem.why}",)
    problem_of_qform = why_unusable(qform)
    if problem_of_qform is not None:
        return (f"the sform was used, because of the qform: {problem_of_qform}",)
    corners = np.array(list(np.ndindex(2, 2, 2))) * np.array(shape)
    apart = np.linalg.norm(corners @ (sform - qform)[:3, :3].T + (sform - qform)[:3, 3], axis=1).max()
    if apart <= DISAGREEMENT_MM:
        return ()
    return (f"sform and qform disagree by up to {apart:.3g} mm; the sform was used",)
