"""How many processes of a training run here, and on how many machines."""

from __future__ import annotations

import pytest
from cohort_phantoms import CohortMaker, make_cohort  # noqa: F401

from anymod.errors import ConfigurationError
from anymod.training import start

TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
SLURM = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2"}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TORCHRUN, *SLURM):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("launcher", [TORCHRUN, SLURM], ids=["torchrun", "slurm"])
def test_processes_of_a_launcher_are_spread_over_its_machines(
    monkeypatch: pytest.MonkeyPatch, launcher: dict[str, str]
) -> None:
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    assert start._processes_here(8) == (4, 2)
    with pytest.raises(ConfigurationError, match="started 8 processes, not 4; give --processes 8"):
        start._processes_here(4)


def test_machines_with_different_numbers_of_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TORCHRUN | {"LOCAL_WORLD_SIZE": "3"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="uneven machines"):
        start._processes_here(8)


def test_without_a_launcher_all_processes_run_here() -> None:
    assert start._processes_here(3) == (3, 1)


def test_patient_in_training_and_test_is_told(
    make_cohort: CohortMaker,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    cohort = make_cohort({"P7_visit1": ("t1",), "P7_visit2": ("t1",)}, {"P7_visit2": "test"})
    start._warn_about_separated_visits(cohort)
    assert "visits of one patient are in different splits (1), such as 'P7_visit1' and 'P7_visit2'" in caplog.text
