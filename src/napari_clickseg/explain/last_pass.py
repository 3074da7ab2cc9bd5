"""What a network was given when it answered, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.engine.session import Session

if TYPE_CHECKING:
    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.core.window import Window
    from napari_clickseg.engine.estimate import Looked, Sight
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard

FloatArray = npt.NDArray[np.float32]
_LARGEST = 1024  # network pixels: gradients of all layers have to be kept


class ExplainError(ValueError):
    """Nothing that can be explained; the message says why."""


@dataclass(frozen=True, eq=False, slots=True)
class LastPass:
    """The pass of a network that gave an answer.

    Parameters
    ----------
    window : Window
        What of the image it saw.
    inputs : float32 (K, N, N)
        The image's channels, then the guidance's.
    probabilities : float32 (outputs, N, N)
        Of the object; or of background and each class.
    """

    window: Window
    inputs: FloatArray
    probabilities: FloatArray

    def mask(self, output: int = 0) -> npt.NDArray[np.bool_]:
        """Return where an output is the likeliest: bool (N, N)."""
        if len(self.probabilities) == 1:
            return np.asarray(self.probabilities[0] > 0.5)
        return np.asarray(self.probabilities.argmax(0) == output)


class _Recorder:
    """A model that keeps what it is given."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.passes: list[tuple[FloatArray, Looked]] = []

    @property
    def card(self) -> ModelCard:
        return self._segmenter.card

    def look(self, inputs: FloatArray, sight: Sight) -> Looked:
        looked = self._segmenter.look(inputs, sight)
        self.passes.append((inputs, looked))
        return looked


def last_pass(segmenter: Segmenter, session: Session, prompt: Prompt | None = None) -> LastPass:
    """Repeat a session's prediction, and return the pass that it comes from.

    Parameters
    ----------
    session : Session
        Stays as it is.
    prompt : Prompt, optional
        By default the session's own.

    Raises
    ------
    ExplainError
        If there is nothing to go by, or the whole image is too large for one pass.
    """
    recorder = _Recorder(segmenter)
    again = Session(recorder, session.source, session.intensity)
    estimate = again.estimate(session.history.present if prompt is None else prompt)
    if estimate is None:
        raise ExplainError("There is nothing to explain yet; click on an object first.")
    for inputs, looked in recorder.passes:
        if looked.probabilities is estimate.probabilities:
            return LastPass(estimate.window, inputs, estimate.probabilities)
    window = estimate.window
    if window.size > _LARGEST:
        raise ExplainError(
            f"The image is {window.size:,} network pixels wide, and {_LARGEST:,} can be explained "
            "at once; cut out a part of it."
        )
    inputs = again.unprompted(window)
    return LastPass(window, inputs, segmenter.forward(inputs))
