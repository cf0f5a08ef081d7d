"""A preparation that is killed and continued writes the same cohort as an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from moved_phantom import phantom

from anymod.cohorts import read_cohort
from anymod.preparation import PreparationOptions, find_subjects, prepare_cohort
from anymod.volumes import read_volume

SUBJECTS = 4


def begin(raw: Path, out: Path) -> subprocess.Popen[bytes]:
    patterns = [f"--pattern={name}=**/{name}.nii.gz" for name in ("t1", "t2")]
    command = [sys.executable, "-m", "anymod", "prepare", "--raw", str(raw), *patterns, "--out", str(out), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def files_in(folder: Path) -> int:
    """Return how many files, finished or not, lie below the folder."""
    return sum(1 for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_killed_preparation_can_be_continued(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    raw, generator = tmp_path / "raw", np.random.default_rng(3)
    for number in range(SUBJECTS):
        for modality, name in enumerate(("t1", "t2")):
            still = phantom(SUBJECTS * modality + number)
            write_image(raw / f"p{number}" / f"{name}.nii.gz", still.data, still.affine)
    found = find_subjects(raw, {"t1": "**/t1.nii.gz", "t2": "**/t2.nii.gz"})
    undisturbed = prepare_cohort(found, PreparationOptions(("t1", "t2")), tmp_path / "undisturbed", {}).cohort
    out = tmp_path / "cohort"
    unfinished, killed = tmp_path / ".unfinished-cohort", 0
    somewhere = int(generator.integers(2, 3 * SUBJECTS))  # two images and a record each
    checking = (unfinished / "cohort.yaml").exists
    for begun in (lambda: files_in(unfinished) >= somewhere, checking):
        process = begin(raw, out)
        while process.poll() is None and not begun():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += process.returncode == -signal.SIGKILL
        for path in unfinished.rglob("*.nii.gz"):
            if not path.name.startswith(".writing-"):
                read_volume(path)  # a file with its final name is complete
    assert killed == 2
    assert not out.exists()
    assert begin(raw, out).wait() == 0
    assert read_cohort(out).fingerprint() == undisturbed.fingerprint()
    assert not list(tmp_path.glob(".unfinished-*"))
    assert not list(out.rglob(".*"))
    assert "4 subjects, 0 problems" in (out / "report.html").read_text()
