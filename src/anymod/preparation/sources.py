"""Preparation of a cohort from a source: a folder or a known archive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anymod.errors import ConfigurationError
from anymod.preparation.archives import ARCHIVES, find_in_archive
from anymod.preparation.folder_source import FoundSubject, find_subjects, unused_folders, with_transforms
from anymod.preparation.options import PreparationOptions, Source
from anymod.preparation.pipeline import Prepared, prepare_cohort


@dataclass(frozen=True)
class Found:
    """Content of a source: subjects, modalities in order, the archive's reference if it has one, and a line for each file not used."""

    subjects: tuple[FoundSubject, ...]
    modalities: tuple[str, ...]
    reference: str | None
    notes: tuple[str, ...]


def prepare_source(source: Source, options: PreparationOptions, out: Path, *, overwrite: bool = False) -> Prepared:
    """Find the subjects of a source and write their cohort to `out` (see `prepare_cohort`).

    Where `options.resample_to` is None, images of an archive whose own do not share a grid go on that of its reference.

    Raises:
        ConfigurationError: Transforms are given, and `options.resample_to` is not.
        AnymodError: As `find_subjects`, `find_in_archive` and `prepare_cohort` do.
    """
    if source.transform_patterns and options.resample_to is None:
        why = "it needs --resample-to, the image whose points the transforms map"
        raise ConfigurationError("missing option", "--transform-pattern", why, "add --resample-to")
    found = find(source, out)
    options = replace(options, modalities=found.modalities, resample_to=options.resample_to or found.reference)
    prepared = prepare_cohort(found.subjects, options, out, _provenance(source, options), overwrite=overwrite)
    return replace(prepared, notes=found.notes)


def find(source: Source, leave_out: Path | None = None) -> Found:
    """Return what a source holds, passing over everything in `leave_out`."""
    if source.name == "folder":
        return _find_in_folder(source, leave_out)
    archive = ARCHIVES[source.name]
    subjects, skipped = find_in_archive(source.raw, archive, leave_out)
    modalities = tuple(name for name in archive.modalities if any(name in each.files for each in subjects))
    reference = archive.reference if archive.reference in modalities else None
    notes = (f"skipped {each.path.relative_to(source.raw)}: {each.why}" for each in skipped)
    return Found(subjects, modalities, reference, tuple(notes))


def _find_in_folder(source: Source, leave_out: Path | None) -> Found:
    columns = source.patterns | source.maps
    subjects = find_subjects(source.raw, columns, source.subject_from, leave_out)
    if source.transform_patterns:
        subjects = with_transforms(source.raw, subjects, source.transform_patterns, source.subject_from, leave_out)
    # With `subject_from` a first folder may hold anything, such as a site.
    unused = unused_folders(source.raw, subjects, leave_out) if source.subject_from is None else []
    notes = tuple(f"nothing found in {source.raw / folder}" for folder in unused)
    return Found(subjects, tuple(source.patterns), None, notes)


def _provenance(source: Source, options: PreparationOptions) -> dict[str, Any]:
    return {
        "source": source.name,
        "patterns": source.patterns | source.maps,
        "subject_from": source.subject_from,
        "transforms": [f"{name}={glob}" for name, glob in source.transform_patterns.items()],
        "register": options.register,
        "cut_to": options.cut_to,
        "white_matter": options.white_matter,
    }
