"""Fixtures of the tests of the demo."""

from cohort_phantoms import make_cohort  # noqa: F401
