"""Synthesis and evaluation on a Dask cluster of two workers, one of which is killed: what one process makes, two and the cluster make."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tiny_models import save_tiny_model, write_tiny_cohort

from anymod.cohorts import Cohort
from anymod.evaluation import EvaluationOptions, evaluate
from anymod.files import sha256
from anymod.synthesis import CohortRequest, SynthesisOptions, synthesize_cohort

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of a cluster that loses a worker
Result = TypeVar("Result")
SUBJECTS = 10


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    save_tiny_model(tmp_path / "model")
    names = [f"p{number}" for number in range(SUBJECTS)]
    return write_tiny_cohort(tmp_path / "cohort", dict.fromkeys(names, ("t1", "t2")), {"p0": "train", "p1": "train"})


def losing_a_worker(work: Callable[[str], Result]) -> Result:
    """Return what `work`, given a scheduler's address, returns though a worker is killed as soon as it is busy."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        ThreadPoolExecutor(1) as aside,
    ):
        result = aside.submit(work, cluster.scheduler_address)
        while not any(client.processing().values()):
            assert not result.done(), result.exception()
            time.sleep(0.005)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        return result.result(timeout=300)


def test_synthesis(cohort: Cohort, tmp_path: Path) -> None:
    options = SynthesisOptions(temperature=0.7, samples=2, seed=4)
    request = CohortRequest(tmp_path / "model", options, device="cpu")

    def synthesized(name: str, **where: Any) -> dict[str, str]:
        outcome = synthesize_cohort(cohort, cohort.subjects, request, tmp_path / name, **where)
        assert len(outcome.written) == SUBJECTS
        images = (tmp_path / name).rglob("*.nii.gz")
        return {str(image.relative_to(tmp_path / name)): sha256(image) for image in images}

    one = synthesized("one")
    assert len(one) == 2 * SUBJECTS  # flair and its deviation
    assert synthesized("two", workers=2) == one
    assert losing_a_worker(lambda scheduler: synthesized("many", scheduler=scheduler)) == one


def test_evaluation(cohort: Cohort, tmp_path: Path) -> None:
    options = EvaluationOptions(device="cpu")

    def scored(**where: Any) -> list[dict[str, Any]]:
        return [asdict(score) for score in evaluate(tmp_path / "model", cohort, replace(options, **where)).scores]

    one = scored()
    assert {score["subject"] for score in one} == {f"p{number}" for number in range(2, SUBJECTS)}
    assert scored(workers=2) == one
    assert losing_a_worker(lambda scheduler: scored(scheduler=scheduler)) == one
