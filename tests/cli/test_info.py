"""`anymod info`: versions without loading what they belong to."""

from __future__ import annotations

import json
from importlib import metadata

from typer.testing import CliRunner

from anymod import __version__
from anymod.cli import app
from anymod.cli.info import installed_version
from anymod.resources import bundled_models


def test_json_has_versions_and_models() -> None:
    facts = json.loads(CliRunner().invoke(app, ["info", "--json"]).stdout)
    assert facts["format"] == 1
    assert facts["anymod"] == __version__ == metadata.version("anymod")
    assert facts["packages"]["torch"] == metadata.version("torch")
    assert facts["models"] == list(bundled_models())


def test_text_has_a_line_for_each_fact() -> None:
    lines = CliRunner().invoke(app, ["info"]).stdout.splitlines()
    assert lines[0].split() == ["anymod", __version__]
    assert [line for line in lines if line.startswith("torch ")]


def test_a_package_that_is_missing_is_told_as_such() -> None:
    assert installed_version("no-such-distribution-anywhere") is None


def test_the_bundled_models_are_listed() -> None:
    assert set(bundled_models()) == {"simulated-mr", "simulated-us"}
