"""The authors' network: its weights read strictly, and what their code computed from them, number by number."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from formulas import log_density
from tiny_models import head
from torch import Tensor
from typer.testing import CliRunner

from anymod.cli import app
from anymod.cohorts import SubjectImages
from anymod.core.experts import Product, by_inverse_deviation, product_by_sums, product_of_experts
from anymod.core.gaussians import DiagonalGaussian
from anymod.core.noise import MEAN, Draw
from anymod.core.objectives import absolute_error, adversarial_loss, discriminator_loss
from anymod.errors import ModelFolderError
from anymod.models import DORENT2024, MMHVAE, import_weights, load_model
from anymod.models.dorent2024 import G, V, first_foreground, inferred, modern_name, names, translated
from anymod.models.importing_child import tensors_of
from anymod.models.levels import INVERSE_DEVIATIONS, Level
from anymod.nn.discriminators import Discriminator
from anymod.synthesis import Synthesizer
from anymod.volumes import Grid, Volume, read_volume, write_volume

MODALITIES = ("us", "t2", "cet1", "flair")
SIZE = (64, 128)
SUBSETS = ["+".join(names) for count in range(1, 5) for names in combinations(MODALITIES, count)]
Vectors = np.lib.npyio.NpzFile
# Finer levels are sampled in the stored arrays (its README).
SAMPLED = {1: (slice(1, None, 4),) * 2, 2: (slice(1, None, 4),) * 2, 3: (slice(1, None, 2),) * 2}


@pytest.fixture(scope="module")
def file(shared: Path) -> Path:
    return shared / "reference" / "tiny_state_dict.pt"


@pytest.fixture(scope="module")
def weights(file: Path) -> dict[str, Tensor]:
    return torch.load(file, weights_only=True)


@pytest.fixture(scope="module")
def vectors(shared: Path) -> Vectors:
    return np.load(shared / "reference" / "vectors.npz")


@pytest.fixture(scope="module")
def tiny(weights: dict[str, Tensor]) -> MMHVAE:
    return translated(weights, SIZE).double()


@pytest.fixture
def discriminators(shared: Path) -> dict[str, Discriminator]:
    tensors = torch.load(shared / "reference" / "tiny_discriminators.pt", weights_only=True)
    found = {}
    for name in MODALITIES:
        found[name] = Discriminator(4, 3).double().requires_grad_(False)
        found[name].load_state_dict(
            {
                key.removeprefix(f"{name}."): tensor.double()
                for key, tensor in tensors.items()
                if key.startswith(f"{name}.")
            }
        )
    return found


def stored(vectors: Vectors, name: str) -> Tensor:
    return torch.from_numpy(vectors[name])


def all_images(vectors: Vectors) -> Tensor:
    return torch.stack([stored(vectors, f"x/{name}") for name in MODALITIES], dim=1)


def given(vectors: Vectors, subset: str) -> tuple[Tensor, Tensor]:
    """Return the first row's images and which are shown."""
    return all_images(vectors)[:1], torch.tensor([[name in subset.split("+") for name in MODALITIES]])


def stored_noise(vectors: Vectors):
    return lambda level, shape: stored(vectors, f"noise/z{level}").expand(shape)


@torch.inference_mode()
def drawn(model: MMHVAE, vectors: Vectors, subset: str, temperature: float) -> Tensor:
    """Return all four images as the authors' scripts write them: background where the first image given is (deviation A5)."""
    images, shown = given(vectors, subset)
    draw = Draw(temperature, stored_noise(vectors))
    made = model.encode(images, shown).decode(shown, (0, 1, 2, 3), draw)
    first = MODALITIES.index(subset.split("+", maxsplit=1)[0])
    return torch.where(first_foreground(images[:, :, 0], [first])[:, None], made, -1.0)


@torch.inference_mode()
def distributions(model: MMHVAE, vectors: Vectors, subset: str, temperature: float = 0.0) -> dict[int, Level]:
    images, shown = given(vectors, subset)
    found: dict[int, Level] = {}
    draw = Draw(temperature, stored_noise(vectors))
    model.descend(model.encode(images, shown), shown, draw, visit=lambda level: found.update({level.number: level}))
    return found


def sampled(tensor: Tensor, number: int) -> Tensor:
    return tensor[(..., *SAMPLED[number])] if number in SAMPLED else tensor


@pytest.mark.slow
@pytest.mark.parametrize("subset", SUBSETS)
def test_images_and_posteriors_are_the_authors(tiny: MMHVAE, vectors: Vectors, subset: str) -> None:
    images = drawn(tiny, vectors, subset, 0.0)
    for number, name in enumerate(MODALITIES):
        theirs = stored(vectors, f"img/{subset}/{name}")
        torch.testing.assert_close(images[:, number : number + 1], theirs, atol=1e-9, rtol=0)
    levels = distributions(tiny, vectors, subset)
    assert sorted(levels) == [1, 2, 3, 4, 5, 6, 7]
    for number, level in levels.items():
        for kind, ours in (("mu", level.posterior.mean), ("sigma", level.posterior.standard_deviation)):
            theirs = stored(vectors, f"post_{kind}_sub/{subset}/z{number}")
            torch.testing.assert_close(sampled(ours, number), theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.slow
def test_priors_and_experts_are_the_authors(tiny: MMHVAE, vectors: Vectors) -> None:
    for number, level in distributions(tiny, vectors, "us+t2").items():
        for kind, ours in (("mu", level.prior.mean), ("sigma", level.prior.standard_deviation)):
            theirs = stored(vectors, f"prior_{kind}/us+t2/z{number}")
            torch.testing.assert_close(sampled(ours, number).expand_as(theirs), theirs, atol=1e-9, rtol=1e-9)
        for place, name in enumerate(("us", "t2")):
            for kind, experts in (("mu", level.experts.mean), ("logsigma", level.experts.log_variance / 2)):
                theirs = stored(vectors, f"expert_{kind}/us+t2/{name}/z{number}")
                torch.testing.assert_close(sampled(experts[:, place], number), theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("subset", ["us", "t2+flair"])
def test_draws_are_the_authors(tiny: MMHVAE, vectors: Vectors, subset: str) -> None:
    theirs = stored(vectors, f"temp0.7/img/{subset}")
    torch.testing.assert_close(drawn(tiny, vectors, subset, 0.7), theirs, atol=1e-6, rtol=0)
    textbook = MMHVAE(MODALITIES, tiny.settings).double()
    textbook.load_state_dict(tiny.state_dict())
    assert (drawn(textbook, vectors, subset, 0.7) - theirs).abs().mean() > 1e-3  # the switch matters (deviation A2)
    torch.testing.assert_close(drawn(textbook, vectors, subset, 0.0), drawn(tiny, vectors, subset, 0.0))  # but not here


@pytest.mark.slow
@pytest.mark.parametrize("subset", ["us", "us+t2+cet1+flair"])
def test_single_precision_is_near(weights: dict[str, Tensor], vectors: Vectors, subset: str) -> None:
    images, shown = given(vectors, subset)
    with torch.inference_mode():
        made = translated(weights, SIZE).encode(images.float(), shown).decode(shown, (0, 1, 2, 3), MEAN)
    masked = torch.where(first_foreground(images[:, :, 0], [0])[:, None], made, -1.0)
    torch.testing.assert_close(masked, stored(vectors, f"f32/img/{subset}"), atol=5e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("subset", ["us", "t2+flair", "us+t2+cet1+flair"])
def test_the_sampled_divergence_is_the_authors(tiny: MMHVAE, vectors: Vectors, subset: str, temperature: float) -> None:
    theirs = stored(vectors, f"kl/temp{temperature}/{subset}/prior")
    for place, (number, level) in enumerate(
        sorted(distributions(tiny, vectors, subset, temperature).items(), reverse=True)
    ):
        posterior, prior = level.posterior, level.prior
        spread = temperature * posterior.standard_deviation
        z = posterior.mean + spread * stored(vectors, f"noise/z{number}")
        ratio = torch.distributions.Normal(posterior.mean, spread).log_prob(z)
        ratio = ratio - torch.distributions.Normal(prior.mean, prior.standard_deviation).log_prob(z)
        torch.testing.assert_close(ratio.sum(), theirs[place], rtol=1e-8, atol=1e-9)


@pytest.mark.slow
def test_gradients_of_a_training_step_are_the_authors(
    weights: dict[str, Tensor], vectors: Vectors, shared: Path, discriminators: dict[str, Discriminator]
) -> None:
    """A generator loss with divergence and adversary (three subsets) and the discriminators' loss: values and gradient norms."""
    theirs = json.loads((shared / "reference" / "train_example.json").read_text())
    model = translated(weights, SIZE).double()
    model.requires_grad_(True)
    targets = torch.cat([stored(vectors, f"train/target/{name}") for name in MODALITIES], dim=1)
    outputs, terms = {}, {"l1": 0.0, "kl": 0.0, "gan_g": 0.0}
    for key, subset in (("all", "us+t2+cet1+flair"), ("us", "us"), ("mr", "t2+flair")):
        images, shown = given(vectors, subset)
        divergences: list[Tensor] = []
        finest = model.descend(
            model.encode(images, shown),
            shown,
            Draw(1.0, stored_noise(vectors)),
            visit=lambda level, found=divergences: found.append(one_sample(level, vectors)),
        )
        made = torch.stack([head(finest) for head in model.heads], dim=1)
        first = MODALITIES.index(subset.split("+", maxsplit=1)[0])
        outputs[key] = torch.where(first_foreground(images[:, :, 0], [first])[:, None], made, -1.0)
        l1, kl = 0.5 * absolute_error(targets, outputs[key]).mean(), torch.stack(divergences).sum()
        assert l1.item() == pytest.approx(theirs[f"{key}_l1"], rel=1e-9)
        assert kl.item() == pytest.approx(theirs[f"{key}_kl"], rel=1e-8)
        terms["l1"], terms["kl"] = terms["l1"] + l1, terms["kl"] + kl
        if key != "all":
            gan = adversarial_loss(
                [discriminators[name](outputs[key][:, place]) for place, name in enumerate(MODALITIES)]
            )
            assert gan.item() == pytest.approx(theirs[f"{key}_gan_g"], rel=1e-9)
            terms["gan_g"] = terms["gan_g"] + gan
    per_value = theirs["w_kl"] / (theirs["n_pixels"] * len(MODALITIES))
    loss = terms["l1"] + per_value * terms["kl"] + theirs["w_dis"] * terms["gan_g"]
    assert loss.item() == pytest.approx(theirs["loss"], rel=1e-9)
    loss.backward()
    table, gradients = names(MODALITIES, model.settings), {name: each.grad for name, each in model.named_parameters()}
    for name, norm in zip(vectors["train/grad_norm_names"], vectors["train/grad_norm"], strict=True):
        ours = float(gradients[table[modern_name(str(name))]].norm())
        # Biases in front of a normalization have no gradient but rounding's.
        assert ours == pytest.approx(float(norm), rel=1e-8) if norm > 1e-9 else ours < 1e-12, name
    for place, name in enumerate(MODALITIES):
        discriminators[name].requires_grad_(True)
        hidden_in = [key for key, subset in (("us", "us"), ("mr", "t2+flair")) if name not in subset.split("+")]
        fakes = torch.cat([outputs[key][:, place].detach() for key in hidden_in])
        discriminator_loss([discriminators[name](targets[:, place])], [discriminators[name](fakes)]).backward()
        norm = torch.stack([each.grad.norm() for each in discriminators[name].parameters()]).norm()
        assert norm.item() / len(MODALITIES) == pytest.approx(theirs[f"d_gradnorm_{name}"], rel=1e-8), name


def one_sample(level: Level, vectors: Vectors) -> Tensor:
    """Return log posterior less log prior of the draw at temperature 1, summed: the authors' divergence."""
    posterior, prior = level.posterior, level.prior
    z = posterior.mean + posterior.standard_deviation * stored(vectors, f"noise/z{level.number}")
    return (log_density(posterior, z) - log_density(prior, z)).sum()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["order/t2,us", "blank/us,t2", "blank/t2,us"])
def test_their_mask_follows_the_order_of_the_images(tiny: MMHVAE, vectors: Vectors, case: str) -> None:
    kind, order = case.split("/")
    places = [MODALITIES.index(name) for name in order.split(",")]
    images = all_images(vectors)[: 1 if kind == "order" else 2].clone()
    if kind == "blank":
        images[0, MODALITIES.index("us")] = -1
        images[1, MODALITIES.index("t2")] = -1
    shown = torch.zeros(len(images), 4, dtype=torch.bool)
    shown[:, places] = True
    with torch.inference_mode():
        made = tiny.encode(images, shown).decode(shown, (0, 1, 2, 3), MEAN)
    masked = torch.where(first_foreground(images[:, :, 0], places)[:, None], made, -1.0)
    torch.testing.assert_close(masked, stored(vectors, f"{case}/img"), atol=1e-6, rtol=0, check_dtype=False)
    assert not torch.equal(masked[:1], made[:1])  # ordinary use covers more


def some_distributions() -> tuple[DiagonalGaussian, DiagonalGaussian]:
    generator = torch.Generator().manual_seed(2)
    shapes = [(2, 4, 4)] * 2 + [(2, 3, 4, 4)] * 2
    values = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return DiagonalGaussian(values[0], values[1]), DiagonalGaussian(values[2], values[3])


@pytest.mark.parametrize("product", [product_of_experts, product_by_sums])
def test_their_fusion_adds_up_inverse_deviations(product: Product) -> None:  # deviation A1
    prior, experts = some_distributions()
    shown = torch.tensor([[True, False, True], [False, True, True]])
    fused = by_inverse_deviation(product)(prior, experts, shown)
    weights = torch.where(shown[..., None, None], 1 / experts.standard_deviation, 0.0)
    total = 1 / prior.standard_deviation + weights.sum(1)
    torch.testing.assert_close(fused.standard_deviation, 1 / total)
    mean = (prior.mean / prior.standard_deviation + (weights * experts.mean).sum(1)) / total
    torch.testing.assert_close(fused.mean, mean)


def test_their_divergence_is_that_of_the_distributions_drawn_from() -> None:
    prior, experts = some_distributions()
    posterior = DiagonalGaussian(experts.mean[:, 0], experts.log_variance[:, 0])
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(posterior.mean, posterior.standard_deviation), normal(prior.mean, prior.standard_deviation)
    )
    level = Level(1, prior, experts, posterior)
    torch.testing.assert_close(INVERSE_DEVIATIONS.divergence(level, torch.ones(2, 3, dtype=torch.bool)), expected)


def test_the_published_names_and_shapes_are_read(shared: Path) -> None:
    listed = json.loads((shared / "reference" / "full_state_dict_keys.json").read_text())
    modalities, settings = inferred({name: tuple(shape) for name, shape, _ in listed}, None)
    assert modalities == MODALITIES
    assert settings == DORENT2024
    with torch.device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in MMHVAE(modalities, settings).state_dict().items()}
    table = names(modalities, settings)
    assert {name: shapes[table[name]] for name in table} == {name: shape for name, shape, _ in listed}
    assert set(table.values()) == set(shapes)


def test_the_authors_configuration_has_their_parameters() -> None:
    with torch.device("meta"):
        parameters = list(MMHVAE(MODALITIES, DORENT2024).parameters())
    assert sum(parameter.numel() for parameter in parameters) == 13_774_770
    assert len(parameters) == 536


def test_both_spellings_of_weight_normalization_are_read(weights: dict[str, Tensor], tiny: MMHVAE) -> None:
    older = {name.replace(G, "weight_g").replace(V, "weight_v"): tensor for name, tensor in weights.items()}
    assert older.keys() != weights.keys()
    for name, tensor in translated(older, SIZE).state_dict().items():
        torch.testing.assert_close(tensor.double(), tiny.state_dict()[name])


NAME = "qz.2.conv_0.weight"


def changed(weights: dict[str, Tensor], name: str, tensor: Tensor | None) -> dict[str, Tensor]:
    kept = {each: value for each, value in weights.items() if each != name}
    return kept if tensor is None else {**kept, name: tensor}


@pytest.mark.parametrize(
    ("name", "tensor", "why"),
    [
        (NAME, None, f"{NAME} is missing"),
        ("first_conv.us.weight", None, "first_conv.us"),
        (NAME, torch.zeros(3, 3), rf"{NAME} has the shape \(3, 3\), not"),
        (NAME, torch.zeros(18, 36, 3, 3, dtype=torch.float16), f"{NAME} holds float16"),
        (NAME, torch.full((18, 36, 3, 3), torch.nan), "not finite"),
        ("qz.2.conv_9.weight", torch.zeros(2), "qz.2.conv_9.weight belongs to no part"),
        ("td.us.0.weight", None, "td.us"),
        ("bottleneck_down.linear.bias", None, "bottleneck_down.linear.bias is missing"),
        ("final_blocks.us.convt2.weight", torch.zeros(5, 5, 7, 7), "its image decoders have 5 channels"),
        ("first_conv.us.weight", torch.tensor(1.0), r"first_conv.us.weight has the shape \(\)"),
        ("conv_blocks_localization.0.conv_0.weight", torch.zeros(6, 0, 3, 3), r"conv_0.weight has the shape \(6, 0"),
        (NAME, torch.zeros(18, 36, 3, 3).to_sparse(), "sparse_coo, not float32"),
    ],
)
def test_a_tensor_that_does_not_belong_is_named(
    weights: dict[str, Tensor], tmp_path: Path, name: str, tensor: Tensor | None, why: str
) -> None:
    torch.save(changed(weights, name, tensor), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=why) as caught:
        translated(tensors_of(tmp_path / "w.pth"), SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_weights_that_do_not_belong_leave_no_folder(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(changed(weights, NAME, None), tmp_path / "w.pth")
    with pytest.raises(ModelFolderError, match=f"other weights in .*{NAME} is missing"):
        import_weights(tmp_path / "w.pth", tmp_path / "model", image_size=SIZE)
    assert not (tmp_path / "model").exists()


class Payload:
    """Writes a file when it is unpickled by a loader that runs what it reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["code", "module", "nested", "garbage", "cut", "tensor", "integers", "keys"])
def test_a_file_that_is_no_state_dict_is_refused_and_runs_nothing(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "w.pth"
    if kind == "code":
        file.write_bytes(pickle.dumps({"a": Payload(tmp_path / "ran")}))
    elif kind == "module":
        torch.save(torch.nn.Linear(2, 2), file)
    elif kind in ("nested", "cut"):
        torch.save({"epoch": 3, "state_dict": {"a": torch.zeros(2)}}, file)
    elif kind == "garbage":
        file.write_bytes(b"no weights at all")
    elif kind == "tensor":
        torch.save(torch.zeros(3), file)
    elif kind == "integers":
        torch.save({"a": torch.zeros(3, dtype=torch.int32)}, file)
    elif kind == "keys":
        torch.save({("a",): torch.zeros(3)}, file)
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"refuses it|it holds a|not a tensor|not float32|with a tuple"):
        tensors_of(file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["no strides", "shared storage"])
def test_tensors_larger_than_their_file_are_refused(tmp_path: Path, kind: str) -> None:
    small = torch.zeros(2**10)
    many = {f"t{number}": small for number in range(1000)}
    torch.save({"a": small[:1].expand(2**20, 2**20)} if kind == "no strides" else many, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="more than the file has"):
        tensors_of(tmp_path / "w.pth")


def endless_key(file: Path) -> None:
    """Write a dictionary whose key is a tuple of two of the same tuple, and so on: its hash takes 2^60 steps."""
    steps = pickle.EMPTY_TUPLE
    for number in range(60):
        place = bytes([number])
        steps += pickle.BINPUT + place + pickle.BINGET + place + pickle.TUPLE2
    key = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + steps + pickle.NONE + pickle.SETITEM + pickle.STOP
    torch.save({}, file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, key if name.endswith("data.pkl") else content)


def expanding_zip(file: Path) -> None:
    """Write a file of a few megabytes with a tensor of 768 MiB of zeros, compressed."""
    torch.save({"a": torch.zeros(2)}, file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            with archive.open(name, "w", force_zip64=True) as stream:
                if name.endswith("data/0"):
                    for _ in range(48):
                        stream.write(bytes(2**24))
                else:
                    stream.write(content)


@pytest.mark.slow
@pytest.mark.parametrize("make", [endless_key, expanding_zip])
def test_small_file_that_takes_endless_time_or_memory_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "w.pth")
    result = CliRunner().invoke(app, ["import-weights", str(tmp_path / "w.pth"), "--out", str(tmp_path / "model")])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unreadable weights in ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_absent_file_of_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="there is no such file"):
        import_weights(tmp_path / "w.pth", tmp_path / "model")


@pytest.mark.slow
def test_the_older_name_of_the_architecture_is_read(file: Path, tmp_path: Path) -> None:
    import_weights(file, tmp_path / "model", image_size=SIZE)
    description = tmp_path / "model/model.yaml"
    description.write_text(description.read_text().replace("architecture: dorent2024", "architecture: authors"))
    model, found = load_model(tmp_path / "model")
    assert found.architecture == "authors"  # part of the fingerprint
    assert model.fusion is INVERSE_DEVIATIONS


@pytest.mark.slow
def test_an_imported_model_synthesizes_a_volume_of_another_size(file: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments])
        assert result.exit_code == 0, result.stderr
        return result.stdout

    model = tmp_path / "model"
    told = run("import-weights", str(file), "--image-size", "64x128", "--out", str(model))
    assert "us, t2, cet1, flair; slices of 64 x 128 at 0.5 mm" in told
    us = head(0, Grid((30, 40, 5), np.diag([0.9, 0.8, 2.0, 1.0])))
    write_volume(tmp_path / "us.nii.gz", us)
    out = tmp_path / "out"
    run(
        "synthesize", "--model", str(model), "--input", f"us={tmp_path}/us.nii.gz", "--out", str(out), "--device", "cpu"
    )
    for name in ("t2", "cet1", "flair"):
        made = read_volume(out / f"{name}.nii.gz")
        assert made.grid.same_as(us.grid)
        assert 0 < made.data[us.data > 0].mean() < 1  # the authors' harmonized scale
        assert (made.data[us.data == 0] == 0).all()


@pytest.mark.slow
def test_slices_run_where_the_model_wants_them(file: Path, tmp_path: Path) -> None:
    """A volume whose axes run to LPS, seen by a model that takes LPS, is seen as it is stored."""
    grid = Grid((64, 128, 3), np.diag([-0.5, -0.5, 0.5, 1.0]))
    stored_us = Volume(head(1, Grid((64, 128, 3), np.diag([0.5, 0.5, 0.5, 1.0]))).data, grid)
    for orientation, expected in (("LPS", stored_us.data), ("RAS", stored_us.data[::-1, ::-1])):
        import_weights(file, tmp_path / orientation, image_size=SIZE, orientation=orientation)  # type: ignore[arg-type]
        seen = Synthesizer(*load_model(tmp_path / orientation)).see(SubjectImages.of({"us": stored_us}))
        inside = seen.foreground[:, 0].transpose(1, 2, 0)
        np.testing.assert_array_equal(inside, expected[:, :, 1:2] > 0)  # the one slice with foreground
