"""Carrying an object over to another image that shows it again, such as the next plane of a stack.

A mask from elsewhere drags: begun with, it holds on to the border of the image it came from, and a
little of that is lost on every plane. So it only says where to look. The object is clicked on
anew, and what is found settles once more around its own inner-most pixel. How much that agrees
with what grows out of the mask before says how sure it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.core.masks import Refinement
    from napari_clickseg.engine.prediction import Prediction
    from napari_clickseg.engine.session import Session

SURE = 0.7
"""The least agreement (IoU) of the two looks for an answer that nobody need look at."""

_LOOKED_AT = 256 * 256  # pixels, so that the window is not held up
_PARTS = 3  # of an object in pieces, that are clicked on
_PART = 0.1  # of the largest piece, that a piece has at the least


@dataclass(frozen=True, eq=False, slots=True)
class Carried:
    """An object found again.

    Parameters
    ----------
    prompt : Prompt
        What the prediction answers.
    agreement : float
        IoU of what is found anew and of what grows out of the mask before; 0 … 1.
    """

    prompt: Prompt
    prediction: Prediction
    agreement: float

    @property
    def sure(self) -> bool:
        """Whether both looks found the same."""
        return self.agreement >= SURE


def carry(
    session: Session,
    patch: Patch,
    refinement: Refinement | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Carried:
    """Find the object of a mask again.

    Runs on a worker thread.

    Parameters
    ----------
    session : Session
        Of the image to look in, of the same shape as the one that the mask is of.
    patch : Patch
        The object's mask there; not empty.
    refinement : Refinement, optional
        As for `Session.evaluate`.
    stop : callable
        Asked between the looks; True gives up.

    Raises
    ------
    Superseded
        If `stop` said so.
    """
    old = pointed_at(patch)
    grown = session.evaluate(old, refinement, stop=stop)
    prompt = Prompt(old.clicks)
    fresh = session.evaluate(prompt, refinement, stop=stop)
    if fresh.patch:
        prompt = pointed_at(fresh.patch)
        fresh = session.evaluate(prompt, refinement, stop=stop)
    agreement = _overlap(fresh.patch, grown.patch)
    if agreement >= SURE:
        return Carried(prompt, fresh, agreement)
    return Carried(old, grown, agreement)


def pointed_at(patch: Patch) -> Prompt:
    """Return a prompt that begins with a mask, with a click in the middle of each large piece."""
    clicks = (Click(float(row), float(column)) for row, column in _middles(patch))
    return Prompt(tuple(clicks), patch)


def innermost(patch: Patch) -> tuple[int, int]:
    """Return the pixel (row, column) of a mask that is farthest from its edge, or nearly so."""
    from scipy import ndimage

    coarse = max(1, math.ceil(math.sqrt(patch.mask.size / _LOOKED_AT)))
    mask = patch.mask[::coarse, ::coarse]
    if not mask.any():  # thinner than what was looked at
        mask, coarse = patch.mask, 1
        row, column = np.unravel_index(int(np.argmax(mask)), mask.shape)
    else:
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row) * coarse + patch.box.top, int(column) * coarse + patch.box.left


def _middles(patch: Patch) -> list[tuple[int, int]]:
    """Return the inner-most pixel of each large piece of a mask, the largest first."""
    from scipy import ndimage

    if patch.mask.size > _LOOKED_AT:
        return [innermost(patch)]
    pieces, count = ndimage.label(patch.mask, np.ones((3, 3), bool))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    large = [
        k for k in np.argsort(-sizes, kind="stable")[:_PARTS] if sizes[k] >= _PART * max(sizes)
    ]
    corner = (patch.box.top, patch.box.left)
    return [innermost(Patch.of(pieces == k + 1, offset=corner)) for k in large]


def _overlap(one: Patch, other: Patch) -> float:
    """Return the IoU of two masks; 0 where there is none."""
    box = one.box.union(other.box)
    if not (one and other):
        return 0.0
    first, second = one.cut(box), other.cut(box)
    return float((first & second).sum() / (first | second).sum())
