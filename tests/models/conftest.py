"""Fixtures for tests of models."""

from __future__ import annotations

import pytest
from small_models import make_model

from anymod.models import MMHVAE


@pytest.fixture
def model() -> MMHVAE:
    return make_model()
