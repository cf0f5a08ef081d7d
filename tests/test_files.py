"""Files whole or not at all; paths that stay inside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from anymod.errors import CohortError, OutputError
from anymod.files import atomic_write, confined, finished_record, sha256, write_json, write_text
from anymod.folders import replaced_folder


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_text(path, "old")
    with pytest.raises(KeyError), atomic_write(path) as temporary:
        temporary.write_text("half a fi")
        raise KeyError("stopped in the middle")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["scores.csv"]


def test_the_temporary_file_keeps_the_suffixes_that_choose_a_format(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "t1.nii.gz") as temporary:
        assert temporary.name.endswith("t1.nii.gz")
        assert temporary.parent == tmp_path


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_writing_below_a_file_is_an_output_error(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "")
    with pytest.raises(OutputError, match=r"cannot write in .*file/inner"):
        write_text(tmp_path / "file" / "inner", "text")


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left"), atomic_write(tmp_path / "volume.nii.gz"):
        raise OSError(28, os.strerror(28))
    assert os.listdir(tmp_path) == []


def test_an_error_of_a_writer_that_hides_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left"), atomic_write(tmp_path / "last.pt"):
        try:
            raise OSError(28, os.strerror(28))
        except OSError:
            raise RuntimeError("unexpected pos 576 vs 534") from None
    with pytest.raises(RuntimeError, match="unexpected"), atomic_write(tmp_path / "last.pt"):
        raise RuntimeError("unexpected")  # a bug stays a bug


def test_json_says_its_format_and_version_first(tmp_path: Path) -> None:
    write_json(tmp_path / "synthesis.json", {"seed": 3})
    assert list(json.loads((tmp_path / "synthesis.json").read_text())) == ["format", "anymod", "seed"]


def test_json_refuses_numbers_that_json_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_path_inside_is_returned(tmp_path: Path) -> None:
    assert confined(tmp_path, "subjects/a/t1.nii.gz", error=CohortError) == tmp_path / "subjects/a/t1.nii.gz"


def test_a_letter_with_an_accent_is_found_in_both_spellings(tmp_path: Path) -> None:
    written, on_disk = "M\u00fcller/t1.nii.gz", "Mu\u0308ller/t1.nii.gz"
    write_text(tmp_path / on_disk, "")
    assert confined(tmp_path, written, error=CohortError) == tmp_path / on_disk
    assert confined(tmp_path, on_disk, error=CohortError) == tmp_path / on_disk
    assert confined(tmp_path, "\u00fcber", error=CohortError) == tmp_path / "\u00fcber"  # not there


def test_files_and_folders_follow_the_umask_without_chmod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for module, name in ((os, "chmod"), (os, "fchmod"), (Path, "chmod")):
        monkeypatch.setattr(module, name, refused)
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "")
        with replaced_folder(tmp_path / "cache") as folder:
            write_text(folder / "slices", "")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"file": 0o640, "cache": 0o750, "slices": 0o640}


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/passwd", "link/x", "loop/x", "a\0b"])
def test_a_path_that_leaves_its_folder_is_refused(tmp_path: Path, relative: str) -> None:
    root = tmp_path / "cohort"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(CohortError, match="path outside its folder"):
        confined(root, relative, error=CohortError)


def test_a_record_counts_as_finished_if_its_key_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert finished_record(path, {}) is None
    write_json(path, {"key": [1, 2], "outputs": ["a.nii.gz"]})
    record = finished_record(path, {"key": (1, 2)})
    assert record is not None and record["outputs"] == ["a.nii.gz"]
    assert finished_record(path, {"key": (1, 3)}) is None
    assert finished_record(path, {"seed": 1}) is None
    path.write_text('{"key": [1, 2], "outp')
    assert finished_record(path, {"key": (1, 2)}) is None


def test_text_with_a_file_name_that_is_not_utf_8_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", os.fsdecode(b"M\xfcller"))
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == r"M\udcfcller"
