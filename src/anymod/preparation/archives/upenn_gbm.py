"""UPENN-GBM (TCIA, NIfTI): `UPENN-GBM-00001_11_T1GD.nii.gz`; _11 is the scan before surgery, _21 a later one."""

from __future__ import annotations

from anymod.preparation.archives.finding import NIFTI, Archive, Kind

_SCAN = r"(?P<subject>UPENN-GBM-\d+_\d+)"

UPENN_GBM = Archive(
    name="upenn_gbm",
    kinds=(
        Kind("t1", rf"{_SCAN}_T1{NIFTI}"),
        Kind("cet1", rf"{_SCAN}_T1GD{NIFTI}"),
        Kind("t2", rf"{_SCAN}_T2{NIFTI}"),
        Kind("flair", rf"{_SCAN}_FLAIR{NIFTI}"),
        Kind("label", rf"{_SCAN}_segm{NIFTI}"),  # corrected by experts
        Kind("label", rf"{_SCAN}_automated_approx_segm{NIFTI}"),
    ),
    left_out=(
        (rf"[^/]*_unstripped{NIFTI}", "the skull-stripped image is used"),
        (rf"[^/]*_(?:DTI|DSC)_[^/]*{NIFTI}", "diffusion and perfusion are not used"),
    ),
)
