"""Preparing many subjects: time and memory, with a kill in the middle, and the size of the report.

    python benchmarks/preparation.py --subjects 1000 --workers 2 --work /tmp/many

Makes a tree of small heads (t1 of all, t2 of two thirds), runs `anymod prepare`, kills it when half of the subjects are finished, and
runs it again. Prints seconds of both, and the largest resident set of any process of theirs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from anymod.cohorts import read_cohort
from anymod.volumes import Grid, Volume, write_volume

SHAPE = (64, 72, 56)


def main(
    work: Annotated[Path, typer.Option(help="Folder to create; it stays.")],
    subjects: Annotated[int, typer.Option()] = 1000,
    workers: Annotated[int, typer.Option()] = 2,
) -> None:
    """Prepare, be killed, go on, and print what it took."""
    raw, out = work / "raw", work / "cohort"
    make_heads(raw, subjects)
    command = [sys.executable, "-m", "anymod", "prepare", "--raw", str(raw), "--out", str(out), "--quiet"]
    command += ["--pattern=t1=**/t1.nii.gz", "--pattern=t2=**/t2.nii.gz", "--resample-to=t1", f"--workers={workers}"]
    finished = work / ".unfinished-cohort/.finished"
    first = run(command, until=lambda: finished.is_dir() and sum(1 for _ in finished.iterdir()) >= subjects // 2)
    second = run(command)
    cohort = read_cohort(out)
    result = {
        "subjects": len(cohort.subjects),
        "images": sum(len(subject.paths) for subject in cohort.subjects),
        "seconds_until_killed": first[0],
        "seconds_to_go_on": second[0],
        "largest_process_mib": max(first[1], second[1]),
        "report_mib": round((out / "report.html").stat().st_size / 2**20, 1),
    }
    print(json.dumps(result, indent=2))


def make_heads(raw: Path, subjects: int) -> None:
    """Write ellipsoids with noise; t2 is t1 shifted by half a voxel, so that something is resampled."""
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij"))
    inside = (places**2).sum(0) < 0.8
    still, shifted = (np.diag([3.0, 3.0, 3.0, 1.0]) for _ in range(2))
    shifted[:3, 3] = 1.5
    for number in range(subjects):
        draws = np.random.default_rng(number)
        for name, affine in (("t1", still), ("t2", shifted)):
            if name == "t1" or number % 3:
                data = np.where(inside, draws.normal(100, 20, SHAPE).clip(1), 0).astype(np.int16)
                write_volume(raw / f"p{number:04d}" / f"{name}.nii.gz", Volume(data, Grid(SHAPE, affine)))


def run(command: list[str], until: Callable[[], bool] = lambda: False) -> tuple[float, int]:
    """Return (seconds, MiB of the largest process) of a command, killed with its children as soon as `until` says so."""
    start, largest = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 (our own program)
    while process.poll() is None:
        largest = max(largest, *(resident_mib(each) for each in session_of(process.pid)), 0)
        if until():
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.2)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"status {process.returncode}")
    return round(time.monotonic() - start, 1), largest


def session_of(leader: int) -> list[int]:
    """Return the processes of a session (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[3]) == leader:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def resident_mib(process: int) -> int:
    """Return the resident set of a process, 0 where it is gone (Linux)."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 // 2**20
    except OSError:
        return 0


if __name__ == "__main__":
    typer.run(main)
