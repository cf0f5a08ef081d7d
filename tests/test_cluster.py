"""A Dask cluster makes what one process makes, also where it loses a worker: simulation, preparation, synthesis, evaluation."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from moved_phantom import phantom
from tiny_models import save_tiny_model, write_tiny_cohort

from anymod.cohorts import Cohort
from anymod.evaluation import EvaluationOptions, evaluate
from anymod.files import sha256
from anymod.preparation import PreparationOptions, find_subjects, prepare_cohort
from anymod.simulation import SimulationSettings, simulate_cohort
from anymod.synthesis import CohortRequest, SynthesisOptions, synthesize_cohort
from anymod.volumes import write_volume

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of a cluster that loses a worker
Result = TypeVar("Result")
SUBJECTS = 5


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    save_tiny_model(tmp_path / "model")
    names = [f"p{number}" for number in range(SUBJECTS)]
    return write_tiny_cohort(tmp_path / "cohort", dict.fromkeys(names, ("t1", "t2")), {"p0": "train", "p1": "train"})


def losing_a_worker(cluster: Any, work: Callable[[], Result]) -> Result:
    """Return what `work` returns though a worker of the cluster is killed as soon as it is busy."""
    with distributed.Client(cluster) as client, ThreadPoolExecutor(1) as aside:
        result = aside.submit(work)
        while not any(client.processing().values()):
            assert not result.done(), result.exception()
            time.sleep(0.005)
        cluster.workers[0].close_gracefully()  # its nanny starts no other in its place
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        return result.result(timeout=300)


def contents(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    return {str(path.relative_to(folder)): sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_simulation(cluster: Any, tmp_path: Path) -> None:
    settings = SimulationSettings(spacing_mm=8.0)
    one = simulate_cohort(tmp_path / "one" / "c", 3, 5, settings)
    many = simulate_cohort(tmp_path / "many" / "c", 3, 5, settings, scheduler=cluster.scheduler_address)
    assert contents(many.root) == contents(one.root)


def test_evaluation(cluster: Any, cohort: Cohort, tmp_path: Path) -> None:
    options = EvaluationOptions(device="cpu")
    one, many = (
        [asdict(score) for score in evaluate(tmp_path / "model", cohort, each, tmp_path / "cache").scores]
        for each in (options, replace(options, scheduler=cluster.scheduler_address))
    )
    assert {score["subject"] for score in one} == {f"p{number}" for number in range(2, SUBJECTS)}
    assert many == one


def test_synthesis(cluster: Any, cohort: Cohort, tmp_path: Path) -> None:
    request = CohortRequest(tmp_path / "model", SynthesisOptions(temperature=0.7, samples=2, seed=4), device="cpu")

    def synthesized(name: str, **where: Any) -> dict[str, str]:
        outcome = synthesize_cohort(cohort, cohort.subjects, request, tmp_path / name, **where)
        assert len(outcome.written) == SUBJECTS
        return {name: digest for name, digest in contents(tmp_path / name).items() if name.endswith(".nii.gz")}

    one = synthesized("one")
    assert len(one) == 2 * SUBJECTS  # flair and its deviation
    assert synthesized("many", scheduler=cluster.scheduler_address) == one


def test_preparation_that_loses_a_worker(cluster: Any, tmp_path: Path) -> None:
    for number in range(3):
        for name, still in (("t1", phantom(number)), ("t2", phantom(number, 2.0))):
            write_volume(tmp_path / f"raw/p{number}/{name}.nii.gz", still)
    found = find_subjects(tmp_path / "raw", {"t1": "**/t1.nii.gz", "t2": "**/t2.nii.gz"})
    options = PreparationOptions(("t1", "t2"), resample_to="t1")
    one = prepare_cohort(found, options, tmp_path / "one" / "c", {}).cohort
    clustered = replace(options, scheduler=cluster.scheduler_address)
    many = losing_a_worker(cluster, lambda: prepare_cohort(found, clustered, tmp_path / "many" / "c", {})).cohort
    assert contents(many.root) == contents(one.root)
