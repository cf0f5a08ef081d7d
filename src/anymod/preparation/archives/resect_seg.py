"""RESECT (NIfTI) with the labels of RESECT-SEG: `Case1/US/Case1-US-before.nii.gz`, `Case1-US-before-tumor.nii.gz`."""

from __future__ import annotations

from anymod.preparation.archives.finding import Archive, Kind

_CASE = r"(?P<subject>Case\d+)"
_NIFTI = r"\.nii(?:\.gz)?"

RESECT_SEG = Archive(
    name="resect_seg",
    kinds=(
        Kind("us", rf"{_CASE}-US-before{_NIFTI}"),
        Kind("t1", rf"{_CASE}-T1{_NIFTI}"),
        Kind("flair", rf"{_CASE}-FLAIR{_NIFTI}"),
        Kind("label", rf"{_CASE}-US-before-tumor{_NIFTI}"),
    ),
    left_out=(
        (rf"[^/]*-US-(?:during|after)[^/]*{_NIFTI}", "ultrasound before resection is taken"),
        (rf"[^/]*-FLAIR-tumor{_NIFTI}", "the label of the ultrasound is taken"),
        (r"[^/]*\.mnc", "MINC is not read: take the archive's NIfTI files"),
    ),
    reference="us",
)
