"""What a slice cache is made by and what is known of each subject in it, as its JSON files hold them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from anymod.configuration import Settings
from anymod.slices.intensities import Anchor, ImageScale, RawRange
from anymod.slices.looks import Look
from anymod.slices.score_units import Landmarks
from anymod.volumes import IntensityRule

SliceAxis = Literal["axial", "all"]

IMAGES, FOREGROUND, LABEL, RECORD = "images.npy", "foreground.npy", "label.npy", "subject.json"
ARRAYS = (IMAGES, FOREGROUND, LABEL)


class CacheSettings(Settings):
    """How images become slices. A model stores the same numbers, so that synthesis cuts and scales as training did."""

    spacing_mm: float | None = Field(default=None, gt=0)
    """Edge of the cubic voxels that every image is resampled to; None keeps each subject's own spacing."""
    orientation: Literal["RAS", "LPS"] = "RAS"
    """Where rows, columns and slices run to."""
    image_size: tuple[int, int] | None
    """Voxels of a slice, (rows, columns), cut or padded about the centre of the foreground; None: as many as hold the foreground."""
    intensity: IntensityRule = IntensityRule()
    slice_axis: SliceAxis = "axial"
    """Slices along one axis of the head, or along each of the three."""
    targets: Literal["percentile", "harmonized"] = "percentile"
    """What targets show: the input's rule over the volume, or the tissue map's white matter at one constant (docs/method.md section 9)."""
    min_foreground: float = Field(default=0.02, ge=0, le=1)
    """A slice is used when at least this fraction of it is foreground in some modality."""


class SubjectSlices(Settings):
    """What is known of one subject's slices; tuples run over modalities or, where said so, over slices first.

    Slices are counted through its stacks: axial ones, then, where the settings ask for them, coronal and sagittal ones.
    """

    name: str
    key: str
    """SHA-256 over the subject's files, the settings and the version of the rule that shaped the arrays."""
    scales: tuple[ImageScale | None, ...]
    """Of each image; None where the modality is absent."""
    slice_ranges: tuple[tuple[RawRange | None, ...], ...] | None
    """Slices, then modalities, with scope `slice` only; None where a slice shows nothing or one value."""
    white_matter: tuple[Anchor | None, ...]
    """From the tissue map; given for harmonized targets only."""
    foreground_fractions: tuple[tuple[float, ...], ...]
    """Slices, then modalities: which part of the slice is foreground."""
    union_fractions: tuple[float, ...]
    """Slices: which part is foreground in any modality."""
    labelled: tuple[bool, ...]
    """Slices: whether the subject's label map marks something there (never where it has none)."""
    cut_off: float
    """Fraction of the foreground that lies outside the slices, in the stack that loses most."""
    stacks: tuple[int, ...] = ()
    """Slices in each stack; () in a record of an earlier version, which has axial slices only."""
    look: Look | None = None
    """Of all images; None in a record of an earlier version."""
    landmarks: tuple[Landmarks | None, ...] = ()
    """Of each image, for the units of scores; () in a record of an earlier version."""
    fingerprints: tuple[str | None, ...] = ()
    """Of the content of each image (`content_fingerprint`); () in a record of an earlier version."""

    @property
    def observed(self) -> tuple[bool, ...]:
        """Which modalities the subject has."""
        return tuple(scale is not None for scale in self.scales)

    def stack_of(self, position: int) -> tuple[int, range]:
        """Return which stack a slice lies in (0 is axial), and the positions of that stack's slices."""
        start = 0
        for number, count in enumerate(self.stacks or (len(self.union_fractions),)):
            if position < start + count:
                return number, range(start, start + count)
            start += count
        raise IndexError(f"{self.name} has {start} slices, not {position + 1}")
