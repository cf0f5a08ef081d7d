"""IXI: `IXI002-Guys-0828-T1.nii.gz`. T1 lies on another grid than T2 and PD, which share one."""

from __future__ import annotations

from anymod.preparation.archives.finding import Archive, Kind

_HEAD = r"(?P<subject>IXI\d+-[A-Za-z]+-\d+)"
_NIFTI = r"\.nii(?:\.gz)?"

IXI = Archive(
    name="ixi",
    kinds=(
        Kind("t1", rf"{_HEAD}-T1{_NIFTI}"),
        Kind("t2", rf"{_HEAD}-T2{_NIFTI}"),
        Kind("pd", rf"{_HEAD}-PD{_NIFTI}"),
    ),
    left_out=(
        (rf"[^/]*-MRA{_NIFTI}", "angiography is not taken"),
        (rf"[^/]*-DTI(?:-\d+)?{_NIFTI}", "diffusion is not taken"),
    ),
    reference="t2",
)
