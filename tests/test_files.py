"""Files whole or not at all; folders that are not emptied by mistake; paths that stay inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anymod.errors import CohortError, MissingExtraError, OutputError
from anymod.files import (
    atomic_write,
    claim_folder,
    confined,
    continued_folder,
    finished_record,
    sha256,
    staged_folder,
    temporary_folder,
    write_json,
    write_text,
)


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


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/passwd", "link/x", "loop/x", "a\0b"])
def test_a_path_that_leaves_its_folder_is_refused(tmp_path: Path, relative: str) -> None:
    root = tmp_path / "cohort"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(CohortError, match="path outside its folder"):
        confined(root, relative, error=CohortError)


def test_a_folder_with_a_result_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "result", "precious")
    with pytest.raises(OutputError, match="--overwrite"):
        claim_folder(tmp_path / "out", overwrite=False)
    assert (tmp_path / "out" / "result").read_text() == "precious"


def test_overwrite_empties_the_folder_and_follows_no_link(tmp_path: Path) -> None:
    write_text(tmp_path / "elsewhere" / "file", "precious")
    write_text(tmp_path / "out" / "deep" / "result", "old")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    assert os.listdir(claim_folder(tmp_path / "out", overwrite=True)) == []
    assert (tmp_path / "elsewhere" / "file").read_text() == "precious"


@pytest.mark.parametrize("above", [".", ".."])
def test_overwrite_never_empties_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: str
) -> None:
    write_text(tmp_path / "work" / "thesis.tex", "precious")
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(OutputError, match="more than a result"):
        claim_folder(Path(above), overwrite=True)
    assert (tmp_path / "work" / "thesis.tex").read_text() == "precious"


def test_overwrite_never_empties_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "home" / "letter", "precious")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(OutputError, match="more than a result"):
        claim_folder(tmp_path / "home", overwrite=True)


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    write_text(tmp_path / "out", "")
    with pytest.raises(OutputError, match="a file is in the way"):
        claim_folder(tmp_path / "out", overwrite=True)


def test_overwrite_never_empties_a_folder_that_holds_the_input(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "cohort" / "cohort.yaml", "precious")
    with pytest.raises(OutputError, match="more than a result"):
        claim_folder(tmp_path / "out", overwrite=True, keep=(tmp_path / "out" / "cohort",))
    assert (tmp_path / "out" / "cohort" / "cohort.yaml").read_text() == "precious"


def test_what_may_not_be_overwritten_is_refused_before_the_work_begins(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "model" / "model.yaml", "precious")
    begun = False
    with (
        pytest.raises(OutputError, match="more than a result"),
        staged_folder(tmp_path / "out", overwrite=True, keep=(tmp_path / "out/model",)),
    ):
        begun = True
    assert not begun
    assert (tmp_path / "out/model/model.yaml").read_text() == "precious"


def test_interrupted_work_goes_on_and_appears_when_it_is_whole(tmp_path: Path) -> None:
    out, request = tmp_path / "out", {"subjects": 2}
    with pytest.raises(KeyboardInterrupt), continued_folder(out, request, overwrite=False) as folder:
        write_text(folder / "first", "1")
        raise KeyboardInterrupt
    assert not out.exists()
    with continued_folder(out, request, overwrite=False) as folder:
        assert (folder / "first").read_text() == "1"
        write_text(folder / "second", "2")
    assert sorted(entry.name for entry in out.iterdir()) == ["first", "second"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    work = (
        "with staged_folder(Path(sys.argv[1]), overwrite=False) as folder, atomic_write(Path(sys.argv[1] + '.txt')):\n"
    )
    work = "import os, sys; from pathlib import Path; from anymod.files import atomic_write, staged_folder\n" + work
    work += "    (folder / 'half').write_text('1'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", work, str(tmp_path / "out")], check=False)
    assert len(list(tmp_path.glob(".writing-*"))) == 2
    left = {".writing-of-a-user", ".writing-99999999@another-machine@x"}
    for name in left:
        (tmp_path / name).mkdir()
    with temporary_folder(tmp_path) as mine, staged_folder(tmp_path / "out", overwrite=False) as folder:
        assert mine.is_dir()  # its process runs
        (folder / "whole").write_text("1")
    assert {entry.name for entry in tmp_path.iterdir()} == {"out", *left}


def test_continued_work_begins_without_temporary_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), continued_folder(tmp_path / "out", {}, overwrite=False) as folder:
        write_text(folder / ".writing-a" / ".writing-b", "half")
        raise KeyboardInterrupt
    with continued_folder(tmp_path / "out", {}, overwrite=False) as folder:
        assert not list(folder.glob(".writing-*"))


def test_work_of_another_request_is_not_taken_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), continued_folder(out, {"seed": 1}, overwrite=False) as folder:
        write_text(folder / "first", "1")
        raise KeyboardInterrupt
    with pytest.raises(OutputError, match="cannot continue"), continued_folder(out, {"seed": 2}, overwrite=False):
        pass
    with continued_folder(out, {"seed": 2}, overwrite=True) as folder:
        assert not (folder / "first").exists()


def test_work_that_fails_for_its_input_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CohortError), continued_folder(tmp_path / "out", {}, overwrite=False) as folder:
        write_text(folder / "first", "1")
        raise CohortError("broken table", "subjects.csv", "it is empty", "fill it")
    assert not list(tmp_path.iterdir())


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


def test_a_missing_package_leaves_the_finished_work(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError), continued_folder(tmp_path / "out", {}, overwrite=False) as folder:
        (folder / "done").write_text("a minute of work")
        raise MissingExtraError("no h5py", "a.mnc", "it is not installed", "install anymod[minc]")
    with continued_folder(tmp_path / "out", {}, overwrite=False) as folder:
        assert (folder / "done").is_file()


def test_text_with_a_file_name_that_is_not_utf_8_is_written(tmp_path: Path):
    write_text(tmp_path / "a.csv", os.fsdecode(b"M\xfcller"))
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == r"M\udcfcller"
