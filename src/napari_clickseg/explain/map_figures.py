"""Pictures of what explains an answer, drawn over the window that the network saw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pathlib import Path

FloatArray = npt.NDArray[np.float32]
_SIDE = 5.0  # inches
_BRIGHT = 0.995  # of the pixels are drawn within the colours' range
_ACROSS = 4  # small pictures in a row


def draw_over(
    path: Path,
    pixels: FloatArray,
    values: FloatArray,
    mask: npt.NDArray[np.bool_],
    title: str,
    *,
    signed: bool = False,
) -> None:
    """Draw a map over what the network saw, with the mask as a contour.

    Parameters
    ----------
    path : Path
        PNG; replaced if it is there.
    pixels : float32 (C, N, N)
        The window.
    values : float32 (Y, X)
        Over the whole window, whatever its resolution.
    mask : bool (N, N)
        What was found.
    title : str
        Above the picture.
    signed : bool
        Whether values below 0 mean the opposite.
    """
    from matplotlib.figure import Figure  # without pyplot: it would look for a window

    figure = Figure(figsize=(_SIDE * 1.15, _SIDE), layout="constrained")
    axes = figure.subplots()
    side = pixels.shape[-1]
    extent = (-0.5, side - 0.5, side - 0.5, -0.5)
    axes.imshow(_shown(pixels), extent=extent, cmap="gray", vmin=0, vmax=1)
    largest = float(np.quantile(np.abs(values), _BRIGHT)) or float(np.abs(values).max()) or 1.0
    drawn = axes.imshow(
        values, extent=extent, interpolation="bilinear", alpha=0.55,
        cmap="RdBu_r" if signed else "inferno",
        vmin=-largest if signed else 0, vmax=largest,
    )  # fmt: skip
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors="white", linewidths=1)
    axes.set(title=title, xticks=[], yticks=[])
    figure.colorbar(drawn, shrink=0.8)
    figure.savefig(path, dpi=120)


def draw_maps(path: Path, maps: FloatArray, title: str) -> None:
    """Draw maps (n, Y, X) side by side, each from its lowest value to its highest.

    Parameters
    ----------
    path : Path
        PNG; replaced if it is there.
    maps : float32 (n, Y, X)
        One at least.
    title : str
        Above them.
    """
    from matplotlib.figure import Figure

    rows = math.ceil(len(maps) / _ACROSS)
    figure = Figure(figsize=(2 * _ACROSS, 2 * rows + 0.4), layout="constrained")
    each: Any = figure.subplots(rows, _ACROSS, squeeze=False).ravel()
    for axes in each:
        axes.set_axis_off()
    for axes, one in zip(each, maps, strict=False):
        axes.imshow(one, cmap="viridis")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def _shown(pixels: FloatArray) -> FloatArray:
    """Return a window as a picture: (N, N) grey, or (N, N, 3) where three channels are colours."""
    if len(pixels) == 3:
        return pixels.transpose(1, 2, 0).clip(0, 1)
    return np.asarray(pixels.mean(0)).clip(0, 1)
