"""Crowds of touching ellipses whose truth is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["crowd"]


def crowd(
    seed: int, side: int = 160, count: int = 60, radius: tuple[float, float] = (6, 12)
) -> npt.NDArray[np.int32]:
    """Return ellipses that touch but hardly cover each other, int32 (side, side)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for number in range(1, count + 1):
        top, left = rng.uniform(0, side, 2)
        long = rng.uniform(*radius)
        short, turn = long * rng.uniform(0.6, 1), rng.uniform(0, np.pi)
        u = (y - top) * np.cos(turn) + (x - left) * np.sin(turn)
        v = (x - left) * np.cos(turn) - (y - top) * np.sin(turn)
        inside = (u / long) ** 2 + (v / short) ** 2 < 1
        if inside.any() and (labels[inside] > 0).mean() < 0.15:
            labels[inside & (labels == 0)] = number
    return labels
