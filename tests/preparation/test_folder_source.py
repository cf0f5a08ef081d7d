"""Finding subjects: which file belongs to whom, and what is refused instead of guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from anymod.errors import CohortError
from anymod.preparation import Source, find_subjects, unused_folders
from anymod.preparation.folder_source import subject_pattern

PATTERNS = {"t1": "**/t1.nii.gz", "t2": "**/t2.nii.gz"}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_subject_is_the_first_folder_below(tmp_path: Path) -> None:
    raw = touch(tmp_path, "b/x/t1.nii.gz", "a/t1.nii.gz", "a/y/z/t2.nii.gz", "c/other.nii.gz")
    found = find_subjects(raw, PATTERNS)
    assert [(subject.name, sorted(subject.files)) for subject in found] == [("a", ["t1", "t2"]), ("b", ["t1"])]
    assert found[1].files["t1"] == raw / "b/x/t1.nii.gz"
    assert unused_folders(raw, found) == ["c"]


def test_subject_may_stand_in_a_file_name(tmp_path: Path) -> None:
    raw = touch(tmp_path, "s_1_t1.nii.gz", "s_1_t2.nii.gz", "s_2_t1.nii.gz")
    found = find_subjects(raw, {"t1": "*_t1.nii.gz", "t2": "*_t2.nii.gz"}, "{subject}_t*")
    assert [(subject.name, len(subject.files)) for subject in found] == [("s_1", 2), ("s_2", 1)]


NAMES = st.text("abc012-", min_size=1, max_size=6)


@given(NAMES, NAMES, NAMES)
@settings(max_examples=30, deadline=None)
def test_pattern_finds_the_name_where_it_stands(site: str, subject: str, file: str) -> None:
    raw = Path("raw")
    path = raw / f"site_{site}" / f"sub_{subject}" / "anat" / f"{file}.nii"
    assert subject_pattern("site_*/sub_{subject}/")(path, raw) == subject
    assert subject_pattern("**/sub_{subject}/anat")(path, raw) == subject


def test_hidden_files_and_the_result_itself_are_passed_over(tmp_path: Path) -> None:
    raw = touch(tmp_path, "a/t1.nii.gz", "a/._t1.nii.gz", ".cache/t1.nii.gz", "out/subjects/a/t1.nii.gz")
    found = find_subjects(raw, {"t1": "**/*t1.nii.gz"}, leave_out=tmp_path / "out")
    assert [subject.name for subject in found] == ["a"]
    assert unused_folders(raw, found, tmp_path / "out") == []


@pytest.mark.parametrize(
    ("names", "patterns", "message"),
    [
        (["a/t1.nii.gz"], {"t1": "**/T1.nii.gz"}, r"nothing found in .*'\*\*/T1.nii.gz' of t1"),
        (["a/1/t1.nii.gz", "a/2/t1.nii.gz"], {"t1": "**/t1.nii.gz"}, r"a/2/t1.nii.gz: .* also matches .*a/1/t1.nii.gz"),
        (["a/t1.nii.gz"], {"t1": "**/t1*", "t2": "**/*.gz"}, "it matches the patterns of t1 and t2"),
        (["t1.nii.gz"], {"t1": "**/t1.nii.gz"}, "lies directly in .*--subject-from"),
        (["a/t1.nii.gz", "b/mask.nii"], {"t1": "**/t1.nii.gz", "mask": "**/mask.nii"}, "'b' has mask and no image"),
        (["a:b/t1.nii.gz"], {"t1": "**/t1.nii.gz"}, "unusable subject name"),
        (["a/t1.nii.gz"], {"t1": "/etc/*"}, "unusable pattern"),
        (["a/t1.nii.gz"], {"t1": "../*/t1.nii.gz"}, "unusable pattern"),
        (["a/t1.nii.gz"], {"t1": "a**/t1.nii.gz"}, "unusable pattern"),
    ],
)
def test_doubt_is_refused(tmp_path: Path, names: list[str], patterns: dict[str, str], message: str) -> None:
    with pytest.raises(CohortError, match=message):
        find_subjects(touch(tmp_path, *names), patterns)


def test_absent_folder_and_unusable_name_patterns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such folder"):
        find_subjects(tmp_path / "nowhere", PATTERNS)
    with pytest.raises(CohortError, match="it needs one"):
        subject_pattern("*/x")
    with pytest.raises(CohortError, match="does not begin like"):
        find_subjects(touch(tmp_path, "a/t1.nii.gz"), {"t1": "**/t1.nii.gz"}, "sub-{subject}/")


@pytest.mark.parametrize("name", ["mask", "a/b"])
def test_a_name_that_no_modality_can_have_is_refused(name: str) -> None:
    with pytest.raises(CohortError, match="unusable modality name"):
        Source(Path("raw"), patterns={name: "*"})


def test_letters_with_accents_are_found_in_both_spellings(tmp_path: Path) -> None:
    one_piece, decomposed = "M\u00fcller", "Mu\u0308ller"
    for pattern in (one_piece, decomposed):
        (found,) = find_subjects(touch(tmp_path, f"{decomposed}/t1.nii.gz"), {"t1": f"{pattern[:2]}*/t1*"})
        assert found.name == one_piece
    (found,) = find_subjects(tmp_path, {"t1": "*/t1*"}, f"{one_piece[:2]}{{subject}}/")
    assert found.name == one_piece[2:]
