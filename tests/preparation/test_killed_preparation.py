"""A preparation that is killed, or loses a worker of its cluster, finally writes the same cohort as an undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moved_phantom import known_movement, moved, phantom

from anymod.cohorts import read_cohort
from anymod.files import sha256
from anymod.preparation import PreparationOptions, find_subjects, prepare_cohort
from anymod.volumes import read_volume

SUBJECTS, KILLS = 4, 2


def begin(raw: Path, out: Path) -> subprocess.Popen[bytes]:
    patterns = [f"--pattern={name}=**/{name}.nii.gz" for name in ("t1", "t2")]
    command = [sys.executable, "-m", "anymod", "prepare", "--raw", str(raw), *patterns, "--out", str(out), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def wait_for_files(process: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    """Return when the process has ended, or when that many files, finished or not, lie below the folder."""
    while process.poll() is None and sum(1 for path in folder.rglob("*") if path.is_file()) < count:
        time.sleep(0.002)


@pytest.mark.slow
def test_a_killed_preparation_can_be_continued(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    raw, generator = tmp_path / "raw", np.random.default_rng(3)
    for number in range(SUBJECTS):
        for name in ("t1", "t2"):
            still = phantom(number)
            write_image(raw / f"p{number}" / f"{name}.nii.gz", still.data, still.affine)
    found = find_subjects(raw, {"t1": "**/t1.nii.gz", "t2": "**/t2.nii.gz"})
    undisturbed = prepare_cohort(found, PreparationOptions(("t1", "t2")), tmp_path / "undisturbed", {}).cohort
    out = tmp_path / "cohort"
    killed, most = 0, 3 * SUBJECTS  # two images and a record each
    for points in sorted(generator.integers(2, most, KILLS).tolist()):
        process = begin(raw, out)
        wait_for_files(process, tmp_path / ".unfinished-cohort", points)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += process.returncode == -signal.SIGKILL
        for path in (tmp_path / ".unfinished-cohort").rglob("*.nii.gz"):
            if not path.name.startswith(".writing-"):
                read_volume(path)  # a file with its final name is complete
    assert killed
    assert begin(raw, out).wait() == 0
    assert read_cohort(out).fingerprint() == undisturbed.fingerprint()
    assert not list(tmp_path.glob(".unfinished-*"))
    assert not list(out.rglob(".*"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # warnings of a cluster that loses a worker
def test_a_cluster_that_loses_a_worker_prepares_the_same_cohort(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    distributed = pytest.importorskip("distributed")
    for number in range(SUBJECTS):
        for name, still in (("t1", phantom(number)), ("t2", moved(phantom(number), known_movement()))):
            write_image(tmp_path / f"raw/p{number}/{name}.nii.gz", still.data, still.affine)
    found = find_subjects(tmp_path / "raw", {"t1": "**/t1.nii.gz", "t2": "**/t2.nii.gz"})
    options = PreparationOptions(("t1", "t2"), resample_to="t1", register="rigid")
    one = prepare_cohort(found, options, tmp_path / "one" / "c", {}).cohort
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        ThreadPoolExecutor(1) as aside,
    ):
        clustered = replace(options, scheduler=cluster.scheduler_address)
        made = aside.submit(prepare_cohort, found, clustered, tmp_path / "two" / "c", {})
        while not list((tmp_path / "two").rglob("*.tfm")):
            time.sleep(0.02)
            assert not made.done()
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        two = made.result(timeout=300).cohort
    for path in sorted(one.root.rglob("*")):
        if path.is_file():
            assert sha256(path) == sha256(two.root / path.relative_to(one.root)), path.name
