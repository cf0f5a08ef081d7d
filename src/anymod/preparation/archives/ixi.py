"""IXI: `IXI002-Guys-0828-T1.nii.gz`. T2 and PD share a grid; T1 has another one."""

from __future__ import annotations

from anymod.preparation.archives.finding import NIFTI, Archive, Kind

_HEAD = r"(?P<subject>IXI\d+-[A-Za-z]+-\d+)"

IXI = Archive(
    name="ixi",
    kinds=(Kind("t1", rf"{_HEAD}-T1{NIFTI}"), Kind("t2", rf"{_HEAD}-T2{NIFTI}"), Kind("pd", rf"{_HEAD}-PD{NIFTI}")),
    left_out=(
        (rf"[^/]*-MRA{NIFTI}", "angiography is not used"),
        (rf"[^/]*-DTI(?:-\d+)?{NIFTI}", "diffusion is not used"),
    ),
    reference="t2",
)
