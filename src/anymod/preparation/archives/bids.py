"""BIDS: `sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz`; the entity `ce` marks contrast agent.

Derivatives are used only if --raw is their folder.
"""

from __future__ import annotations

from anymod.preparation.archives.finding import NIFTI, Archive, Kind

_VISIT = r"(?P<subject>sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)"
_ENTITIES = r"(?:_[a-z]+-[A-Za-z0-9+]+)*"
_AGENT = r"(?=[^/]*_ce-(?!none))"


def _kind(column: str, suffix: str) -> Kind:
    return Kind(column, rf"anat/{_VISIT}{_ENTITIES}_{suffix}{NIFTI}")


BIDS = Archive(
    name="bids",
    kinds=(
        Kind("cet1", rf"anat/{_AGENT}{_VISIT}{_ENTITIES}_T1w{NIFTI}"),
        _kind("t1", "T1w"),
        _kind("t2", "T2w"),
        _kind("flair", "FLAIR"),
        _kind("pd", "PDw"),
        Kind("mask", rf"anat/{_VISIT}{_ENTITIES}_desc-brain{_ENTITIES}_mask{NIFTI}"),
        Kind("label", rf"anat/{_VISIT}{_ENTITIES}_(?:label-lesion{_ENTITIES}_(?:mask|dseg)|roi){NIFTI}"),
        Kind("tissue", rf"anat/{_VISIT}{_ENTITIES}_desc-(?:aseg|aparcaseg)_dseg{NIFTI}"),
    ),
    left_out=(
        (r"derivatives", "a derivative: give its folder as --raw to use it"),
        (r"sourcedata", "source data"),
        (rf"[^/]*_space-[^/]*{NIFTI}", "it lies in the space of a template"),
        (rf"[^/]*_defacemask{NIFTI}", "a mask of the face"),
        (r"(?:func|dwi|fmap|perf)", "only anatomical images are used"),
    ),
)
