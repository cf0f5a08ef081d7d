"""Preparation of a cohort from a source: a folder or a known archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from anymod.errors import ConfigurationError
from anymod.preparation.archives import ARCHIVES, find_in_archive
from anymod.preparation.folder_source import FoundSubject, find_subjects, unused_folders, with_patients, with_transforms
from anymod.preparation.options import PreparationOptions, Source
from anymod.preparation.pipeline import Plan, Prepared, prepare_cohort
from anymod.preparation.sharding import merge_prepared, prepare_shard
from anymod.shards import Shard

Found = tuple[tuple[FoundSubject, ...], PreparationOptions, list[str]]
"""Subjects, the options with their modalities, and a line for each file or folder that is not used."""


def prepare_source(source: Source, options: PreparationOptions, out: Path, *, overwrite: bool = False) -> Prepared:
    """Find the subjects of a source and write their cohort to `out` (see `prepare_cohort` and `find`, whose errors it raises)."""
    found, options, notes = find(source, options, out)
    prepared = prepare_cohort(found, options, out, _provenance(source, options), overwrite=overwrite)
    return replace(prepared, notes=(*prepared.notes, *notes))


def prepare_source_shard(
    source: Source, options: PreparationOptions, out: Path, shard: Shard, *, overwrite: bool = False
) -> dict[str, str]:
    """Find the subjects of a source and convert a share of them (see `prepare_shard`); return why subjects were left out."""
    found, options, _ = find(source, options, out)
    return prepare_shard(Plan.of(found, options, _provenance(source, options)), out, shard, overwrite=overwrite)


def merge_source(
    source: Source, options: PreparationOptions, out: Path, count: int, *, overwrite: bool = False
) -> Prepared:
    """Find the subjects of a source and merge the finished shards to their cohort (see `merge_prepared`)."""
    found, options, notes = find(source, options, out)
    plan = Plan.of(found, options, _provenance(source, options))
    prepared = merge_prepared(plan, out, count, overwrite=overwrite)
    return replace(prepared, notes=(*prepared.notes, *notes))


def find(source: Source, options: PreparationOptions, out: Path) -> Found:
    """Return the subjects of a source, the options with their modalities, and notes on what is not used.

    If `options.resample_to` is None, the images of an archive that do not share a grid are put on that of its reference.

    Raises:
        ConfigurationError: Transforms are given without `options.resample_to`.
        AnymodError: As `find_subjects` and `find_in_archive` do.
    """
    if source.transform_patterns and options.resample_to is None:
        why = "it needs --resample-to, the image whose points the transforms map"
        raise ConfigurationError("missing option", "--transform-pattern", why, "add --resample-to")
    in_source = _in_folder if source.name == "folder" else _in_archive
    found, options, notes = in_source(source, options, out)
    if source.patient_from is not None:
        found = with_patients(source.raw, found, source.patient_from)
    return found, options, notes


def _in_archive(source: Source, options: PreparationOptions, out: Path) -> Found:
    archive = ARCHIVES[source.name]
    found, skipped = find_in_archive(source.raw, archive, out)
    modalities = tuple(name for name in archive.modalities if any(name in each.files for each in found))
    reference = options.resample_to or (archive.reference if archive.reference in modalities else None)
    notes = [f"skipped {each.path.relative_to(source.raw)}: {each.why}" for each in skipped]
    return found, replace(options, modalities=modalities, resample_to=reference), notes


def _in_folder(source: Source, options: PreparationOptions, out: Path) -> Found:
    found = find_subjects(source.raw, source.patterns | source.maps, source.subject_from, out)
    if source.transform_patterns:
        found = with_transforms(source.raw, found, source.transform_patterns, source.subject_from, out)
    # With `subject_from`, a first folder need not be a subject.
    unused = unused_folders(source.raw, found, out) if source.subject_from is None else []
    notes = [f"nothing found in {source.raw / folder}" for folder in unused]
    return found, replace(options, modalities=tuple(source.patterns)), notes


def _provenance(source: Source, options: PreparationOptions) -> dict[str, Any]:
    return {
        "source": source.name,
        "patterns": source.patterns | source.maps,
        "subject_from": source.subject_from,
        "patient_from": source.patient_from,
        "transforms": [f"{name}={glob}" for name, glob in source.transform_patterns.items()],
        "register": options.register,
        "cut_to": options.cut_to,
        "white_matter": options.white_matter,
    }
