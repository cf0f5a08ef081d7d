"""From archives to a cohort: one short file for each source, one pipeline for all, and the check of any cohort."""

from __future__ import annotations

from anymod.preparation.archives import ARCHIVES, Skipped, find_in_archive
from anymod.preparation.checking import check_cohort
from anymod.preparation.findings import CheckReport, Finding, text_table
from anymod.preparation.folder_source import (
    FoundSubject,
    find_subjects,
    parse_patterns,
    parse_transform_patterns,
    unused_folders,
    with_transforms,
)
from anymod.preparation.html_report import write_report
from anymod.preparation.pipeline import PreparationOptions, Prepared, SplitChoice, prepare_cohort

__all__ = [
    "ARCHIVES",
    "CheckReport",
    "Finding",
    "FoundSubject",
    "PreparationOptions",
    "Prepared",
    "Skipped",
    "SplitChoice",
    "check_cohort",
    "find_in_archive",
    "find_subjects",
    "parse_patterns",
    "parse_transform_patterns",
    "prepare_cohort",
    "text_table",
    "unused_folders",
    "with_transforms",
    "write_report",
]
