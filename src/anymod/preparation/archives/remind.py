"""ReMIND (TCIA, DICOM): MR from before surgery and ultrasound from before the dura is opened. Also the NIfTI files of ReMIND2Reg."""

from __future__ import annotations

from anymod.preparation.archives.finding import NIFTI, Archive, Kind

_BEFORE = r"(?P<subject>ReMIND-\d+)/[^/]*Preop[^/]*"
_DURING = r"(?P<subject>ReMIND-\d+)/[^/]*Intraop[^/]*"
_PAIR = r"(?P<subject>ReMIND2Reg_\d+)"

REMIND = Archive(
    name="remind",
    kinds=(
        Kind("us", rf"{_DURING}/[^/]*US[ _]?pre[ _]?dura[^/]*"),
        Kind("us", rf"{_PAIR}_0000{NIFTI}"),
        Kind("cet1", rf"{_BEFORE}/[^/]*T1[ _]?post[^/]*"),
        Kind("cet1", rf"{_PAIR}_0001{NIFTI}"),
        Kind("t1", rf"{_BEFORE}/[^/]*T1[ _]?pre[^/]*"),
        Kind("flair", rf"{_BEFORE}/[^/]*FLAIR[^/]*"),
        Kind("t2", rf"{_BEFORE}/[^/]*T2[^/]*"),
        Kind("t2", rf"{_PAIR}_0002{NIFTI}"),
    ),
    left_out=(
        (r"ReMIND-\d+/[^/]*/[^/]*\bseg\b[^/]*", "DICOM segmentations are not read"),
        (
            r"ReMIND-\d+/[^/]*/[^/]*US[ _]?(?:post[ _]?dura|pre[ _]?imri)[^/]*",
            "only ultrasound from before the dura is opened is used",
        ),
        (r"ReMIND-\d+/[^/]*Intraop[^/]*/(?![^/]*US[ _]?pre)[^/]*", "only MR from before surgery is used"),
    ),
    reference="us",
)
