"""Fixtures shared by the tests of cohorts and slices."""

from cohort_phantoms import make_cohort, tissue_map  # noqa: F401
