"""Rectified flow: straight paths from one distribution to another, and the differential equation that follows their mean direction.

Liu et al., arXiv 2209.03003. Where the paths begin at a posterior mean with a little noise and end at the true image, following the
equation gives images that look real at nearly the least error that such images can have (Ohayon et al., arXiv 2410.00418).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def on_path(start: Tensor, end: Tensor, time: Tensor) -> Tensor:
    """Return (1 - t) start + t end, where `time` t in [0, 1] has one number for each row (b,). Its velocity is end - start at any time."""
    weight = time.view(-1, *(1,) * (start.dim() - 1))
    return (1 - weight) * start + weight * end


def follow(velocity: Callable[[Tensor, Tensor], Tensor], start: Tensor, steps: int) -> Tensor:
    """Return the state at time 1 of dx/dt = velocity(x, t) from x = `start` at time 0, by `steps` equal steps of Euler's method.

    `velocity` takes the state (b, ...) and the time of each row (b,).
    """
    state = start
    for step in range(steps):
        state = state + velocity(state, state.new_full((len(state),), step / steps)) / steps
    return state
