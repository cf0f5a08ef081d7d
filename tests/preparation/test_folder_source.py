"""Finding subjects: which file belongs to whom, and what is refused instead of guessed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from anymod.errors import CohortError
from anymod.preparation import ARCHIVES, Source, find_in_archive, find_subjects, unused_folders
from anymod.preparation.folder_source import name_pattern
from anymod.preparation.tree import Tree

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
    assert name_pattern("site_*/sub_{subject}/", "subject")(path, raw) == subject
    assert name_pattern("**/sub_{subject}/anat", "subject")(path, raw) == subject


def test_hidden_files_and_the_result_itself_are_passed_over(tmp_path: Path) -> None:
    raw = touch(tmp_path, "a/t1.nii.gz", "a/._t1.nii.gz", ".cache/t1.nii.gz", "out/subjects/a/t1.nii.gz")
    found = find_subjects(raw, {"t1": "**/*t1.nii.gz"}, leave_out=tmp_path / "out")
    assert [subject.name for subject in found] == ["a"]
    assert unused_folders(raw, found, tmp_path / "out") == []


@pytest.mark.parametrize(
    ("names", "patterns", "message"),
    [
        (["a/t1.nii.gz"], {"t1": "**/T1.nii.gz"}, r"nothing found in .*'\*\*/T1.nii.gz' of t1"),
        (["a/1/t1.nii.gz", "a/2/t1.nii.gz"], {"t1": "**/t1.nii.gz"}, "t1 of 'a' has a/1/t1.nii.gz, a/2/t1.nii.gz"),
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
        name_pattern("*/x", "subject")
    with pytest.raises(CohortError, match="does not begin like"):
        find_subjects(touch(tmp_path, "a/t1.nii.gz"), {"t1": "**/t1.nii.gz"}, "sub-{subject}/")


@pytest.mark.parametrize("name", ["mask", "a/b"])
def test_a_name_that_no_modality_can_have_is_refused(name: str) -> None:
    with pytest.raises(CohortError, match="unusable modality name"):
        Source(Path("raw"), patterns={name: "*"})


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("pattern", ["**/t1.nii.gz", "*/anat/t1.nii.gz", "*/**/*.nii.gz", "**/anat/*.gz"])
@pytest.mark.parametrize("what", ["b", "b/anat", "b/anat/t1.nii.gz"])
def test_linked_folders_and_files_are_found_like_others(tmp_path: Path, pattern: str, what: str) -> None:
    raw = touch(tmp_path / "raw", "a/anat/t1.nii.gz")
    touch(tmp_path / "store", "b/anat/t1.nii.gz")
    link(raw / what, tmp_path / "store" / what)
    assert [each.name for each in find_subjects(raw, {"t1": pattern})] == ["a", "b"]


@pytest.mark.parametrize(
    ("place", "target"),
    [("latest", "."), ("latest", "a"), ("a/again", "."), ("a/up", ".."), ("a/far", "../.."), ("b/other", "../a")],
)
def test_link_to_a_folder_that_is_searched_anyway_gives_no_second_name(tmp_path: Path, place: str, target: str) -> None:
    raw = touch(tmp_path / "raw", "a/t1.nii.gz", "b/t1.nii.gz")
    link(raw / place, Path(target))
    for pattern in ("**/t1.nii.gz", "*/t1.nii.gz"):
        found = find_subjects(raw, {"t1": pattern})
        assert [each.files["t1"] for each in found] == [raw / "a/t1.nii.gz", raw / "b/t1.nii.gz"]
    assert unused_folders(raw, found) == []


def test_folders_that_link_to_one_another_are_searched_once(tmp_path: Path) -> None:
    raw, store = touch(tmp_path / "raw", "a/t1.nii.gz"), tmp_path / "store"
    for name in "bcdefgh":
        touch(store, f"{name}/t1.nii.gz")
        link(raw / name, store / name)
        for other in "bcdefgh":
            link(store / name / f"to_{other}", store / other)
    assert [each.name for each in find_subjects(raw, {"t1": "*/t1.nii.gz"})] == list("abcdefgh")
    assert len(Tree(raw).matches("**/t1.nii.gz")) == 8


def test_archive_follows_links_and_no_circle(tmp_path: Path) -> None:
    raw = touch(tmp_path / "raw", "sub-01/anat/sub-01_T1w.nii.gz")
    touch(tmp_path / "store", "sub-02/anat/sub-02_T1w.nii.gz")
    link(raw / "sub-02", tmp_path / "store/sub-02")
    link(raw / "latest", Path())
    link(tmp_path / "store/sub-02/again", tmp_path / "store/sub-02")
    found, skipped = find_in_archive(raw, ARCHIVES["bids"])
    assert [each.name for each in found] == ["sub-01", "sub-02"]
    assert skipped == ()


def test_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = touch(tmp_path, "a/t1.nii.gz", "b/t1.nii.gz")

    listed = os.listdir

    def listdir(folder: Path) -> list[str]:
        if folder.name == "b":  # as for a user without the right to read it; the tests may run as root
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr("anymod.preparation.tree.os.listdir", listdir)
    with pytest.raises(CohortError, match=r"unreadable folder in .*/b: Permission denied"):
        find_subjects(raw, PATTERNS)


def refusal(raw: Path, patterns: dict[str, str]) -> str:
    with pytest.raises(CohortError) as caught:
        find_subjects(raw, patterns)
    return str(caught.value)


def test_every_repeated_file_is_listed(tmp_path: Path) -> None:
    names = [f"{subject}/{visit}/t1.nii.gz" for subject in "abc" for visit in (1, 2, 3)]
    text = refusal(touch(tmp_path, *names, "d/1/t1.nii.gz"), {"t1": "**/t1.nii.gz"})
    assert text.startswith(f"several files for each of 3 images in {tmp_path}: ")
    assert all(name in text for name in names)
    assert "d/1" not in text


def test_long_lists_end_with_a_number(tmp_path: Path) -> None:
    text = refusal(touch(tmp_path, *(f"a/{n}/x/t1.nii.gz" for n in range(900))), {"t1": "**/t1.nii.gz"})
    assert "and 860 more" in text
    assert len(text) < 2000


@pytest.mark.parametrize(
    ("names", "pattern", "remedy"),
    [
        (["a/T1/IM1", "a/T1/IM2"], "**/T1/*", r"a DICOM series is one image: .* folder, such as '\*\*/T1'"),
        (["a/T1/1.dcm", "a/T1/2.DCM"], "*/T1/*.[dD]*", r"give the pattern of its folder, such as '\*/T1'"),
        (["a/x/I.001", "a/x/I.002"], "**/I.*", r"give the pattern of its folder"),
        (["site/a/t1.nii", "site/b/t1.nii"], "**/t1.nii", r"--subject-from '\*/\{subject\}/'"),
        (["x/y/a/t1.nii", "x/y/b/t1.nii"], "**/t1.nii", r"--subject-from '\*/\*/\{subject\}/'"),
        (["x/a_t1.nii", "x/b_t1.nii"], "**/*_t1.nii", r"--subject-from '\*\*/\{subject\}_\*'"),
        (["a/1/t1.nii", "a/2/t1.nii", "b/1/t1.nii"], "**/t1.nii", "make the pattern more specific"),
    ],
)
def test_remedy_for_repeated_files_is_the_likely_one(
    tmp_path: Path, names: list[str], pattern: str, remedy: str
) -> None:
    assert re.search(remedy, refusal(touch(tmp_path, *names), {"t1": pattern}))


@pytest.mark.parametrize("depth", [1, 2])
def test_suggested_place_of_the_subject_works(tmp_path: Path, depth: int) -> None:
    raw = touch(tmp_path, *("/".join(["x"] * depth + [subject, "t1.nii"]) for subject in "ab"))
    place = re.search(r"--subject-from '(.*)'", refusal(raw, {"t1": "**/t1.nii"}))
    assert place is not None
    assert [each.name for each in find_subjects(raw, {"t1": "**/t1.nii"}, place[1])] == ["a", "b"]


def test_letters_with_accents_are_found_in_both_spellings(tmp_path: Path) -> None:
    one_piece, decomposed = "M\u00fcller", "Mu\u0308ller"
    for pattern in (one_piece, decomposed):
        (found,) = find_subjects(touch(tmp_path, f"{decomposed}/t1.nii.gz"), {"t1": f"{pattern[:2]}*/t1*"})
        assert found.name == one_piece
    (found,) = find_subjects(tmp_path, {"t1": "*/t1*"}, f"{one_piece[:2]}{{subject}}/")
    assert found.name == one_piece[2:]
