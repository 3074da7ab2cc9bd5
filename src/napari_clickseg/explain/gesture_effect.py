"""The difference that a click, a box, a scribble or a lasso makes: with it and without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_clickseg.core.gestures import Gesture
    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.core.window import Box
    from napari_clickseg.engine.session import Session


@dataclass(frozen=True, eq=False, slots=True)
class GestureEffect:
    """What one gesture changed.

    Parameters
    ----------
    extent : Box
        Where anything differs can only be within.
    difference : float32 (extent.height, extent.width)
        Probability with it, less that without it; -1 … 1.
    """

    gesture: Gesture
    extent: Box
    difference: npt.NDArray[np.float32]

    @property
    def gained(self) -> int:
        """Pixels of which the probability rose by more than a half."""
        return int((self.difference > 0.5).sum())

    @property
    def lost(self) -> int:
        """Pixels of which it fell by more than a half."""
        return int((self.difference < -0.5).sum())


def gesture_effects(session: Session, prompt: Prompt | None = None) -> Iterator[GestureEffect]:
    """Predict without each gesture in turn, and say what it changed.

    Parameters
    ----------
    session : Session
        Stays as it is.
    prompt : Prompt, optional
        By default the session's own.

    Yields
    ------
    GestureEffect
        In the order of the gestures; those that the starting mask has answered are left out.
    """
    prompt = session.history.present if prompt is None else prompt
    whole = session.evaluate(prompt)
    for k in range(prompt.settled, len(prompt.gestures)):
        others = (*prompt.gestures[:k], *prompt.gestures[k + 1 :])
        without = session.evaluate(replace(prompt, gestures=others))
        extent = whole.extent.union(without.extent)
        difference = np.zeros(extent.shape, np.float32)
        for one, sign in ((whole, 1), (without, -1)):
            inside = one.extent.shift(-extent.top, -extent.left)
            if inside:
                difference[inside.slices] += sign * one.part
        yield GestureEffect(prompt.gestures[k], extent, difference)
