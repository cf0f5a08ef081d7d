"""Many subjects: the cohort folder, its splits, memory-mapped slices of its images, batches and their augmentation."""

from __future__ import annotations

from anymod.cohorts.schema import Cohort, Modality, Subject, default_group
from anymod.cohorts.splits import draw_splits, splits_from_list
from anymod.cohorts.table import read_cohort, read_table, write_cohort

__all__ = [
    "Cohort",
    "Modality",
    "Subject",
    "default_group",
    "draw_splits",
    "read_cohort",
    "read_table",
    "splits_from_list",
    "write_cohort",
]
