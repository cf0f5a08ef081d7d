"""RESECT with the labels of RESECT-SEG: `Case1/US/Case1-US-before.nii.gz`, `Case1-US-before-tumor.nii.gz`.

If a case has both, its NIfTI files are used, not its MINC files.
"""

from __future__ import annotations

from anymod.preparation.archives.finding import NIFTI, Archive, Kind

_CASE = r"(?P<subject>Case\d+)"

RESECT_SEG = Archive(
    name="resect_seg",
    kinds=(
        Kind("us", rf"{_CASE}-US-before{NIFTI}"),
        Kind("t1", rf"{_CASE}-T1{NIFTI}"),
        Kind("flair", rf"{_CASE}-FLAIR{NIFTI}"),
        Kind("us", rf"{_CASE}-US-before\.mnc"),
        Kind("t1", rf"{_CASE}-T1\.mnc"),
        Kind("flair", rf"{_CASE}-FLAIR\.mnc"),
        Kind("label", rf"{_CASE}-US-before-tumor{NIFTI}"),
    ),
    left_out=(
        (rf"[^/]*-US-(?:during|after)[^/]*(?:{NIFTI}|\.mnc)", "only ultrasound from before resection is used"),
        (rf"[^/]*-FLAIR-tumor{NIFTI}", "the label of the ultrasound is used"),
    ),
    reference="us",
)
