"""Archives by name: each on a miniature of its tree, with the files that have to be left alone."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from anymod.cli import app
from anymod.cohorts import read_cohort
from anymod.errors import CohortError
from anymod.preparation import ARCHIVES, find_in_archive
from anymod.preparation.options import SourceName
from anymod.volumes import Grid, Volume, write_volume

# archive, its tree, {subject: {column: path}}, {path that is skipped: part of the reason}
TREES: list[tuple[str, list[str], dict[str, dict[str, str]], dict[str, str]]] = [
    (
        "brats",
        [
            "HGG/Brats18_TCIA05_396_1/Brats18_TCIA05_396_1_t1.nii.gz",
            "HGG/Brats18_TCIA05_396_1/Brats18_TCIA05_396_1_t1ce.nii.gz",
            "HGG/Brats18_TCIA05_396_1/Brats18_TCIA05_396_1_seg.nii.gz",
            "BraTS20_Training_355/BraTS20_Training_355_flair.nii",
            "BraTS20_Training_355/W39_1998.09.19_Segm.nii",
            "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz",
            "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz",
            "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2w.nii.gz",
            "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2f.nii.gz",
            "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n-voided.nii.gz",
            "HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_T1.54515/VSD.Brain.XX.O.MR_T1.54515.mha",
            "HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_T1c.54514/VSD.Brain.XX.O.MR_T1c.54514.mha",
            "HGG/brats_2013_pat0001_1/VSD.Brain_3more.XX.O.OT.54517/VSD.Brain_3more.XX.O.OT.54517.mha",
            "survival_info.csv",
            "notes.nii.gz",
        ],
        {
            "BraTS-GLI-00000-000": {
                "t1": "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz",
                "cet1": "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz",
                "t2": "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2w.nii.gz",
                "flair": "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2f.nii.gz",
            },
            "BraTS20_Training_355": {
                "flair": "BraTS20_Training_355/BraTS20_Training_355_flair.nii",
                "label": "BraTS20_Training_355/W39_1998.09.19_Segm.nii",
            },
            "Brats18_TCIA05_396_1": {
                "t1": "HGG/Brats18_TCIA05_396_1/Brats18_TCIA05_396_1_t1.nii.gz",
                "cet1": "HGG/Brats18_TCIA05_396_1/Brats18_TCIA05_396_1_t1ce.nii.gz",
                "label": "HGG/Brats18_TCIA05_396_1/Brats18_TCIA05_396_1_seg.nii.gz",
            },
            "brats_2013_pat0001_1": {
                "t1": "HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_T1.54515/VSD.Brain.XX.O.MR_T1.54515.mha",
                "cet1": "HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_T1c.54514/VSD.Brain.XX.O.MR_T1c.54514.mha",
                "label": "HGG/brats_2013_pat0001_1/VSD.Brain_3more.XX.O.OT.54517/VSD.Brain_3more.XX.O.OT.54517.mha",
            },
        },
        {"BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n-voided.nii.gz": "cut out", "notes.nii.gz": "is unknown in"},
    ),
    (
        "upenn_gbm",
        [
            "NIfTI-files/images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_T1.nii.gz",
            "NIfTI-files/images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_T1GD.nii.gz",
            "NIfTI-files/images_structural/UPENN-GBM-00001_21/UPENN-GBM-00001_21_FLAIR.nii.gz",
            "NIfTI-files/images_structural_unstripped/UPENN-GBM-00001_11/UPENN-GBM-00001_11_T1_unstripped.nii.gz",
            "NIfTI-files/automated_segm/UPENN-GBM-00001_11_automated_approx_segm.nii.gz",
            "NIfTI-files/automated_segm/UPENN-GBM-00009_11_automated_approx_segm.nii.gz",
            "NIfTI-files/images_segm/UPENN-GBM-00001_11_segm.nii.gz",
            "NIfTI-files/images_DTI/UPENN-GBM-00001_11/UPENN-GBM-00001_11_DTI_FA.nii.gz",
        ],
        {
            "UPENN-GBM-00001_11": {
                "t1": "NIfTI-files/images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_T1.nii.gz",
                "cet1": "NIfTI-files/images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_T1GD.nii.gz",
                "label": "NIfTI-files/images_segm/UPENN-GBM-00001_11_segm.nii.gz",
            },
            "UPENN-GBM-00001_21": {
                "flair": "NIfTI-files/images_structural/UPENN-GBM-00001_21/UPENN-GBM-00001_21_FLAIR.nii.gz"
            },
        },
        {
            "NIfTI-files/automated_segm/UPENN-GBM-00001_11_automated_approx_segm.nii.gz": "11_segm.nii.gz is used",
            "NIfTI-files/automated_segm/UPENN-GBM-00009_11_automated_approx_segm.nii.gz": "has no image",
            "NIfTI-files/images_structural_unstripped/UPENN-GBM-00001_11/UPENN-GBM-00001_11_T1_unstripped.nii.gz": "stripped",
            "NIfTI-files/images_DTI/UPENN-GBM-00001_11/UPENN-GBM-00001_11_DTI_FA.nii.gz": "diffusion",
        },
    ),
    (
        "ixi",
        [
            "IXI-T1/IXI002-Guys-0828-T1.nii.gz",
            "IXI-T2/IXI002-Guys-0828-T2.nii.gz",
            "IXI-PD/IXI012-HH-1211-PD.nii.gz",
            "IXI-MRA/IXI002-Guys-0828-MRA.nii.gz",
            "IXI-DTI/IXI002-Guys-0828-DTI-00.nii.gz",
        ],
        {
            "IXI002-Guys-0828": {"t1": "IXI-T1/IXI002-Guys-0828-T1.nii.gz", "t2": "IXI-T2/IXI002-Guys-0828-T2.nii.gz"},
            "IXI012-HH-1211": {"pd": "IXI-PD/IXI012-HH-1211-PD.nii.gz"},
        },
        {
            "IXI-MRA/IXI002-Guys-0828-MRA.nii.gz": "angiography",
            "IXI-DTI/IXI002-Guys-0828-DTI-00.nii.gz": "diffusion",
        },
    ),
    (
        "bids",
        [
            "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz",
            "sub-01/ses-pre/anat/sub-01_ses-pre_ce-gadolinium_T1w.nii.gz",
            "sub-01/ses-post/anat/sub-01_ses-post_acq-3d_run-1_FLAIR.nii.gz",
            "sub-01/ses-post/anat/sub-01_ses-post_acq-3d_run-2_FLAIR.nii.gz",
            "sub-02/anat/sub-02_acq-tse_T2w.nii.gz",
            "sub-02/anat/sub-02_label-lesion_mask.nii.gz",
            "sub-02/anat/sub-02_space-MNI152_T2w.nii.gz",
            "sub-02/func/sub-02_task-rest_bold.nii.gz",
            "derivatives/fmriprep/sub-02/anat/sub-02_desc-brain_mask.nii.gz",
        ],
        {
            "sub-01_ses-post": {"flair": "sub-01/ses-post/anat/sub-01_ses-post_acq-3d_run-1_FLAIR.nii.gz"},
            "sub-01_ses-pre": {
                "cet1": "sub-01/ses-pre/anat/sub-01_ses-pre_ce-gadolinium_T1w.nii.gz",
                "t1": "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz",
            },
            "sub-02": {
                "t2": "sub-02/anat/sub-02_acq-tse_T2w.nii.gz",
                "label": "sub-02/anat/sub-02_label-lesion_mask.nii.gz",
            },
        },
        {
            "sub-01/ses-post/anat/sub-01_ses-post_acq-3d_run-2_FLAIR.nii.gz": "is used for flair",
            "sub-02/anat/sub-02_space-MNI152_T2w.nii.gz": "template",
            "sub-02/func": "anatomical",
            "derivatives": "derivative",
        },
    ),
    (
        "remind",
        [
            "ReMIND/ReMIND-001/12-25-1982-NA-Preop-73219/4.000000-3DAXT1postcontrast-73261/1-001.dcm",
            "ReMIND/ReMIND-001/12-25-1982-NA-Preop-73219/3.000000-3DAXT2SPACE-16660/1-001.dcm",
            "ReMIND/ReMIND-001/12-25-1982-NA-Preop-73219/300.000000-tumor seg - MR ref 3DAXT2SPACE-22944/1-1.dcm",
            "ReMIND/ReMIND-001/12-25-1982-NA-Intraop-90478/1.000000-USpredura-31130/1-1.dcm",
            "ReMIND/ReMIND-001/12-25-1982-NA-Intraop-90478/2.000000-USpostdura-21105/1-1.dcm",
            "ReMIND/ReMIND-001/12-25-1982-NA-Intraop-90478/5.000000-2DAXT2FLAIR-27182/1-01.dcm",
            "ReMIND2Reg_dataset/imagesTr/ReMIND2Reg_0000_0000.nii.gz",
            "ReMIND2Reg_dataset/imagesTr/ReMIND2Reg_0000_0001.nii.gz",
        ],
        {
            "ReMIND-001": {
                "us": "ReMIND/ReMIND-001/12-25-1982-NA-Intraop-90478/1.000000-USpredura-31130",
                "cet1": "ReMIND/ReMIND-001/12-25-1982-NA-Preop-73219/4.000000-3DAXT1postcontrast-73261",
                "t2": "ReMIND/ReMIND-001/12-25-1982-NA-Preop-73219/3.000000-3DAXT2SPACE-16660",
            },
            "ReMIND2Reg_0000": {
                "us": "ReMIND2Reg_dataset/imagesTr/ReMIND2Reg_0000_0000.nii.gz",
                "cet1": "ReMIND2Reg_dataset/imagesTr/ReMIND2Reg_0000_0001.nii.gz",
            },
        },
        {
            "ReMIND/ReMIND-001/12-25-1982-NA-Preop-73219/300.000000-tumor seg - MR ref 3DAXT2SPACE-22944": "segmentations",
            "ReMIND/ReMIND-001/12-25-1982-NA-Intraop-90478/2.000000-USpostdura-21105": "before the dura",
            "ReMIND/ReMIND-001/12-25-1982-NA-Intraop-90478/5.000000-2DAXT2FLAIR-27182": "from before surgery",
        },
    ),
    (
        "resect_seg",
        [
            "RESECT/NIFTI/Case1/US/Case1-US-before.nii.gz",
            "RESECT/NIFTI/Case1/US/Case1-US-during.nii.gz",
            "RESECT/NIFTI/Case1/MRI/Case1-T1.nii.gz",
            "RESECT/NIFTI/Case1/MRI/Case1-FLAIR.nii.gz",
            "RESECT/NIFTI/Case1/Landmarks/Case1-MRI-beforeUS.tag",
            "RESECT/MINC/Case1/US/Case1-US-before.mnc",
            "RESECT/MINC/Case2/US/Case2-US-before.mnc",
            "RESECT/MINC/Case2/US/Case2-US-after.mnc",
            "RESECT/MINC/Case2/MRI/Case2-T1.mnc",
            "RESECT/MINC/Case2/MRI/Case2-FLAIR.mnc",
            "RESECT_segmentation/Case1/Case1-US-before-tumor.nii.gz",
        ],
        {
            "Case1": {
                "us": "RESECT/NIFTI/Case1/US/Case1-US-before.nii.gz",
                "t1": "RESECT/NIFTI/Case1/MRI/Case1-T1.nii.gz",
                "flair": "RESECT/NIFTI/Case1/MRI/Case1-FLAIR.nii.gz",
                "label": "RESECT_segmentation/Case1/Case1-US-before-tumor.nii.gz",
            },
            "Case2": {
                "us": "RESECT/MINC/Case2/US/Case2-US-before.mnc",
                "t1": "RESECT/MINC/Case2/MRI/Case2-T1.mnc",
                "flair": "RESECT/MINC/Case2/MRI/Case2-FLAIR.mnc",
            },
        },
        {
            "RESECT/NIFTI/Case1/US/Case1-US-during.nii.gz": "before resection",
            "RESECT/MINC/Case1/US/Case1-US-before.mnc": "is used for us",
            "RESECT/MINC/Case2/US/Case2-US-after.mnc": "before resection",
        },
    ),
]


def plant(root: Path, tree: list[str]) -> Path:
    for name in tree:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.mark.parametrize(("name", "tree", "subjects", "skipped"), TREES, ids=[each[0] for each in TREES])
def test_an_archive_is_recognized_by_its_names(
    tmp_path: Path, name: str, tree: list[str], subjects: dict[str, dict[str, str]], skipped: dict[str, str]
) -> None:
    plant(tmp_path, tree)
    found, left = find_in_archive(tmp_path, ARCHIVES[name])
    relative = {
        each.name: {column: path.relative_to(tmp_path).as_posix() for column, path in each.files.items()}
        for each in found
    }
    assert relative == subjects
    reasons = {each.path.relative_to(tmp_path).as_posix(): each.why for each in left}
    assert reasons.keys() == skipped.keys()
    for path, part in skipped.items():
        assert part in reasons[path]


def test_every_archive_has_a_tree_and_an_option() -> None:
    assert {each[0] for each in TREES} == set(ARCHIVES) == set(get_args(SourceName)) - {"folder"}


def test_the_folder_above_or_below_does_not_matter(tmp_path: Path) -> None:
    plant(tmp_path, ["a/b/BraTS2021_00000/BraTS2021_00000_t1.nii.gz"])
    for raw in (tmp_path, tmp_path / "a/b", tmp_path / "a/b/BraTS2021_00000"):
        assert [each.name for each in find_in_archive(raw, ARCHIVES["brats"])[0]] == ["BraTS2021_00000"]


def test_derivatives_are_used_if_raw_is_their_folder(tmp_path: Path) -> None:
    plant(tmp_path, ["derivatives/prep/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz"])
    with pytest.raises(CohortError, match="no file name matches bids"):
        find_in_archive(tmp_path, ARCHIVES["bids"])
    found, _ = find_in_archive(tmp_path / "derivatives/prep", ARCHIVES["bids"])
    assert set(found[0].files) == {"t1"}


def test_the_verb_makes_a_cohort_and_reports_skipped_files(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "cohort"
    data = np.random.default_rng(0).integers(1, 500, (12, 12, 8)).astype(np.int16)
    for name, spacing in (("US/Case1-US-before", 1.0), ("US/Case1-US-during", 1.0), ("MRI/Case1-FLAIR", 1.5)):
        grid = Grid((12, 12, 8), np.diag([spacing, spacing, spacing, 1.0]))
        write_volume(raw / f"Case1/{name}.nii.gz", Volume(data, grid))
    arguments = ["prepare", "--source", "resect_seg", "--raw", str(raw), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "skipped Case1/US/Case1-US-during.nii.gz: only ultrasound from before resection is used" in result.stdout
    cohort = read_cohort(out)
    assert cohort.modality_names == ("us", "flair") and cohort.reference == "us"
    assert cohort.provenance["source"] == "resect_seg"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "brats", "--pattern", "t1=*"], "leave --pattern out"),
        (["--source", "bids", "--mask-pattern", "*"], "leave --mask-pattern out"),
        ([], "needs --pattern"),
    ],
)
def test_patterns_belong_to_folders(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["prepare", "--raw", str(tmp_path), "--out", str(tmp_path / "c"), *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
