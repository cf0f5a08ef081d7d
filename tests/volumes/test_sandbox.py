"""The child process that parses DICOM and MINC: what it returns, its limits, and what its death means."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_phantom import VOXELS, save

from anymod.errors import OutputError, VolumeError
from anymod.volumes import image_fingerprint, read_volume
from anymod.volumes.formats.dicom import parse_series
from anymod.volumes.formats.sandbox import _limits, parse_in_sandbox

LOADED = "print(sorted({'torch', 'SimpleITK', 'nibabel'} & set(sys.modules)))"


def refused(path: Path, pattern: str) -> None:
    """Assert that a file is refused by one line that names it."""
    with pytest.raises(VolumeError, match=pattern) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_child_returns_what_the_parser_returns(tmp_path: Path):
    series = save(tmp_path / "series", lambda i, made: setattr(made, "BurnedInAnnotation", "YES"))
    here, there = parse_series(series), parse_in_sandbox(series)
    assert (there.shape, there.files, there.notes) == (here.shape, here.files, here.notes)
    np.testing.assert_array_equal(there.affine, here.affine)
    np.testing.assert_array_equal(there.values(), VOXELS)


def test_an_error_of_the_child_is_an_error_here(tmp_path: Path):
    refused(tmp_path, "no DICOM image")
    with pytest.raises(VolumeError, match="no DICOM image"):
        image_fingerprint(tmp_path)


def test_a_child_without_memory_ends_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("anymod.volumes.formats.sandbox.MEMORY_BYTES", 2**20)
    refused(save(tmp_path / "series"), "its reader ended with status|more memory than such files should")


def test_a_child_that_takes_too_long_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("anymod.volumes.formats.sandbox.WAITING", 1e-6)
    refused(save(tmp_path / "series"), "longer than such files should")


def test_a_child_that_something_else_kills_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = subprocess.Popen

    def killed(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        return real([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], **options)

    monkeypatch.setattr("anymod.volumes.formats.sandbox.subprocess.Popen", killed)
    with pytest.raises(OutputError, match="its reader was killed"):
        read_volume(save(tmp_path / "series"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "spend", "status"),
    [((2**40, 1), "while True: pass", -signal.SIGXCPU), ((2**30, 60), f"{LOADED}; bytes(2**31)", 1)],
)
def test_the_child_limits_itself_and_loads_little(limits: tuple[int, int], spend: str, status: int):
    code = f"import sys\nfrom anymod.volumes.formats.sandbox_child import limit\nlimit{limits}\n{spend}"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=120)
    assert done.returncode == status
    assert status < 0 or (done.stdout.strip() == b"[]" and b"MemoryError" in done.stderr)


def test_the_limits_grow_with_a_dicom_folder_and_not_with_the_folder_of_a_minc_file(tmp_path: Path):
    folder = save(tmp_path / "series")
    (folder / "a.mnc").write_bytes(b"CDF\x01" + bytes(300))
    paths = (folder, folder / "0.dcm", folder / "a.mnc")
    before = [_limits(path) for path in paths]
    with (folder / "large.bin").open("wb") as file:
        file.truncate(2**33)
    after = [_limits(path) for path in paths]
    assert before[0] == before[1] < after[0] == after[1]
    assert before[2] == after[2]


def test_a_module_in_the_working_directory_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path / "series")
    (tmp_path / "pydicom.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(read_volume("series").data, VOXELS)
