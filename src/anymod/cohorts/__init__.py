"""Many subjects: the cohort folder, its splits, slices of its images, batches and their augmentation.

The folder's format loads no torch; slices and batches do, when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anymod.cohorts.augmentation import AugmentationSettings, augment
    from anymod.cohorts.batch import Batch
    from anymod.cohorts.building import build_cache, check_same_slices, open_cache
    from anymod.cohorts.plan import BatchPlan
    from anymod.cohorts.records import CacheSettings
    from anymod.cohorts.schema import Cohort, Modality, Subject, default_group
    from anymod.cohorts.slices import SliceCache
    from anymod.cohorts.splits import check_visits_together, draw_folds, draw_splits, patient_of, splits_from_list
    from anymod.cohorts.subject_images import SubjectImages, check_same_grid, read_subject_images
    from anymod.cohorts.table import read_cohort, read_table, write_cohort

__all__ = [
    "AugmentationSettings",
    "Batch",
    "BatchPlan",
    "CacheSettings",
    "Cohort",
    "Modality",
    "SliceCache",
    "Subject",
    "SubjectImages",
    "augment",
    "build_cache",
    "check_same_grid",
    "check_same_slices",
    "check_visits_together",
    "default_group",
    "draw_folds",
    "draw_splits",
    "open_cache",
    "patient_of",
    "read_cohort",
    "read_subject_images",
    "read_table",
    "splits_from_list",
    "write_cohort",
]

_HOMES = {
    "AugmentationSettings": "augmentation",
    "Batch": "batch",
    "BatchPlan": "plan",
    "CacheSettings": "records",
    "Cohort": "schema",
    "Modality": "schema",
    "SliceCache": "slices",
    "Subject": "schema",
    "SubjectImages": "subject_images",
    "augment": "augmentation",
    "build_cache": "building",
    "check_same_grid": "subject_images",
    "check_same_slices": "building",
    "default_group": "schema",
    "check_visits_together": "splits",
    "draw_folds": "splits",
    "draw_splits": "splits",
    "open_cache": "building",
    "patient_of": "splits",
    "read_cohort": "table",
    "read_subject_images": "subject_images",
    "read_table": "table",
    "splits_from_list": "splits",
    "write_cohort": "table",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'anymod.cohorts' has no attribute '{name}'")
    return getattr(importlib.import_module(f"anymod.cohorts.{_HOMES[name]}"), name)
