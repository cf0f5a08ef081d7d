"""Verbs that are killed at random moments: a result is whole, or the same command completes it and leaves nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from phantom_cohort import make_cohort, make_recipe
from tiny_models import save_tiny_model, write_tiny_cohort

KILLED = """
import os, random, signal, time
from pathlib import Path
from matplotlib.figure import Figure
import anymod.synthesis.cohort, anymod.training.loop
from anymod.cli import app

Figure.savefig = lambda figure, target, **options: Path(target).write_bytes(b"")  # drawing takes most of the time
VERBS = {
    "synthesize --model model --input t1=cohort/subjects/a/t1.nii.gz": ("synthesis.json", 2),
    "impute --model model --cohort cohort": (None, 2),
    "train --config recipe.yaml --cohort phantoms --resume": (None, 1),
}
draws, out = random.Random(0), Path("out")


def run(arguments):
    app([*arguments.split(), "--device", "cpu", "--quiet", "--out", "out"])  # ends in SystemExit


def status_of(arguments, kill_after=None):
    child = os.fork()
    if child == 0:
        try:
            run(arguments)
        except SystemExit as end:
            os._exit(end.code or 0)  # taking torch down takes longer than the verb
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def visible():
    names = (str(path) for path in out.rglob("*") if path.is_file())
    return {name for name in names if "/." not in name and "tensorboard" not in name}


for arguments, (record, kills) in VERBS.items():
    start = time.monotonic()
    try:
        run(arguments)  # here, so that the forks find everything loaded
    except SystemExit as end:
        assert not end.code, arguments
    seconds, whole, killed = time.monotonic() - start, visible(), 0
    out.rename(f"undisturbed-{arguments.split()[0]}")
    while killed < kills:
        if status_of(arguments, draws.uniform(0, seconds)) == -signal.SIGKILL:
            killed += 1
        else:
            seconds /= 2  # it ended before: the first run also loads
        if record is not None and (out / record).exists():
            assert visible() == whole, (arguments, visible() ^ whole)
            out.rename(f"whole-{time.monotonic()}")
    assert status_of(arguments) == 0, arguments
    assert visible() == whole, (arguments, visible() ^ whole)
    hidden = [*out.rglob(".*"), *Path().glob(".*")]
    assert not hidden, (arguments, hidden)
    out.rename(f"continued-{arguments.split()[0]}")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks of a process")
def test_a_verb_that_is_killed_is_completed_by_the_same_command(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    write_tiny_cohort(tmp_path / "cohort", dict.fromkeys("ab", ("t1", "t2")), {"b": "train"})
    make_cohort(tmp_path / "phantoms")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(make_recipe(steps=4).model_dump(mode="json")))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads do not survive a fork
    command = [sys.executable, "-c", KILLED]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = [tmp_path / run / "model/weights.safetensors" for run in ("undisturbed-train", "continued-train")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
