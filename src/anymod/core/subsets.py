"""Subsets of modalities: enumeration, names, probabilities and draws by group (method, section 8).

A subset is a bit mask: bit m is the m-th modality in the model's order. Each draw uses a ticket: "everything observed", one group ("any
non-empty part of the observed ultrasound/MR"), or "any non-empty part of everything", the mixed ticket.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor


def non_empty_subsets(observed: int) -> list[int]:
    """Return all non-empty sub-masks of the mask `observed`, by size and then by value."""
    subsets = [mask for mask in range(1, observed + 1) if mask & observed == mask]
    return sorted(subsets, key=lambda mask: (mask.bit_count(), mask))


def as_mask(shown: Sequence[bool]) -> int:
    """Return the bit mask of a row of booleans."""
    return sum(1 << index for index, flag in enumerate(shown) if flag)


def as_row(mask: int, count: int) -> list[bool]:
    """Return the `count` booleans of a bit mask."""
    return [bool(mask >> index & 1) for index in range(count)]


def positions(mask: int) -> tuple[int, ...]:
    """Return the positions of the modalities of a bit mask."""
    return tuple(place for place in range(mask.bit_length()) if mask >> place & 1)


def subset_name(mask: int, modalities: Sequence[str]) -> str:
    """Return the names of a subset, joined by `+` in the model's order: `us+t2`."""
    return "+".join(name for name, flag in zip(modalities, as_row(mask, len(modalities)), strict=True) if flag)


def parse_subset(name: str, modalities: Sequence[str]) -> int:
    """Return the mask of names joined by `+` or `,` in any order; raise ValueError for an unknown, repeated or missing name."""
    return sum(1 << place for place in parse_order(name, modalities))


def parse_order(name: str, modalities: Sequence[str]) -> tuple[int, ...]:
    """Return the positions of names joined by `+` or `,`, in their order; raise ValueError for an unknown, repeated or missing name."""
    names = [each.strip() for each in name.replace(",", "+").split("+")]
    if len(set(names)) != len(names) or not set(names) <= set(modalities):
        raise ValueError(f"'{name}' is no subset of {'+'.join(modalities)}")
    return tuple(list(modalities).index(each) for each in names)


def tickets(observed: int, groups: Sequence[str], *, mixed: bool) -> list[int]:
    """Return one mask per ticket of a subject; its candidates are the non-empty sub-masks, but ticket 0 has only `observed` itself.

    Ticket 0 is everything observed. Then follow one ticket per group with an observed modality, in the order in which groups first
    appear, and with `mixed` one for any non-empty part of everything. There is no ticket if nothing is observed.
    """
    if not observed:
        return []
    names = list(dict.fromkeys(groups))
    parts = [as_mask([group == name for group in groups]) & observed for name in names]
    return [observed, *(part for part in parts if part), *([observed] if mixed else [])]


def draw_subsets(
    observed: Bool[Tensor, "batch modality"],
    groups: Sequence[str],
    draws: int,
    generator: torch.Generator,
    *,
    mixed: bool,
    full_share: float | None = None,
) -> Bool[Tensor, "draw batch modality"]:
    """Return `draws` subsets of the observed modalities of every row, stratified over the tickets.

    A row uses its tickets in turn from a random start. As many draws as tickets use each ticket once, and in a single draw all tickets are
    equally likely, so the mean is that of independent draws and the variance is smaller. With `full_share`, ticket 0 has this probability
    in each draw, and the others share the rest in the same way. Raises ValueError if a row observes nothing; such subjects must be left
    out of batches.
    """
    rows = []
    for row in observed.tolist():
        mask = as_mask(row)
        drawn = tickets(mask, groups, mixed=mixed)
        if not drawn:
            raise ValueError("a row observes no modality")
        picks = _picks(len(drawn), draws, full_share, generator)
        rows.append([as_row(mask if pick == 0 else _draw_part(drawn[pick], generator), len(row)) for pick in picks])
    return torch.tensor(rows, dtype=torch.bool, device=observed.device).transpose(0, 1)


def _picks(tickets: int, draws: int, full_share: float | None, generator: torch.Generator) -> list[int]:
    """Return the ticket of each draw."""
    first = 0 if full_share is None else 1  # of the tickets that are gone through in turn
    start = _integer(tickets - first, generator)
    picks = [first + (start + draw) % (tickets - first) for draw in range(draws)]
    if full_share is None:
        return picks
    full = torch.rand(draws, generator=generator) < full_share
    return [0 if is_full else pick for pick, is_full in zip(picks, full.tolist(), strict=True)]


def _draw_part(mask: int, generator: torch.Generator) -> int:
    """Return a non-empty sub-mask of `mask`, each equally likely: the bits of an integer from 1 to 2^k-1, placed at its k bits."""
    bits = [index for index in range(mask.bit_length()) if mask >> index & 1]
    pick = 1 + _integer(2 ** len(bits) - 1, generator)
    return sum(1 << bit for position, bit in enumerate(bits) if pick >> position & 1)


def _integer(below: int, generator: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=generator))
