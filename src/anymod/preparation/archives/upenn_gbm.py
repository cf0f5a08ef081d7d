"""UPENN-GBM (TCIA, NIfTI): `UPENN-GBM-00001_11_T1GD.nii.gz`; _11 is the scan before surgery, _21 a later one."""

from __future__ import annotations

from anymod.preparation.archives.finding import Archive, Kind

_SCAN = r"(?P<subject>UPENN-GBM-\d+_\d+)"
_NIFTI = r"\.nii(?:\.gz)?"

UPENN_GBM = Archive(
    name="upenn_gbm",
    kinds=(
        Kind("t1", rf"{_SCAN}_T1{_NIFTI}"),
        Kind("cet1", rf"{_SCAN}_T1GD{_NIFTI}"),
        Kind("t2", rf"{_SCAN}_T2{_NIFTI}"),
        Kind("flair", rf"{_SCAN}_FLAIR{_NIFTI}"),
        Kind("label", rf"{_SCAN}_segm{_NIFTI}"),  # corrected by experts
        Kind("label", rf"{_SCAN}_automated_approx_segm{_NIFTI}"),
    ),
    left_out=(
        (rf"[^/]*_unstripped{_NIFTI}", "the skull-stripped image is taken"),
        (rf"[^/]*_(?:DTI|DSC)_[^/]*{_NIFTI}", "diffusion and perfusion are not taken"),
    ),
)
