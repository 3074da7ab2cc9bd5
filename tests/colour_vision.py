"""How well colours are told apart, also by the colour-blind."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

if TYPE_CHECKING:
    from collections.abc import Iterable

# Machado, Oliveira and Fernandes (2009), complete: linear red, green and blue as they are seen.
SEEN = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def nearest(colours: Iterable[str]) -> tuple[float, str, str, str]:
    """Return the least difference of two of some colours (CIEDE2000), to whom, and which two."""
    pairs = list(combinations(colours, 2))
    return min((_differ(a, b, eye), eye, a, b) for a, b in pairs for eye in SEEN)


def _differ(first: str, second: str, eye: str) -> float:
    labs = [rgb2lab(_seen(one, eye)[None, None]) for one in (first, second)]
    return float(deltaE_ciede2000(*labs).squeeze())


def _seen(colour: str, eye: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (SEEN[eye] @ linear).clip(0, 1)
    return np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
