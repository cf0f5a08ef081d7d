"""Fixtures for tests of images."""

from __future__ import annotations

import pytest

from anymod.volumes.formats import sandbox_child


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse DICOM and MINC in this process, which is faster and hides no crash; `test_sandbox.py` uses the child process."""
    monkeypatch.setattr("anymod.volumes.reading.parse_in_sandbox", sandbox_child.parse)
