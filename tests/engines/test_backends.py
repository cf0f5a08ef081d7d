"""Other engines than torch: the same images for every subset and draw, graphs made once, and refusals in words."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import MODALITIES, head, save_tiny_model, tiny_description, tiny_model, write_tiny_cohort
from typer.testing import CliRunner

from anymod.cli import app
from anymod.core.noise import MEAN, Draw, shared_noise
from anymod.core.subsets import as_row
from anymod.engines import backends as engines
from anymod.errors import ConfigurationError, MissingExtraError, OutputError
from anymod.evaluation import EvaluationOptions, evaluate
from anymod.models import Network, Synthesizes, build_model, load_model, save_model
from anymod.synthesis import CohortRequest, SynthesisOptions, Synthesizer, synthesize_cohort
from anymod.volumes import read_volume, write_volume

CPU = torch.device("cpu")
COUNT = 2  # modalities: each has two graphs, which torch makes in seconds
PUBLISHED = {
    "widths": [4, 4],
    "image_size": [16, 16],
    "unshuffle": 1,
    "top": "vector",
    "head_channels": 4,
    "head_blocks": 0,
}
both_engines = pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])


@pytest.fixture(scope="module", autouse=True)
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the graphs that tests make among the tests."""
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(engines.CACHE, str(folder))
        yield folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the tiny model."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model", COUNT)


@pytest.fixture(scope="module")
def fingerprint(tiny: Path) -> str:
    """Return what the tiny model's graphs are kept under, so that the verbs find those that other tests made."""
    return load_model(tiny)[1].fingerprint()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a network of the authors."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model("dorent2024", MODALITIES[:COUNT], PUBLISHED, "a test").eval()
    folder = tmp_path_factory.mktemp("published") / "model"
    save_model(folder, network, tiny_description(network, architecture="dorent2024"), "A card.\n")
    return folder


def name_of(model: Synthesizes) -> engines.Backend:
    return model.run.backend if hasattr(model, "run") else "torch"


def fastest(network: Network, fingerprint: str) -> engines.Backend:
    return engines.with_backend(network, fingerprint, "auto", CPU)[1]


def perturbed_model() -> Network:
    """Return the tiny model with other weights."""
    model = tiny_model(COUNT)
    with torch.no_grad():
        for parameter in model.steps.parameters():
            parameter.add_(0.3)
    return model


@pytest.fixture
def cache(fingerprint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the tiny model's graphs in a cache of the test's own."""
    engines.with_backend(tiny_model(COUNT), fingerprint, "onnxruntime", CPU)
    kept = engines.graphs_folder(fingerprint)
    monkeypatch.setenv(engines.CACHE, str(tmp_path / "cache"))
    return Path(shutil.copytree(kept, engines.graphs_folder(fingerprint)))


def subsets() -> torch.Tensor:
    """Return every subset that shows anything, all modalities last."""
    return torch.tensor([as_row(mask, COUNT) for mask in range(1, 2**COUNT)])


def random_images(rows: int, side: int = 16) -> torch.Tensor:
    return torch.rand(rows, COUNT, 1, side, side, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.mark.slow
@both_engines
@torch.inference_mode()
def test_every_subset_gives_torchs_images(engine: engines.Backend, fingerprint: str) -> None:
    pytest.importorskip(engine)
    network = tiny_model(COUNT)
    model, runs = engines.with_backend(network, fingerprint, engine, CPU)
    assert runs == engine
    for rows, side in ((3, 16), (2, 24)):
        images, shown = random_images(rows, side), subsets()[:rows]
        expected = network.encode(images, shown).decode(shown, (1, 0), MEAN)
        images[~shown] = float("nan")  # what is not shown does not matter
        found = model.encode(images, shown).decode(shown, (1, 0), MEAN)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "kind"), [("onnxruntime", "tiny"), ("openvino", "tiny"), ("openvino", "published")])
@torch.inference_mode()
def test_draws_are_torchs(engine: engines.Backend, kind: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip(engine)
    network, description = load_model(request.getfixturevalue(kind))
    model, _ = engines.with_backend(network, description.fingerprint(), engine, CPU)
    noise, shown, targets = shared_noise(5), subsets(), tuple(range(COUNT))
    images, everything = random_images(len(shown)), shown[-1].expand(len(shown), -1)
    found, expected = (each.encode(images, everything) for each in (model, network))
    for temperature in (0.7, 1.0):
        drawn = found.decode(shown, targets, Draw(temperature, noise))
        theirs = expected.decode(shown, targets, Draw(temperature, noise))
        torch.testing.assert_close(drawn, theirs, rtol=0, atol=2e-5)
    assert (drawn - found.decode(shown, targets, MEAN)).abs().max() > 1e-2


@pytest.mark.slow
def test_a_graph_is_made_once(cache: Path, fingerprint: str, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("onnxruntime")
    caplog.set_level(logging.INFO, "anymod")  # a verb that ran before may have set its own
    (cache / "head-0.onnx").unlink()
    for made in (["making the graph head-0, once for this model"], []):
        engines.with_backend(tiny_model(COUNT), fingerprint, "onnxruntime", CPU)
        assert [message for message in caplog.messages if "making" in message] == made
        caplog.clear()


def test_graphs_belong_to_their_weights() -> None:
    first, other = tiny_description(tiny_model(COUNT)), tiny_description(tiny_model(COUNT), weights_sha256="0")
    assert engines.graphs_folder(first.fingerprint()) != engines.graphs_folder(other.fingerprint())


@pytest.mark.slow
def test_auto_takes_the_faster_and_never_a_wrong_one(
    fingerprint: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")
    seconds = {"torch": 3.0, "onnxruntime": 1.0, "openvino": 2.0}
    monkeypatch.setattr(engines, "_seconds", lambda model: seconds[name_of(model)])
    assert fastest(tiny_model(COUNT), fingerprint) == "onnxruntime"
    seconds["torch"] = 0.5
    assert fastest(tiny_model(COUNT), fingerprint) == "torch"
    seconds["torch"] = 3.0
    monkeypatch.setattr(engines, "LARGEST_DIFFERENCE", -1.0)
    assert fastest(tiny_model(COUNT), fingerprint) == "torch"
    assert "differ from torch's" in caplog.text
    with pytest.raises(OutputError, match="use --backend torch"):
        engines.with_backend(tiny_model(COUNT), fingerprint, "onnxruntime", CPU)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["foreign", "damaged"])
def test_a_wrong_graph_is_refused_and_passed_over(
    cache: Path, fingerprint: str, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    pytest.importorskip("onnxruntime")
    network, why = tiny_model(COUNT), "delete .* and try again"
    if wrong == "foreign":
        network, why = perturbed_model(), "differ from torch's"
    else:
        path = cache / "descent.onnx"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(OutputError, match=why):
        engines.with_backend(network, fingerprint, "onnxruntime", CPU)
    assert engines.with_backend(network, fingerprint, "auto", CPU)[1] == "torch"
    assert "use --backend torch" in caplog.text


def test_a_folder_that_cannot_be_written_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(engines.CACHE, str(tmp_path / "file"))
    with pytest.raises(OutputError, match=engines.CACHE):
        engines.with_backend(tiny_model(COUNT), "any", "onnxruntime", CPU)


def test_what_an_engine_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="not on meta; use --device cpu, or --backend torch"):
        engines.with_backend(tiny_model(COUNT), "any", "openvino", torch.device("meta"))
    assert engines.with_backend(tiny_model(COUNT), "any", "auto", torch.device("meta"))[1] == "torch"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"install anymod\[export\]"):
        engines.with_backend(tiny_model(COUNT), "any", "onnxruntime", CPU)


@pytest.mark.slow
@pytest.mark.usefixtures("blank_pictures")
def test_both_verbs_take_a_backend_and_tell_it(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    write_volume(tmp_path / "t1.nii.gz", head(0))
    asked = ["synthesize", "--model", str(tiny), "--input", f"t1={tmp_path}/t1.nii.gz", "--samples", "2", "--quiet"]
    for backend in ("torch", "onnxruntime"):
        result = CliRunner().invoke(app, [*asked, "--backend", backend, "--out", str(tmp_path / backend)])
        assert result.exit_code == 0, result.stderr
        assert json.loads((tmp_path / backend / "synthesis.json").read_text())["backend"] == backend
    for name in ("t2", "t2_sd"):
        made, expected = (
            read_volume(tmp_path / backend / f"{name}.nii.gz").data for backend in ("onnxruntime", "torch")
        )
        np.testing.assert_allclose(made, expected, atol=1e-3 * np.ptp(expected))
    seen = {name: ("t1", "t2") for name in ("a", "b", "c")}
    cohort = write_tiny_cohort(tmp_path / "cohort", seen, {"a": "train", "b": "train"})
    expected, found = (
        [score.psnr_db for score in evaluate(tiny, cohort, EvaluationOptions(device="cpu", backend=backend)).scores]
        for backend in ("torch", "onnxruntime")
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.slow
def test_a_network_of_the_authors_keeps_its_size(published: Path) -> None:
    pytest.importorskip("onnxruntime")
    volume = head(0)
    made, expected = (
        Synthesizer.from_folder(published, "cpu", backend).synthesize({"t1": volume}, SynthesisOptions())
        for backend in ("onnxruntime", "torch")
    )
    np.testing.assert_allclose(made.images["t2"].data, expected.images["t2"].data, atol=0.1)


@pytest.mark.slow
@pytest.mark.usefixtures("blank_pictures")
def test_a_cohort_goes_on_with_the_engine_that_it_began_with(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    cohort = write_tiny_cohort(tmp_path / "cohort", {"a": ("t1",), "b": ("t1",)})
    out, asked = tmp_path / "out", CohortRequest(tiny, SynthesisOptions(), device="cpu", backend="onnxruntime")
    synthesize_cohort(cohort, cohort.subjects[:1], asked, out)
    with pytest.raises(OutputError, match="another model or other options"):
        synthesize_cohort(cohort, cohort.subjects, replace(asked, backend="torch"), out)
    monkeypatch.setattr(engines, "_seconds", lambda each: float(name_of(each) != "torch"))  # torch is faster now
    outcome = synthesize_cohort(cohort, cohort.subjects, replace(asked, backend="auto"), out)
    assert (outcome.finished, outcome.written) == (["a"], ["b"])
    assert {json.loads((out / name / "synthesis.json").read_text())["backend"] for name in "ab"} == {"onnxruntime"}
