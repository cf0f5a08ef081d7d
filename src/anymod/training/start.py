"""Start of a run: its folder, its processes and its slices, then the loop."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from anymod.cohorts import Cohort, Subject
from anymod.cohorts.patients import separated_visits
from anymod.configuration import write_yaml
from anymod.errors import AnymodError, CohortError, ConfigurationError, MissingExtraError, OutputError
from anymod.folders import claim_folder, sole_run
from anymod.models import built
from anymod.processes import end_with_parent
from anymod.slices import build_cache, check_same_slices
from anymod.training.adversary import real_subjects
from anymod.training.recipe import Recipe, read_recipe

CONFIGURATION, CACHE = "config.yaml", "cache"

logger = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    cohort: Cohort,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    processes: int = 1,
) -> Path | None:
    """Train on the cohort's `train` subjects and return the model folder, `out/model` (None in every process but the first).

    `out` gets config.yaml, metrics.csv, tensorboard/, pictures/, checkpoints/, model/ and cache/. `resume` continues
    a stopped run from its newest checkpoint; on the CPU the final weights are bit-identical to those of an uninterrupted run.
    `processes` share every batch (with `torchrun`, give its number of processes). SIGTERM saves a checkpoint and raises `Terminated`.

    Raises OutputError where `out` holds another run or one that still runs, CohortError where nothing can be trained on or the run began
    with another cohort, DivergenceError where numbers stop being finite.
    """
    if recipe.training.batch_size % processes:
        why = f"{recipe.training.batch_size} slices cannot be shared by {processes} processes"
        raise ConfigurationError("invalid value", "training.batch_size", why, "choose a multiple")
    train_subjects = cohort.of_split("train")
    _warn_about_separated_visits(cohort)
    _check_modalities(cohort, {name for subject in train_subjects for name in subject.observed})
    # Both raise before anything is written.
    real_subjects(cohort, recipe.objective)
    with torch.device("meta"):
        built(recipe.model, cohort.modality_names, "model", error=ConfigurationError)
    fabric = _launch(device, processes, recipe.training.precision)
    if not fabric.is_global_zero:
        logging.getLogger("anymod").setLevel(logging.WARNING)  # one process reports progress
    subjects = [*train_subjects, *cohort.of_split("validation")]
    with ExitStack() as stack:

        def begin() -> None:
            stack.enter_context(sole_run(out))
            if resume and (out / CONFIGURATION).is_file():
                _check_same_run(out, recipe, cohort, subjects)
            else:
                _claim(out, recipe, cohort, overwrite=overwrite)

        _first_alone(fabric, begin)
        with fabric.rank_zero_first():
            cache = build_cache(cohort, subjects, recipe.cache_settings, out / CACHE)
        return _go(recipe, cohort, cache, out, fabric)


def _go(recipe: Recipe, cohort: Cohort, cache: Any, out: Path, fabric: Any) -> Path | None:
    from anymod.training import loop  # TensorBoard and matplotlib load only after the input has been checked
    from anymod.training.records import Records

    share = loop.Share(fabric.global_rank, fabric.world_size, fabric.device, fabric)
    run = loop.Run(recipe, cohort, cache, out, share)
    loop.resume(run)
    logger.info(
        "training %s on %d slices of %d subjects from step %d to %d",
        out,
        run.plan.slices_per_epoch,
        len(cache.of_split("train")),
        run.step,
        recipe.training.steps,
    )
    records = Records(out, run.step) if fabric.is_global_zero else None
    try:
        run.train(records)
    finally:
        if records is not None:
            records.close()
    fabric.barrier()
    _leave_group()
    return out / loop.MODEL if fabric.is_global_zero else None


def _first_alone(fabric: Any, work: Callable[[], None]) -> None:
    """Run `work` in the first process; its error is raised in all processes, so that none waits for one that has ended."""
    problem: AnymodError | None = None
    if fabric.is_global_zero:
        try:
            work()
        except AnymodError as error:
            problem = error
    problem = fabric.broadcast(problem)
    if problem is not None:
        raise problem


def _launch(device: str, processes: int, precision: str) -> Any:
    """Return a launched Fabric, which finds the device, joins the processes (of torchrun, SLURM or its own) and casts."""
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import TorchElasticEnvironment
        from lightning_fabric.utilities.exceptions import MisconfigurationException
    except ImportError:
        remedy = "install anymod[train]"
        raise MissingExtraError("no Lightning", "anymod train", "pytorch-lightning is not installed", remedy) from None
    local, nodes = _processes_here(processes)
    accelerator, _, index = device.partition(":")
    devices: int | list[int] = [int(index)] if index else local
    strategy = "ddp" if processes > 1 else "auto"
    try:
        fabric = Fabric(
            accelerator=accelerator, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision
        )
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        remedy = "choose another --device or fewer --processes"
        raise ConfigurationError("no such device", f"--device {device}", str(error).rstrip("."), remedy) from error
    fabric.launch()
    if processes > 1 and (TorchElasticEnvironment.detect() or not fabric.is_global_zero):
        end_with_parent()
    return fabric


def _processes_here(processes: int) -> tuple[int, int]:
    """Return (processes on this machine, machines) as torchrun or SLURM started them; (`processes`, 1) if neither did.

    Raises ConfigurationError if they started another number of processes, or not the same number on each machine.
    """
    from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        program, started, local = "torchrun", int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    elif "SLURM_NTASKS_PER_NODE" in os.environ and SLURMEnvironment.detect():
        program, started = "SLURM", int(os.environ["SLURM_NTASKS"])
        local = int(os.environ["SLURM_NTASKS_PER_NODE"])
    else:
        return processes, 1
    if started != processes:
        why = f"{program} started {started} processes, not {processes}"
        raise ConfigurationError("invalid value", "--processes", why, f"give --processes {started}")
    if started % local:
        why = f"{program} started {local} of {started} processes on this machine"
        raise ConfigurationError("uneven machines", "--processes", why, "start the same number on each machine")
    return local, started // local


def _leave_group() -> None:
    """Leave the group of processes, if there is one: a process that ends inside it may abort while its threads run."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _warn_about_separated_visits(cohort: Cohort) -> None:
    splits = {subject.name: subject.split for subject in cohort.subjects}
    pairs = separated_visits(splits, cohort.patients)
    if pairs:
        text = "visits of one patient are in different splits (%d), such as '%s' and '%s': scores will be too good"
        logger.warning(text, len(pairs), *pairs[0])


def _check_modalities(cohort: Cohort, observed: set[str]) -> None:
    if not observed:
        remedy = "give subjects the split 'train' in subjects.csv"
        raise CohortError(
            "nothing to train on", cohort.root / "subjects.csv", "no subject has the split 'train'", remedy
        )
    never = [name for name in cohort.modality_names if name not in observed]
    if never:
        remedy = "remove it from cohort.yaml or add a subject that has it"
        raise CohortError("unobserved modality", cohort.root, f"no training subject has {', '.join(never)}", remedy)


def _check_same_run(out: Path, recipe: Recipe, cohort: Cohort, subjects: Sequence[Subject]) -> None:
    """Raise OutputError where the run in `out` began with another recipe, CohortError where it began with other images."""
    path = out / CONFIGURATION
    mine, theirs = (_flat(each.model_dump(mode="json")) for each in (recipe, read_recipe(path)))
    differing = sorted(mine.items() ^ theirs.items())
    if differing:
        why = f"'{differing[0][0]}' differs from the recipe of the run"
        raise OutputError("cannot resume", path, why, "resume with the same recipe, or train into another --out")
    check_same_slices(cohort, subjects, recipe.cache_settings, out / CACHE)


def _claim(out: Path, recipe: Recipe, cohort: Cohort, *, overwrite: bool) -> None:
    """Claim a fresh folder and write the recipe into it."""
    if (out / CONFIGURATION).is_file() and not overwrite:
        raise OutputError("cannot train", out, "it holds a run already", "add --resume to continue it, or --overwrite")
    claim_folder(out, overwrite=overwrite, keep=(cohort.root,))
    write_yaml(out / CONFIGURATION, recipe.model_dump(mode="json"))


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return {dotted name: value as text} of nested mappings."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" != "data.repeats":  # its order counts
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = repr(value)
    return flat
