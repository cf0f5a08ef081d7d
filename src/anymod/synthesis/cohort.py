"""Synthesis of the missing images of a whole cohort; a failing subject does not stop the others, and runs can be continued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from anymod.cohorts import Cohort, Subject
from anymod.engines.backends import Backend
from anymod.errors import CohortError, ModalityError, ModelFolderError, OutputError
from anymod.executors import for_each_subject, subject_executor
from anymod.files import confined, finished_record, sha256, write_json
from anymod.folders import REQUEST, claim_folder, replaced_folder, sole_run
from anymod.models import DESCRIPTION, VOXEL_ERRORS, find_model
from anymod.synthesis.files import PREVIEW, RECORD, Inputs, identity, write_subject
from anymod.synthesis.options import SynthesisOptions
from anymod.synthesis.synthesizer import Synthesizer

WRITTEN, FINISHED, SKIPPED = "written", "finished", "skipped"


@dataclass(frozen=True)
class CohortRequest:
    """Model and options of a run over a cohort. `show` names the modalities to show, None shows all images of a subject."""

    model: Path
    options: SynthesisOptions
    show: tuple[str, ...] | None = None
    device: str = "auto"
    backend: Backend = "torch"


@dataclass(frozen=True)
class CohortOutcome:
    """Names of the subjects written now, finished before, skipped because they lack nothing, and failed with the reason."""

    written: list[str]
    finished: list[str]
    skipped: list[str]
    failures: dict[str, str]


@dataclass(frozen=True)
class _Task:
    request: CohortRequest
    digest: str
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
    """Write `out`/<subject>/ for each subject; continue a run of the same request, and refuse a folder with any other result.

    Without named targets, the images that a subject lacks are made, or with `show` all that are not shown. `failures.json` lists the
    subjects that failed.
    """
    if request.backend == "auto" and not overwrite:  # a continued run keeps its engine
        before = finished_record(out / REQUEST, {}) or {}
        request = replace(request, backend=before.get("backend", "auto"))
    digest = model_digest(request.model)
    synthesizer = synthesizer_of_process(request.model, request.device, request.backend, digest)
    request = replace(request, backend=synthesizer.backend)  # the same in all processes
    known = synthesizer.description.names
    synthesizer.targets(request.show or known[:1], request.options.targets or known)
    synthesizer.check(request.options)
    wanted = [name for name in known if name in (request.show or known)]
    tasks = {subject.name: _Task(request, digest, _inputs(cohort, subject, wanted), out) for subject in subjects}
    with sole_run(out):
        _claim(out, request, synthesizer, overwrite=overwrite, keep=(cohort.root, find_model(request.model)))
        with subject_executor(workers, scheduler) as executor:
            outcomes = for_each_subject(executor, _synthesize, tasks, "synthesizing")
        outcomes.write_failures(out)
    written, finished, skipped = (
        [name for name, what in outcomes.results.items() if what == kind] for kind in (WRITTEN, FINISHED, SKIPPED)
    )
    return CohortOutcome(written, finished, skipped, outcomes.reasons())


def _inputs(cohort: Cohort, subject: Subject, wanted: Sequence[str]) -> Inputs:
    """Return the wanted images of a subject."""
    mask = cohort.path(subject, "mask") if subject.mask else None
    return Inputs({name: cohort.path(subject, name) for name in wanted if name in subject.paths}, mask, subject.name)


def _claim(
    out: Path, request: CohortRequest, synthesizer: Synthesizer, *, overwrite: bool, keep: Sequence[Path]
) -> None:
    """Claim the output folder, which is empty or holds the finished subjects of the same request."""
    content, path = _request_content(request, synthesizer), out / REQUEST
    if path.is_file() and not overwrite:
        if finished_record(path, content) is None:
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


def _synthesize(task: _Task) -> str:
    """Write one subject if it lacks something and is not finished; return what happened."""
    request, inputs = task.request, task.inputs
    synthesizer = synthesizer_of_process(request.model, request.device, request.backend, task.digest)
    known = synthesizer.description.names
    if not inputs.images:
        why = f"it has none of {'+'.join(request.show or known)}"
        raise ModalityError("no image to show", f"subject '{inputs.subject}'", why, "show something else")
    if set(inputs.images) == set(known) and request.options.targets is None:
        return SKIPPED
    folder = confined(task.out, inputs.subject, error=CohortError)
    record = finished_record(folder / RECORD, identity(synthesizer, inputs, request.options))
    if record is not None and all((folder / name).is_file() for name in record["outputs"]):
        return FINISHED
    if folder.exists():
        _check_own(folder, synthesizer)
    with replaced_folder(folder) as staging:
        write_subject(synthesizer, find_model(request.model).name, inputs, request.options, staging)
    return WRITTEN


def _check_own(folder: Path, synthesizer: Synthesizer) -> None:
    """Raise OutputError if a subject's folder that is to be replaced holds files that no synthesis wrote."""
    images = {f"{name}{kind}.nii.gz" for name in synthesizer.description.names for kind in ("", "_sd")}
    strangers = sorted({entry.name for entry in folder.iterdir()} - images - {RECORD, PREVIEW})
    if strangers:
        why = f"it holds '{strangers[0]}', which is not a result"
        raise OutputError("cannot replace", folder, why, "move it elsewhere, or choose another --out")


def model_digest(model: Path) -> str:
    """Return the SHA-256 of a model's `model.yaml`, which names its weights and its calibration, and of its voxel errors."""
    files = [find_model(model) / name for name in (DESCRIPTION, VOXEL_ERRORS)]
    return "+".join(sha256(file) for file in files if file.is_file())


@lru_cache(maxsize=1)
def synthesizer_of_process(model: Path, device: str, backend: Backend, digest: str) -> Synthesizer:
    """Return a Synthesizer that this process loads once and not for every subject.

    Raises ModelFolderError if the folder no longer holds the model that had this `model_digest` when the run began.
    """
    synthesizer = Synthesizer.from_folder(model, device, backend)
    if model_digest(model) != digest:  # compared after loading, so that a folder replaced meanwhile is noticed too
        raise ModelFolderError("another model", model, "it was replaced after the run began", "repeat the command")
    return synthesizer
