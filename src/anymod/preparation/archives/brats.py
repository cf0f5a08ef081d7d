"""BraTS, all generations: 2012 to 2015 (`VSD.Brain…`, MetaImage), 2017 to 2021 (`…_t1ce`), 2023 on (`…-t1c`)."""

from __future__ import annotations

from anymod.preparation.archives.finding import NIFTI, Archive, Kind


def _image(column: str, names: str, old: str) -> tuple[Kind, Kind]:
    """Return an image's kinds: NIfTI files by the end of their names, and the folders of the first challenges."""
    return (
        Kind(column, rf"(?P<subject>[^/]+?)[-_](?:{names}){NIFTI}"),
        Kind(column, rf"(?P<subject>(?!VSD)[^/]+)/VSD\.Brain[^/]*\.{old}\.\d+(?:/[^/]*)?\.mha"),
    )


BRATS = Archive(
    name="brats",
    kinds=(
        *_image("t1", "t1n?", "MR_T1"),
        *_image("cet1", "t1ce|t1c|t1gd", "MR_T1c"),
        *_image("t2", "t2w?", "MR_T2"),
        *_image("flair", "flair|t2f", "MR_Flair"),
        *_image("label", "seg", r"(?:XX\.)?OT"),
        Kind(
            "label", rf"(?P<subject>BraTS20_Training_355)/W39_1998\.09\.19_Segm{NIFTI}"
        ),  # named so in the archive of 2020
    ),
    left_out=((rf"[^/]*[-_]t1n?-voided{NIFTI}", "its tumour is cut out (inpainting challenge)"),),
)
