"""A whole training: what it writes, that it can be killed at any moment, that two nodes do what one process does."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from phantom_cohort import make_cohort, make_recipe
from safetensors.torch import load_file

from anymod.cohorts import Cohort
from anymod.core.noise import MEAN
from anymod.errors import CohortError, ConfigurationError, DivergenceError, OutputError
from anymod.models import RealisticSettings, load_model, read_references
from anymod.processes import Terminated
from anymod.slices import open_cache
from anymod.slices.references import References
from anymod.training import loop, train, validation
from anymod.training.recipe import Recipe
from anymod.volumes import content_fingerprint, read_volume

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def finished(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train(make_recipe(), cohort, out, device="cpu")
    return out


@pytest.fixture(autouse=True)
def no_pictures(finished: Path) -> Iterator[None]:
    """Draw nothing in any run but the first: drawing takes most of the time, and must change nothing in the weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "write_curves", lambda *_: None)
        patch.setattr(validation, "draw_validation", lambda *_: None)
        yield


def train_until_killed(cohort: Cohort, out: Path, moment: int) -> None:
    """Train until this step begins, then end like a process that is interrupted."""
    advance = loop.Run.advance

    def killed(self: loop.Run, batch: object) -> dict[str, float]:
        if self.step == moment:
            raise KeyboardInterrupt
        return advance(self, batch)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Run, "advance", killed)
        train(make_recipe(), cohort, out, device="cpu")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "weights.safetensors")


def assert_same_weights(first: Path, second: Path) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_writes_what_it_promises(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {"config.yaml", "metrics.csv", "tensorboard", "pictures", "checkpoints", "model", "cache"}
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {"last.pt", "before.pt", "best.pt"}
    pictures = [path.name for path in sorted((finished / "pictures").iterdir())]
    assert pictures == ["curves.png", "step-0000003.png", "step-0000006.png"]
    model, description = load_model(finished / "model")
    assert model.spec.modalities == ("t1", "t2", "us")
    assert description.training["subjects"] == ["a", "b", "c"]
    assert description.modalities[0].high > description.modalities[0].low


def test_the_model_knows_its_training_images_and_their_moments(cohort: Cohort, finished: Path) -> None:
    _, description = load_model(finished / "model")
    image = read_volume(cohort.path(cohort.subject("b"), "t1"))
    assert description.trained_on("elsewhere", {"z": [content_fingerprint(image)], "y": ["0"]}) == ["z"]
    references = read_references(finished / "model")
    assert references is not None
    cache, stored = open_cache(finished / "cache"), references.fitted()
    fitted = References.of(cache, cache.of_split("train"), [None] * 3).fitted
    assert (references.cohort, stored.constants, stored.subjects) == ("phantoms", fitted.constants, {None: 3})
    assert stored.moments.keys() == fitted.moments.keys()
    assert stored.moments[None].sums.keys() == fitted.moments[None].sums.keys()
    for pattern, sums in stored.moments[None].sums.items():
        np.testing.assert_allclose(sums, fitted.moments[None].sums[pattern], rtol=1e-9)


def test_metrics_hold_every_step_and_every_term(finished: Path) -> None:
    with (finished / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows] == list(range(6))
    assert {
        "reconstruction",
        "divergence",
        "adversary",
        "discriminators",
        "nats_level_1",
        "validation_hidden_psnr_db",
    } <= set(rows[0])
    assert rows[0]["adversary"] == ""
    assert float(rows[-1]["adversary"]) > 0
    assert float(rows[2]["validation_hidden_psnr_db"]) > 0


def test_the_recipe_that_is_kept_is_complete(finished: Path) -> None:
    assert yaml.safe_load((finished / "config.yaml").read_text()) == make_recipe().model_dump(mode="json")


@pytest.mark.parametrize("moment", [1, 3, 4])
def test_a_run_killed_at_any_moment_ends_bit_for_bit_as_if_it_had_not_been(
    cohort: Cohort, finished: Path, tmp_path: Path, moment: int
) -> None:
    train_until_killed(cohort, tmp_path / "run", moment)
    torch.rand(17)  # hidden state must not matter
    train(make_recipe(), cohort, tmp_path / "run", resume=True, device="cpu")
    assert_same_weights(tmp_path / "run", finished)
    assert (tmp_path / "run/metrics.csv").read_text() == (finished / "metrics.csv").read_text()


@pytest.mark.parametrize("moment", [1, 2])  # at the end of the second, images are validated
def test_sigterm_saves_a_checkpoint_and_the_run_continues_exactly(
    cohort: Cohort, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    advance = loop.Run.advance

    def ended(self: loop.Run, batch: object) -> dict[str, float]:
        if self.step == moment:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(self, batch)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(loop.Run, "advance", ended)
    with pytest.raises(Terminated) as caught:
        train(make_recipe(checkpoint_every=5), cohort, tmp_path / "run", device="cpu")
    monkeypatch.undo()
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert torch.load(tmp_path / "run/checkpoints/last.pt", weights_only=True)["step"] == moment + 1
    train(make_recipe(checkpoint_every=5), cohort, tmp_path / "run", resume=True, device="cpu")
    assert_same_weights(tmp_path / "run", finished)
    assert not list((tmp_path / "run").glob(".*"))


def test_a_run_that_still_runs_is_not_resumed(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = []

    def disturbed(self: loop.Run, batch: object) -> dict[str, float]:
        with pytest.raises(OutputError, match=f"another run .*process {os.getpid()} on") as caught:
            train(make_recipe(), cohort, tmp_path / "run", resume=True, device="cpu")
        refusals.append(caught.value)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Run, "advance", disturbed)
    with pytest.raises(KeyboardInterrupt):
        train(make_recipe(), cohort, tmp_path / "run", device="cpu")
    assert len(refusals) == 1


def test_a_corrupt_newest_checkpoint_falls_back_to_the_one_before(
    cohort: Cohort, finished: Path, tmp_path: Path
) -> None:
    train_until_killed(cohort, tmp_path / "run", 5)
    newest = tmp_path / "run/checkpoints/last.pt"
    newest.write_bytes(newest.read_bytes()[:100])
    train(make_recipe(), cohort, tmp_path / "run", resume=True, device="cpu")
    assert_same_weights(tmp_path / "run", finished)


def test_resuming_with_another_recipe_names_what_differs(cohort: Cohort, finished: Path) -> None:
    with pytest.raises(OutputError, match=r"training\.learning_rate"):
        train(make_recipe(learning_rate=1e-3), cohort, finished, resume=True, device="cpu")


def test_resuming_with_another_cohort_is_refused_and_touches_nothing(
    cohort: Cohort, finished: Path, tmp_path: Path
) -> None:
    other = make_cohort(tmp_path / "other")
    swapped = [other.path(subject, "t1") for subject in other.subjects[:2]]
    first = swapped[0].read_bytes()
    swapped[0].write_bytes(swapped[1].read_bytes())
    swapped[1].write_bytes(first)
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(CohortError, match="files, settings or groups differ"):
        train(make_recipe(), other, finished, resume=True, device="cpu")
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_without_its_slices_a_run_still_knows_its_images(cohort: Cohort, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("cache"))
    other = make_cohort(tmp_path / "other")
    other.path(other.subjects[0], "t1").write_bytes(other.path(other.subjects[1], "t1").read_bytes())
    with pytest.raises(CohortError, match="files differ"):
        train(make_recipe(), other, tmp_path / "run", resume=True, device="cpu")
    shutil.rmtree(tmp_path / "run/cache")
    state = torch.load(finished / "checkpoints/last.pt", weights_only=True)
    del state["slices"]  # as in version 0.1
    for name in ("last.pt", "before.pt"):
        torch.save(state, tmp_path / "run/checkpoints" / name)
    with pytest.raises(OutputError, match="earlier version"):
        train(make_recipe(), cohort, tmp_path / "run", resume=True, device="cpu")


def test_resuming_with_other_groups_is_refused(cohort: Cohort, finished: Path, tmp_path: Path) -> None:
    # The cache would refuse them too.
    shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("cache"))
    others = tuple(replace(modality, group=modality.name) for modality in cohort.modalities)
    with pytest.raises(CohortError, match="groups of its modalities"):
        train(make_recipe(), replace(cohort, modalities=others), tmp_path / "run", resume=True, device="cpu")


STANDING = {"steps": 1, "learning_rate": 1e-9, "final_learning_rate": 0.0}


def test_a_run_can_start_from_the_weights_of_a_model_of_other_slices(
    cohort: Cohort, finished: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(start_from=str(finished / "model"), **STANDING)
    settings = recipe.model.settings.model_copy(update={"image_size": (24, 24)})
    model = recipe.model.model_copy(update={"settings": settings})
    train(recipe.model_copy(update={"model": model}), cohort, tmp_path / "run", device="cpu")
    ours, theirs = weights(tmp_path / "run"), weights(finished)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6, rtol=0) for name in theirs)
    _, description = load_model(tmp_path / "run/model")
    before = load_model(finished / "model")[1]
    assert description.training["started_from"] == before.weights_sha256
    assert description.training["images"] == before.training["images"]  # the same subjects


def test_a_model_that_sees_no_neighbours_can_learn_to_see_them(cohort: Cohort, finished: Path, tmp_path: Path) -> None:
    recipe = make_recipe(start_from=str(finished / "model"), **STANDING)
    wider = recipe.model.settings.model_copy(update={"context_slices": 1})
    train(
        recipe.model_copy(update={"model": recipe.model.model_copy(update={"settings": wider})}),
        cohort,
        tmp_path / "run",
        device="cpu",
    )
    narrow, _ = load_model(finished / "model")
    wide, _ = load_model(tmp_path / "run/model")
    images = torch.rand((2, 3, 3, 16, 16), generator=torch.Generator().manual_seed(0)) * 2 - 1
    shown = torch.tensor([[True, False, True], [True, True, False]])
    with torch.no_grad():
        ours = wide.encode(images, shown).decode(shown, (0, 1, 2), MEAN)
        theirs = narrow.encode(images[:, :, 1:2], shown).decode(shown, (0, 1, 2), MEAN)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_guide_is_fitted_before_the_first_step_whatever_the_run_starts_from(
    cohort: Cohort, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anymod.models.guide.FEWEST_VOXELS", 10)  # the cohort's slices are small

    def run(name: str, start: Path, shares: dict[str, float]) -> dict[str, torch.Tensor]:
        recipe = make_recipe(start_from=str(start / "model"), **STANDING)
        settings = recipe.model.settings.model_copy(update={"guide_shares": shares})
        model = recipe.model.model_copy(update={"settings": settings})
        train(recipe.model_copy(update={"model": model}), cohort, tmp_path / name, device="cpu")
        return weights(tmp_path / name)

    known = set(weights(finished))
    first = run("first", finished, {cohort.modality_names[1]: 0.3})
    assert set(first) - known == {"guide.coefficients", "guide.shares"}
    assert first["guide.shares"].max().item() == pytest.approx(0.3)
    again = run("again", tmp_path / "first", {cohort.modality_names[1]: 0.5})
    assert torch.equal(again["guide.coefficients"], first["guide.coefficients"])
    assert torch.allclose(again["guide.shares"], first["guide.shares"] * 5 / 3)
    assert set(run("without", tmp_path / "again", {})) == known
    with pytest.raises(ConfigurationError, match="guide_shares names t9; the modalities are"):
        run("wrong", finished, {"t9": 0.3})
    assert not (tmp_path / "wrong").exists()


def test_realistic_images_are_learnt_on_top_of_a_model_that_stays_as_it_is(
    cohort: Cohort, finished: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(start_from=str(finished / "model"), steps=3)
    settings = recipe.model.settings.model_copy(update={"realistic": RealisticSettings(widths=(8,), condition=8)})
    objective = recipe.model.objective.model_copy(update={"learn": "realistic"})
    model = recipe.model.model_copy(update={"settings": settings, "objective": objective})
    train(recipe.model_copy(update={"model": model}), cohort, tmp_path / "run", device="cpu")
    ours, theirs = weights(tmp_path / "run"), weights(finished)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert ours["flow.network.emit.weight"].abs().max() > 0  # 0 before it learns
    assert load_model(tmp_path / "run/model")[1].realistic
    assert not load_model(finished / "model")[1].realistic
    coarser = recipe.data.model_copy(update={"spacing_mm": recipe.data.spacing_mm + 0.5})
    with pytest.raises(ConfigurationError, match="another spacing_mm than the recipe, and it stays as it is"):
        train(recipe.model_copy(update={"model": model, "data": coarser}), cohort, tmp_path / "other", device="cpu")


def test_starting_from_a_model_of_another_shape_names_what_differs(
    cohort: Cohort, finished: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(start_from=str(finished / "model"))
    wider = recipe.model.settings.model_copy(update={"head_channels": 4})
    other = recipe.model_copy(update={"model": recipe.model.model_copy(update={"settings": wider})})
    with pytest.raises(ConfigurationError, match=r"training\.start_from: head_channels of that model"):
        train(other, cohort, tmp_path / "run", device="cpu")
    with pytest.raises(ConfigurationError, match="that model knows t1, cet1, t2, flair"):
        train(make_recipe(start_from="simulated-mr"), cohort, tmp_path / "another", device="cpu")


def test_overwriting_never_deletes_the_cohort(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "cohort")
    with pytest.raises(OutputError, match="more than a result"):
        train(make_recipe(), cohort, tmp_path, overwrite=True, device="cpu")
    assert (cohort.root / "subjects.csv").is_file()


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is there")
def test_a_device_that_is_not_there_is_one_line(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--device cuda: .*; "):
        train(make_recipe(), cohort, tmp_path / "run", device="cuda")
    assert not (tmp_path / "run").exists()


def test_slices_along_all_axes_train_and_are_stored_in_half_precision(
    cohort: Cohort, finished: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(precision="bf16-mixed", half_weights=True, steps=3)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"slice_axis": "all"})})
    train(recipe, cohort, tmp_path / "run", device="cpu")
    stored = weights(tmp_path / "run").values()
    assert all(tensor.isfinite().all() and tensor.dtype == torch.float16 for tensor in stored)
    model, description = load_model(tmp_path / "run/model")
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert description.slice_axis == "all"
    axial, everything = (len(open_cache(run / "cache").usable(0)) for run in (finished, tmp_path / "run"))
    assert everything > 2 * axial
    references, same = (read_references(run / "model") for run in (finished, tmp_path / "run"))
    assert references == same  # of axial slices


def test_slices_along_all_axes_need_a_network_for_any_size() -> None:
    content = make_recipe().model_dump(mode="json")
    content["model"]["settings"]["top"], content["data"]["slice_axis"] = "vector", "all"
    with pytest.raises(ValueError, match=r"choose model\.settings\.top map"):
        Recipe.model_validate(content, strict=False)


def test_a_finished_run_is_not_touched_unasked(cohort: Cohort, finished: Path) -> None:
    with pytest.raises(OutputError, match="--resume"):
        train(make_recipe(), cohort, finished, device="cpu")


def test_a_reader_in_another_process_changes_nothing(cohort: Cohort, finished: Path, tmp_path: Path) -> None:
    recipe = make_recipe()
    reading = recipe.model_copy(update={"data": recipe.data.model_copy(update={"loader_processes": 1})})
    train(reading, cohort, tmp_path / "run", device="cpu")
    assert_same_weights(tmp_path / "run", finished)


def test_nan_stops_with_step_subjects_and_term(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = loop.Run.advance

    def poisoned(self: loop.Run, batch: object) -> dict[str, float]:
        if self.step == 2:
            batch.targets[:] = float("nan")
        return advance(self, batch)

    monkeypatch.setattr(loop.Run, "advance", poisoned)
    with pytest.raises(DivergenceError, match=r"step 2: reconstruction not finite for subjects .*[abc]"):
        train(make_recipe(), cohort, tmp_path / "run", device="cpu")


def test_discriminators_learn_from_real_subjects_only(cohort: Cohort, tmp_path: Path) -> None:
    kinds = {"a": "scan", "b": "simulated"}
    mixed = replace(cohort, subjects=tuple(replace(each, kind=kinds.get(each.name)) for each in cohort.subjects))
    recipe = make_recipe(steps=3, validate_every=9)
    recipe = recipe.model_copy(update={"objective": recipe.objective.model_copy(update={"real_kinds": ["scan"]})})
    seen, real_of = set(), loop.real_of
    with pytest.MonkeyPatch.context() as patch:

        def noted(targets: torch.Tensor, *rest: torch.Tensor) -> list[torch.Tensor]:
            seen.add(int(rest[-1].sum()))
            return real_of(targets, *rest)

        patch.setattr(loop, "real_of", noted)
        train(recipe, mixed, tmp_path / "run", device="cpu")
    run = next((tmp_path / "run").glob("metrics.csv"))
    assert first_row(run)["reconstruction"] > 0
    assert seen and max(seen) < 4  # of the four slices in a batch
    for kinds_given, why in (
        (["photograph"], r"no such subject in objective\.real_kinds.*scan, simulated"),
        (["simulated"], r"no real images in objective\.real_kinds.*has t2"),
    ):
        changed = recipe.objective.model_copy(update={"real_kinds": kinds_given})
        with pytest.raises(ConfigurationError, match=why):
            train(recipe.model_copy(update={"objective": changed}), mixed, tmp_path / "other", device="cpu")


def test_batches_that_processes_cannot_share_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="batch_size"):
        train(make_recipe(), cohort, tmp_path / "run", processes=3, device="cpu")


def test_transplants_without_label_maps_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    recipe = make_recipe()
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"transplants": 0.5})})
    with pytest.raises(CohortError, match=r"no labelled slices .*data\.transplants"):
        train(recipe, cohort, tmp_path / "run", processes=1)


def test_a_cohort_without_training_subjects_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    empty = Cohort(cohort.root, "empty", cohort.modalities, cohort.of_split("validation"))
    with pytest.raises(CohortError, match="no subject has the split 'train'"):
        train(make_recipe(), empty, tmp_path / "run", device="cpu")


THREE_TRAININGS = """
import json, sys
from pathlib import Path
from anymod.cohorts import read_cohort
from anymod.errors import AnymodError
from anymod.training import Recipe, loop, train, validation
if __name__ == "__main__":
    loop.write_curves = validation.draw_validation = lambda *_: None
    recipe, cohort = Recipe.model_validate(json.loads(sys.argv[2]), strict=False), read_cohort(Path(sys.argv[1]))
    for name, processes in (("unannounced", 1), ("precious", 2), ("run", 2)):
        try:
            train(recipe, cohort, Path(sys.argv[3]) / name, device="cpu", processes=processes)
        except AnymodError as error:
            print(f"{name}: {error}", flush=True)
"""


@dataclass(frozen=True)
class Launched:
    """Folder of what `torchrun` made on two nodes, and what they printed."""

    folder: Path
    printed: str


@pytest.fixture(scope="module")
def launched(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """Train three times in one launch on two nodes, of one process each; two trainings are refused."""
    folder = tmp_path_factory.mktemp("launched")
    (folder / "precious").mkdir()
    (folder / "precious/config.yaml").write_text("precious: true\n")
    (folder / "three.py").write_text(THREE_TRAININGS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    launch += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    recipe = json.dumps(make_recipe().model_dump(mode="json"))
    script = [str(folder / "three.py"), str(cohort.root), recipe, str(folder)]
    nodes = [
        subprocess.Popen(
            [*launch, "--node-rank", rank, *script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for rank in "01"
    ]
    printed = [node.communicate(timeout=120)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], printed
    return Launched(folder, "".join(printed))


def test_what_one_process_finds_wrong_stops_all(launched: Launched) -> None:
    assert launched.printed.count("precious: cannot train") == 2


def test_processes_that_were_not_announced_are_refused(launched: Launched) -> None:
    assert "torchrun started 2" in launched.printed
    assert not (launched.folder / "unannounced").exists()


def test_two_nodes_end_where_one_process_does(
    cohort: Cohort, finished: Path, launched: Launched, tmp_path: Path
) -> None:
    ours, theirs = weights(launched.folder / "run"), weights(finished)
    train(
        make_recipe(steps=1, learning_rate=1e-9, final_learning_rate=0.0), cohort, tmp_path / "untrained", device="cpu"
    )
    moved = difference(theirs, weights(tmp_path / "untrained"))
    assert difference(ours, theirs) < 0.02 * moved
    first, second = (first_row(run / "metrics.csv") for run in (launched.folder / "run", finished))
    assert first["reconstruction"] == pytest.approx(second["reconstruction"], rel=1e-4)
    # What is left: rounding, as sums over rows run in another order, and the adversary, whose terms are means over the
    # judged rows and the fakes of each process, of which one may have more than the other.


def first_row(path: Path) -> dict[str, float]:
    header, row = path.read_text().splitlines()[:2]
    return {name: float(value) for name, value in zip(header.split(","), row.split(","), strict=True) if value}


def difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """Return the mean absolute difference over all weights."""
    total = sum((first[name] - second[name]).abs().sum().item() for name in first)
    return total / sum(tensor.numel() for tensor in first.values())
