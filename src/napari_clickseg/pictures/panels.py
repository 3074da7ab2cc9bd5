"""Image, truth, prediction and probability side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pathlib import Path

_SIDE = 3.4  # inches
_DPI = 150
# Okabe & Ito's again, as objects are told apart by the colour-blind, too.
_OBJECTS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def draw_panels(
    path: Path,
    picture: npt.NDArray[np.uint8],
    truth: npt.NDArray[Any] | None,
    prediction: npt.NDArray[Any],
    probability: npt.NDArray[np.float32] | None,
    title: str,
) -> None:
    """Draw what there is of an image side by side; all of one size, (Y, X).

    Parameters
    ----------
    path : Path
        PNG, or whatever matplotlib writes; replaced if it is there.
    picture : uint8 (Y, X, 3)
        The image.
    truth, prediction : int (Y, X)
        Ids.
    probability : float32 (Y, X), optional
        Of the foreground; without it there is no such part.
    title : str
        Above all.
    """
    from matplotlib.figure import Figure  # without pyplot: it would look for a window

    parts: list[tuple[str, npt.NDArray[Any]]] = [("Image", picture)]
    if truth is not None:
        parts.append(("Truth", _coloured(truth)))
    parts.append(("Prediction", _coloured(prediction)))
    count = len(parts) + (probability is not None)
    height = _SIDE * min(2.0, max(0.4, picture.shape[0] / picture.shape[1]))
    figure = Figure(figsize=(_SIDE * count, height + 0.6), layout="constrained")
    each = figure.subplots(1, count, squeeze=False)[0]
    for axes, (name, values) in zip(each, parts, strict=False):
        axes.imshow(values, interpolation="nearest")
        axes.set_title(name, fontsize="medium")
    if probability is not None:
        _probability(figure, each[-1], probability)
    for axes in each:
        axes.set(xticks=[], yticks=[])
    figure.suptitle(_plain(title), fontsize="medium")
    figure.savefig(path, dpi=_DPI)


def draw_probability(path: Path, probability: npt.NDArray[np.float32], title: str) -> None:
    """Draw a probability (Y, X) alone, with the bar of its colours."""
    from matplotlib.figure import Figure

    height = _SIDE * min(2.0, max(0.4, probability.shape[0] / probability.shape[1]))
    figure = Figure(figsize=(_SIDE * 1.5, height * 1.3), layout="constrained")
    axes = figure.subplots()
    _probability(figure, axes, probability)
    axes.set(xticks=[], yticks=[], title=_plain(title))
    figure.savefig(path, dpi=_DPI)


def _probability(figure: Any, axes: Any, values: npt.NDArray[np.float32]) -> None:
    drawn = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title("Probability", fontsize="medium")
    figure.colorbar(drawn, ax=axes, shrink=0.8)


def _plain(text: str) -> str:
    """Return a text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")


def _coloured(labels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Give each id a colour; the background is black."""
    table = np.array(
        [(0, 0, 0), *(tuple(int(c[k : k + 2], 16) for k in (1, 3, 5)) for c in _OBJECTS)], np.uint8
    )
    ids = labels.astype(np.int64)
    return table[np.where(ids > 0, (ids - 1) % len(_OBJECTS) + 1, 0)]
