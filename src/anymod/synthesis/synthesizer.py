"""Synthesis of the requested modalities from the available ones, on the subject's own grid."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymod.arrays import Array
from anymod.cohorts import SubjectImages
from anymod.core.foregrounds import with_content
from anymod.engines.backends import Backend, with_backend
from anymod.engines.device import resolve_device
from anymod.errors import ModalityError, ModelFolderError
from anymod.models import (
    ModelDescription,
    Synthesizes,
    VoxelErrors,
    find_model,
    load_model,
    read_voxel_errors,
)
from anymod.slices import CacheSettings
from anymod.slices.axes import Stack, axes_of
from anymod.slices.intensities import Anchor, input_maps, write_row
from anymod.slices.looks import Look
from anymod.slices.model_input import ModelInput, model_input
from anymod.slices.typical import Typical, check_remarks, read_typical, remarks
from anymod.synthesis.drawing import draw_images, encoded
from anymod.synthesis.options import SynthesisOptions
from anymod.volumes import Grid, IntensityRange, Volume, resample, scale, unscale
from anymod.volumes.intensity import TARGET_FLOOR

PIXELS_AT_ONCE = 8 * 96 * 96  # of one modality: eight slices of the usual size fit into any memory


@dataclass(frozen=True)
class Synthesis:
    """The synthetic images of one subject, on the grid of its files.

    `standard_deviations` are those to expect of each voxel where the model knows them (`anymod calibrate --crossvalidation`). Those of
    several samples alone are not a calibrated uncertainty (method, section 4); squares are added: of the samples, and of what the model
    knows of each voxel or else of the image, `expected_errors`. These are root mean squared errors by target, in raw units, on subjects
    that the model was not trained on; a target that was not measured from this subset has none. `mapped` names the targets of which the
    model knows the errors of each voxel. `units` holds the raw (low, high) of each image's scale, `cut_off` the fraction of the foreground
    that the model could not see, `unusual` what is unlike the model's training images, in a few words each.
    In `realistic` images texture is made up where nothing shows it.
    """

    images: dict[str, Volume]
    standard_deviations: dict[str, Volume]
    shown: tuple[str, ...]
    grid: Grid
    units: dict[str, tuple[float, float]]
    expected_errors: dict[str, float]
    cut_off: float
    mapped: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()
    realistic: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    def errors_known(self, target: str) -> bool:
        """Return whether a target's standard deviation contains more than that of the samples."""
        return target in self.mapped or target in self.expected_errors


class Synthesizer:
    """A model ready to fill in volumes.

    Example:
        >>> synthesizer = Synthesizer.from_folder("simulated-mr")  # doctest: +SKIP
        >>> filled = synthesizer.synthesize({"t1": read_volume("t1.nii.gz")})  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Synthesizes,
        description: ModelDescription,
        device: str | torch.device = "cpu",
        backend: Backend = "torch",
        typical: Typical | None = None,
        voxel_errors: VoxelErrors | None = None,
    ) -> None:
        """Take a model that lies on `device` already.

        `backend` says what runs it, `typical` what its training images look like, `voxel_errors` what errors to expect.
        """
        self.model, self.description, self.typical, self.voxel_errors = model, description, typical, voxel_errors
        self.device, self.backend = torch.device(device), backend

    @classmethod
    def from_folder(cls, folder: str | Path, device: str = "auto", backend: Backend = "torch") -> Synthesizer:
        """Return a Synthesizer of a model folder or a bundled model's name, on `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

        `backend`: what runs the network (`with_backend`).
        """
        chosen = resolve_device(device)
        network, description = load_model(folder, chosen)
        fingerprint, place = description.fingerprint(), find_model(folder)
        model, runs = with_backend(network, fingerprint, backend, chosen)
        return cls(model, description, chosen, runs, read_typical(place), read_voxel_errors(place, fingerprint))

    def targets(self, shown: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
        """Return the targets: those wanted, else all that is not shown; raise ModalityError for an unknown one or none at all."""
        for name in (*shown, *(wanted or ())):
            self.description.position(name)
        targets = (
            tuple(dict.fromkeys(wanted))
            if wanted
            else tuple(name for name in self.description.names if name not in shown)
        )
        if not shown:
            raise ModalityError("no image", "the inputs", "nothing is shown to the model", "give at least one image")
        if not targets:
            remedy = "name what to make again with --target"
            raise ModalityError("nothing to synthesize", "+".join(shown), "every modality is shown", remedy)
        return targets

    def check(self, options: SynthesisOptions) -> None:
        """Raise ModelFolderError if the options ask for realistic images and the model has not learnt them."""
        if options.realistic and not self.description.realistic:
            why = f"the model of {'+'.join(self.description.names)} has not learnt them"
            raise ModelFolderError(
                "no realistic images", "--realistic", why, "leave it out, or train them (docs/how-to/train.md)"
            )

    def synthesize(
        self, images: dict[str, Volume], options: SynthesisOptions | None = None, mask: Volume | None = None
    ) -> Synthesis:
        """Return the targets of one subject from the images given, which share one grid.

        Args:
            images: One volume for each modality shown, raw intensities, any orientation.
            options: Targets, samples and temperature; by default the posterior mean of everything not shown.
            mask: Foreground of all images (not 0); without it, that of each image is found.

        Raises:
            ModalityError: A modality is unknown to the model, or nothing is shown, or there is nothing to make.
            ModelFolderError: The options ask for realistic images, which the model has not learnt.
            GridError: The images lie on different grids.
            VolumeError: An image shows nothing or cannot be scaled, or with `strict` the images are unlike those of the training.
        """
        options = options or SynthesisOptions()
        targets = self.targets(tuple(images), options.targets)
        self.check(options)
        seconds: dict[str, float] = {}
        with _timed(seconds, "prepare"):
            subject = SubjectImages.of(images if mask is None else {**images, "mask": mask})
            seen = self.see(subject)
            unusual = remarks(Look.of(subject), self.typical)
            if options.strict:
                check_remarks(unusual, " and ".join(volume.source or name for name, volume in images.items()))
        with _timed(seconds, "network"):
            means, deviations = self._draw(seen, targets, options)
        with _timed(seconds, "restore"):
            # Errors were measured on posterior means; realistic images have larger ones.
            synthesis = self._restored(subject, seen, targets, means, deviations, errors_known=not options.realistic)
        return replace(synthesis, unusual=unusual, realistic=options.realistic, seconds=seconds)

    def _restored(
        self,
        subject: SubjectImages,
        seen: ModelInput,
        targets: tuple[str, ...],
        means: Array,
        deviations: Array | None,
        *,
        errors_known: bool,
    ) -> Synthesis:
        """Return scaled means and standard deviations (target, slice, h, w) in raw units on the subject's grid."""
        images, standard_deviations, units, errors = {}, {}, {}, {}
        mapped = []
        own = subject.file_grid
        inside, union = seen.union, resample(Volume(subject.union, subject.grid), own, labels=True).data
        for number, name in enumerate(targets):
            position = self.description.position(name)
            scale, measured = self._units(seen, position), seen.scales[position]
            outside = measured.background if measured else self.description.modalities[position].background
            units[name] = (scale.low, scale.high)
            images[name] = seen.view.to_own_grid(unscale(means[number], scale), inside, union, outside)
            expected = self.description.expected_error(subject.volumes, name) if errors_known else None
            if expected is not None:
                errors[name] = expected * scale.raw_per_scaled
            each_voxel = self.voxel_deviation(seen, name, means[number]) if errors_known else None
            mapped += [] if each_voxel is None else [name]
            if deviations is not None or each_voxel is not None:
                known = np.float32(expected or 0) if each_voxel is None else each_voxel
                together = np.hypot(0 if deviations is None else deviations[number], known)
                raw = together.astype(np.float32) * np.float32(scale.raw_per_scaled)
                standard_deviations[name] = seen.view.to_own_grid(raw, inside, union)
        shown = tuple(name for name in self.description.names if name in subject.volumes)
        return Synthesis(images, standard_deviations, shown, own, units, errors, seen.cut_off, tuple(mapped))

    def voxel_deviation(self, seen: ModelInput, target: str, prediction: Array) -> Array | None:
        """Return the standard deviation (slice, h, w) to expect of a target's prediction, scaled; None where the model does not know it."""
        shown = [name for name, scale in zip(self.description.names, seen.scales, strict=True) if scale is not None]
        if self.voxel_errors is None:
            return None
        return self.voxel_errors.deviation(shown, target, prediction, self.shown_planes(seen), seen.union)

    def shown_planes(self, seen: ModelInput) -> list[Array]:
        """Return the shown images, each (slice, h, w) and scaled over the volume, in the model's order."""
        ranges = enumerate(self.input_ranges(seen))
        return [scale(seen.planes[:, place], each, seen.foreground[:, place]) for place, each in ranges if each]

    def see(self, subject: SubjectImages) -> ModelInput:
        """Return a subject's images on the grid of the model, large enough for the foreground unless the model takes one size only."""
        groups = {modality.name: modality.group for modality in self.description.modalities}
        stride = self.model.spec.stride if self.model.spec.fixed_size is None else None
        return model_input(subject, groups, cache_settings(self.description), stride)

    def input_ranges(self, seen: ModelInput) -> list[IntensityRange | None]:
        """Return what maps each modality's raw values to the network's input, None where it is not shown."""
        modalities = zip(seen.scales, self.description.modalities, strict=True)
        return [None if scale is None else scale.input_range(each.harmonized_median) for scale, each in modalities]

    def true_range(self, seen: ModelInput, name: str, white_matter: Anchor | None) -> IntensityRange:
        """Return what the scale of a modality would be if its image, which is shown, were a target.

        `white_matter` is that of the image where the model's targets are harmonized. A model whose constant is not known takes the
        image's own.
        """
        position = self.description.position(name)
        constant = self.description.modalities[position].harmonized_median
        if white_matter is not None:
            return white_matter.anchored(constant or white_matter.share, TARGET_FLOOR)
        scale = seen.scales[position]
        if scale is None:
            raise ValueError(f"{name} is not shown")
        return scale.input_range(constant)

    def _units(self, seen: ModelInput, position: int) -> IntensityRange:
        """Return what turns a target's scaled values into raw ones: its own range where it was shown, else the model's typical one.

        Harmonized targets are on their modality's common scale, shown or not; ultrasound never is one (docs/method.md section 9).
        """
        modality = self.description.modalities[position]
        if self.description.targets == "harmonized" and modality.group != "us":
            return IntensityRange(modality.low, modality.high, TARGET_FLOOR)
        return self.input_ranges(seen)[position] or IntensityRange(modality.low, modality.high)

    @torch.inference_mode()
    def _draw(
        self, seen: ModelInput, targets: tuple[str, ...], options: SynthesisOptions
    ) -> tuple[Array, Array | None]:
        """Return means and, of several samples, standard deviations: scaled, (target, slice, h, w), background -1 and 0."""
        stacks = self.stacks(seen, options)
        means, deviations = self._draw_stack(stacks[0], targets, options)
        for stack in stacks[1:]:
            means += stack.as_axial(self._draw_stack(stack, targets, options)[0])
        means /= len(stacks)
        return means, deviations

    def stacks(self, seen: ModelInput, options: SynthesisOptions) -> list[Stack]:
        """Return the slices whose images are averaged: axial ones, with those of the other axes if the model has learnt them.

        Random draws are made along one axis: the mean of several would hide a part of their variance.
        """
        axes = axes_of("axial" if options.random else self.description.slice_axis)
        if len(axes) == 1:
            return [Stack("axial", seen, seen.planes.shape[-2:])]
        stride, rule = self.model.spec.stride, self.description.intensity
        return [Stack.of(seen, axis, stride, rule) for axis in axes]

    def _draw_stack(
        self, stack: Stack, targets: tuple[str, ...], options: SynthesisOptions
    ) -> tuple[Array, Array | None]:
        seen, inside = stack.seen, stack.seen.union
        means = np.full((len(targets), *inside.shape), -1.0, dtype=np.float32)
        deviations = np.zeros_like(means) if options.samples > 1 else None
        positions = tuple(self.description.position(name) for name in targets)
        for slices in _chunks(np.flatnonzero(inside.any((1, 2))), inside.shape[1] * inside.shape[2], options.chunk):
            images, shown, foreground = self.rows(seen, slices)
            encoding = encoded(self.model, images, shown, mirror=options.mirror, axis=stack.axis)
            mean, deviation = draw_images(
                encoding, with_content(shown, foreground), positions, options, slices.tolist()
            )
            here = inside[slices]
            means[:, slices] = np.where(here, mean.transpose(0, 1).cpu().numpy(), np.float32(-1))
            if deviations is not None:
                deviations[:, slices] = np.where(here, deviation.transpose(0, 1).cpu().numpy(), np.float32(0))
        return means, deviations

    def rows(self, seen: ModelInput, slices: Array) -> tuple[Tensor, Tensor, Tensor]:
        """Return images (b, m, c, h, w), shown (b, m) and foreground (b, m, h, w) of some slices (indices) on the device."""
        count, modalities, height, width = seen.planes.shape
        maps = input_maps(self.input_ranges(seen), seen.slice_ranges, count)
        images = np.empty(
            (len(slices), modalities, 1 + 2 * self.model.spec.context_slices, height, width), dtype=np.float32
        )
        for row, position in enumerate(slices.tolist()):
            write_row(images[row], seen.planes, seen.foreground, maps, position, range(count))
        shown = torch.tensor([scale is not None for scale in seen.scales]).expand(len(slices), -1)
        foreground = torch.from_numpy(seen.foreground[slices])
        return torch.from_numpy(images).to(self.device), shown.to(self.device), foreground.to(self.device)


def cache_settings(description: ModelDescription) -> CacheSettings:
    """Return the settings with which a model's slices are cut and scaled."""
    return CacheSettings(
        spacing_mm=description.spacing_mm,
        orientation=description.orientation,
        image_size=description.image_size,
        intensity=description.intensity,
        targets=description.targets,
    )


def slices_at_once(pixels: int) -> int:
    """Return how many slices of so many pixels a small memory holds while a network runs."""
    return max(1, PIXELS_AT_ONCE // pixels)


def _chunks(slices: Array, pixels: int, chunk: int | None) -> Iterator[Array]:
    size = chunk or slices_at_once(pixels)
    for start in range(0, len(slices), size):
        yield slices[start : start + size]


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)
