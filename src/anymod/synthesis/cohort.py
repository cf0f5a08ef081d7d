"""A whole cohort filled in, subject after subject: continued where it stopped, and one failure stops nobody else."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from anymod.cohorts import Cohort, Subject
from anymod.engines.backends import Backend
from anymod.errors import AnymodError, CohortError, ModalityError, OutputError
from anymod.executors import completed, subject_executor
from anymod.files import claim_folder, staged_folder, write_json
from anymod.models import find_model
from anymod.progress import track
from anymod.synthesis.files import PREVIEW, RECORD, Inputs, identity, write_subject
from anymod.synthesis.options import SynthesisOptions
from anymod.synthesis.synthesizer import Synthesizer

REQUEST, FAILURES = "request.json", "failures.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortRequest:
    """What a run over a cohort was asked for. `show` hides everything else; None shows all that a subject has."""

    model: Path
    options: SynthesisOptions
    show: tuple[str, ...] | None = None
    device: str = "auto"
    backend: Backend = "torch"


@dataclass(frozen=True)
class CohortOutcome:
    """Names of the subjects written now, found finished, left alone as they lack nothing, and failed with the reason."""

    written: list[str]
    finished: list[str]
    skipped: list[str]
    failures: dict[str, str]


@dataclass(frozen=True)
class _Task:
    request: CohortRequest
    inputs: Inputs
    out: Path


def synthesize_cohort(
    cohort: Cohort,
    subjects: Sequence[Subject],
    request: CohortRequest,
    out: Path,
    *,
    overwrite: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
) -> CohortOutcome:
    """Write `out`/<subject>/ for each subject; a run of the same request continues, any other result is refused.

    Targets that are not named: what the subject lacks, or with `show` everything not shown. `failures.json` names what failed.
    """
    if request.backend == "auto" and not overwrite:  # what goes on goes on with the engine that it began with
        before = _stored(out / REQUEST, {"backend": None}) or {}
        request = replace(request, backend=before.get("backend", "auto"))
    synthesizer = _synthesizer(request.model, request.device, request.backend)
    request = replace(request, backend=synthesizer.backend)  # one choice for all processes
    known = synthesizer.description.names
    synthesizer.targets(request.show or known[:1], request.options.targets or known)
    _claim(out, request, synthesizer, overwrite=overwrite, keep=(cohort.root, find_model(request.model)))
    tasks, outcome = [], CohortOutcome([], [], [], {})
    for subject in subjects:
        try:
            inputs = _inputs(cohort, subject, request, known)
        except AnymodError as error:
            _note(outcome, subject.name, error)
            continue
        if set(inputs.images) == set(known) and request.options.targets is None:
            outcome.skipped.append(subject.name)
        else:
            tasks.append(_Task(request, inputs, out))
    with subject_executor(workers, scheduler) as executor:
        for task, result in track(completed(executor, _synthesize, tasks), "synthesizing", len(tasks)):
            _note(outcome, task.inputs.subject, result)
    (out / FAILURES).unlink(missing_ok=True)
    if outcome.failures:
        write_json(out / FAILURES, {"failures": outcome.failures})
    return outcome


def _note(outcome: CohortOutcome, subject: str, result: bool | Exception) -> None:
    if isinstance(result, Exception):
        text = str(result) if isinstance(result, AnymodError) else f"{type(result).__name__}: {result}"
        outcome.failures[subject] = text
        logger.warning("%s: %s", subject, text)
        logger.debug("%s", subject, exc_info=result)
    else:
        (outcome.written if result else outcome.finished).append(subject)


def _inputs(cohort: Cohort, subject: Subject, request: CohortRequest, known: Sequence[str]) -> Inputs:
    """Return the files that are shown of a subject; raise ModalityError where there are none."""
    names = [name for name in known if name in subject.paths and (request.show is None or name in request.show)]
    if not names:
        wanted = "+".join(request.show or known)
        why = f"it has {'+'.join(subject.observed)}, nothing of {wanted}"
        raise ModalityError("no image to show", f"subject '{subject.name}'", why, "show something else")
    mask = cohort.path(subject, "mask") if subject.mask else None
    return Inputs({name: cohort.path(subject, name) for name in names}, mask, subject.name)


def _claim(
    out: Path, request: CohortRequest, synthesizer: Synthesizer, *, overwrite: bool, keep: Sequence[Path]
) -> None:
    """Take the output folder: empty, or with what the same request left there."""
    content = json.loads(json.dumps(_request_content(request, synthesizer)))
    path = out / REQUEST
    if path.is_file() and not overwrite:
        if _stored(path, content) != content:
            why = "a run with another model or other options wrote it"
            raise OutputError("cannot continue", out, why, "choose another --out or add --overwrite")
        return
    claim_folder(out, overwrite=overwrite, keep=keep)
    write_json(path, content)


def _request_content(request: CohortRequest, synthesizer: Synthesizer) -> dict[str, Any]:
    return {
        "model_sha256": synthesizer.description.weights_sha256,
        "model_fingerprint": synthesizer.description.fingerprint(),
        "backend": request.backend,
        "show": request.show,
        "targets": request.options.targets,
        **request.options.draws(),
    }


def _synthesize(task: _Task) -> bool:
    """Write one subject; False where it was finished before."""
    synthesizer = _synthesizer(task.request.model, task.request.device, task.request.backend)
    folder = task.out / task.inputs.subject
    if not folder.resolve().is_relative_to(task.out.resolve()):
        raise CohortError("path outside its folder", task.inputs.subject, "it leaves the output", "rename the subject")
    wanted = json.loads(json.dumps(identity(synthesizer, task.inputs, task.request.options)))
    if _stored(folder / RECORD, wanted) == wanted and _outputs_are_there(folder):
        return False
    if folder.exists():
        _check_own(folder, synthesizer)
        shutil.rmtree(folder)
    with staged_folder(folder, overwrite=False) as staging:
        write_subject(synthesizer, find_model(task.request.model).name, task.inputs, task.request.options, staging)
    return True


def _outputs_are_there(folder: Path) -> bool:
    """Return whether every image that a readable record names lies beside it."""
    outputs = json.loads((folder / RECORD).read_text(encoding="utf-8"))["outputs"]
    return all((folder / name).is_file() for name in outputs)


def _check_own(folder: Path, synthesizer: Synthesizer) -> None:
    """Raise OutputError where a subject's folder, about to be made again, holds what no synthesis wrote."""
    images = {f"{name}{kind}.nii.gz" for name in synthesizer.description.names for kind in ("", "_sd")}
    strangers = sorted({entry.name for entry in folder.iterdir()} - images - {RECORD, PREVIEW})
    if strangers:
        why = f"it holds '{strangers[0]}', which is no result"
        raise OutputError("cannot make again", folder, why, "move it elsewhere, or choose another --out")


def _stored(path: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return the entries of a JSON file that `wanted` has too; None where there is no readable one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {key: content[key] for key in wanted if key in content} if isinstance(content, dict) else None


@lru_cache(maxsize=1)
def _synthesizer(model: Path, device: str, backend: Backend) -> Synthesizer:
    """Return the Synthesizer of this process: loaded once, not once a subject."""
    return Synthesizer.from_folder(model, device, backend)
