"""A model as a graph: the same numbers for every subset, batch and size, and an example that needs no torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import GRID, MODALITIES, head, save_tiny_model, tiny_description, tiny_model
from typer.testing import CliRunner

from anymod.cli import app
from anymod.core.noise import MEAN
from anymod.core.subsets import as_row
from anymod.engines import export
from anymod.errors import MissingExtraError, OutputError
from anymod.models import build_model, save_model
from anymod.synthesis import Synthesizer
from anymod.volumes import read_volume, write_volume

COUNT = 2  # modalities
SHOWN = torch.tensor([as_row(mask, COUNT) for mask in range(1, 2**COUNT)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny", COUNT)


@pytest.fixture(scope="module")
def exported(model: Path) -> Path:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    export.export_model(model, model.parent / "exported", "onnx")
    return model.parent / "exported"


@pytest.fixture
def written(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an export copy the graph that torch has written already, in seconds, for the same model."""
    monkeypatch.setattr(
        export, "_write_onnx", lambda network, path: shutil.copyfile(exported / export.GRAPHS["onnx"], path)
    )


@pytest.mark.slow
def test_onnx_takes_any_batch_and_size(exported: Path) -> None:
    run, network = export.run_onnx(exported), tiny_model(COUNT)
    for rows, height, width in ((1, 16, 16), (3, 24, 16), (2, 16, 40)):
        images = torch.rand(rows, COUNT, 1, height, width) * 2 - 1
        found = run(images.numpy(), SHOWN[:rows].numpy())
        with torch.inference_mode():
            expected = network.encode(images, SHOWN[:rows]).decode(SHOWN[:rows], (0, 1), MEAN)
        np.testing.assert_allclose(found, expected.numpy(), atol=2e-5)


@pytest.mark.slow
def test_the_folder_tells_what_a_program_needs(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {"model.onnx", "export.json", "card.md", "example.py"}
    about = json.loads((exported / "export.json").read_text())
    assert [each["name"] for each in about["modalities"]] == list(MODALITIES[:COUNT])
    assert (about["spacing_mm"], about["orientation"], about["channels"]) == (1.0, "RAS", 1)
    assert about["sides_are_multiples_of"] == 4
    assert about["largest_difference_from_torch"] < 1e-4


@pytest.mark.slow
def test_the_example_makes_what_the_synthesizer_makes(exported: Path, model: Path, tmp_path: Path) -> None:
    write_volume(tmp_path / "t1.nii.gz", head(0))
    code = (
        "import runpy, sys; sys.modules['torch'] = None; sys.modules['anymod'] = None; runpy.run_path(sys.argv.pop(1))"
    )
    command = [
        sys.executable,
        "-c",
        code,
        str(exported / "example.py"),
        str(tmp_path / "out"),
        f"t1={tmp_path}/t1.nii.gz",
    ]
    subprocess.run(command, check=True, timeout=300)
    made = read_volume(tmp_path / "out/t2.nii.gz")
    expected = Synthesizer.from_folder(model, "cpu").synthesize({"t1": head(0)}).images["t2"]
    assert made.grid.same_as(GRID)
    np.testing.assert_allclose(made.data, expected.data, atol=0.01 * np.ptp(expected.data))
    assert not (tmp_path / "out/t1.nii.gz").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("written")
def test_openvino_computes_in_single_precision(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    content = export.export_model(model, tmp_path / "out", "openvino")
    assert content["largest_difference_from_torch"] < 1e-4
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.xml", "model.bin", "export.json", "card.md"}


@pytest.mark.slow
@pytest.mark.usefixtures("written")
def test_the_authors_network_keeps_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "largest_difference", lambda network, run: 0.0)  # the graph is another model's
    settings = {"widths": [4, 4], "image_size": [16, 16], "unshuffle": 1, "top": "vector", "head_channels": 4}
    network = build_model("dorent2024", MODALITIES[:1], {**settings, "head_blocks": 0}, "a test").eval()
    save_model(tmp_path / "model", network, tiny_description(network, architecture="dorent2024"), "A card.\n")
    result = CliRunner().invoke(
        app,
        ["export", "--model", str(tmp_path / "model"), "--format", "onnx", "--out", str(tmp_path / "out"), "--json"],
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["only_size"] == [16, 16]


@pytest.mark.slow
@pytest.mark.usefixtures("written")
def test_a_graph_that_differs_is_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "largest_difference", lambda network, run: float("nan"))
    with pytest.raises(OutputError, match="differ from torch's by nan"):
        export.export_model(model, tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


def test_a_missing_package_names_the_extra(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"install anymod\[export\]"):
        export.export_model(model, tmp_path / "out", "onnx")


SIGNAL_AFTER_TWO_GRAPHS = """
import gc, os, signal, sys
from pathlib import Path
import numpy as np, openvino
from openvino import opset13
from anymod.engines.runtimes import load_openvino
values = opset13.parameter([1], np.float32)
openvino.save_model(openvino.Model([opset13.relu(values)], [values]), sys.argv[1])
first, second = (load_openvino(Path(sys.argv[1]), 1) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGTERM, lambda number, frame: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.slow
def test_signals_are_handled_after_openvino_graphs_have_come_and_gone(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    command = [sys.executable, "-X", "faulthandler", "-c", SIGNAL_AFTER_TWO_GRAPHS, str(tmp_path / "relu.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n")
