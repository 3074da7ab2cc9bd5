"""The simulated annotator: where the next click goes, given prediction and truth.

The field's protocol (Sofiiuk, Petrov, Konushin: *Reviving Iterative Training with Mask Guidance
for Interactive Segmentation*, 2021): the inner-most pixel of the largest error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_clickseg.core.clicks import Click

if TYPE_CHECKING:
    from collections.abc import Sequence

BoolArray = npt.NDArray[np.bool_]
IGNORE = 255  # label of pixels that count neither way


def next_click(
    prediction: BoolArray,
    truth: BoolArray,
    clicks: Sequence[Click] = (),
    *,
    ignore: BoolArray | None = None,
) -> Click | None:
    """Place the next click.

    False negatives and false positives are padded by one pixel; the click goes to the first
    maximum, in raster order, of the Euclidean distance to their edge. It is positive where the
    maximum over false negatives is greater than over false positives. Pixels clicked before
    count as distance zero.

    Parameters
    ----------
    prediction : bool (Y, X)
        The mask that was predicted.
    truth : bool (Y, X)
        The mask that is wanted.
    clicks : sequence of Click
        The clicks made before.
    ignore : bool (Y, X), optional
        Pixels that count neither way.

    Returns
    -------
    Click or None
        None where nothing is wrong.
    """
    missed, surplus = truth & ~prediction, prediction & ~truth
    if ignore is not None:
        missed, surplus = missed & ~ignore, surplus & ~ignore
    inner_missed, inner_surplus = _depth(missed), _depth(surplus)
    for click in clicks:
        if click.inside(truth.shape):
            inner_missed[click.pixel] = inner_surplus[click.pixel] = 0
    positive = bool(inner_missed.max(initial=0) > inner_surplus.max(initial=0))
    inner = inner_missed if positive else inner_surplus
    if inner.max(initial=0) <= 0:
        return None
    row, column = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return Click(float(row), float(column), positive)


def jittered(
    click: Click,
    prediction: BoolArray,
    truth: BoolArray,
    rng: np.random.Generator,
    *,
    sigma: float,
) -> Click:
    """Move a click as a hand would miss, but not out of the error that it corrects.

    Parameters
    ----------
    click : Click
        From `next_click`.
    prediction : bool (Y, X)
        The mask that was predicted.
    truth : bool (Y, X)
        The mask that is wanted.
    rng : numpy.random.Generator
        Decides where it goes.
    sigma : float
        Standard deviation in pixels.
    """
    wrong = truth & ~prediction if click.positive else prediction & ~truth
    for _ in range(20):
        dy, dx = rng.normal(0, sigma, 2)
        moved = Click(round(click.y + dy), round(click.x + dx), click.positive)
        if moved.inside(truth.shape) and wrong[moved.pixel]:
            return moved
    return click


def _depth(mask: BoolArray) -> npt.NDArray[np.float64]:
    """Distance to the nearest pixel outside the mask, the image's surroundings included."""
    if not mask.any():
        return np.zeros(mask.shape)
    padded = np.pad(mask, 1)
    return np.asarray(ndimage.distance_transform_edt(padded)[1:-1, 1:-1])
