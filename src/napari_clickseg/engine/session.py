"""A session on one image: clicks, boxes, scribbles and lassos go in, masks come out.

napari, the command line and the benchmarks all drive the `Session` of this module.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from napari_clickseg.core import mosaic
from napari_clickseg.core.clicks import Click, ClickError, PromptError
from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
from napari_clickseg.core.intensity import Intensity, measure
from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.prompts import Prompt, PromptHistory
from napari_clickseg.core.source import ImageError
from napari_clickseg.core.window import Box
from napari_clickseg.engine.inference import Estimator, anchors
from napari_clickseg.engine.prediction import Prediction, predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.core.gestures import Gesture, Points
    from napari_clickseg.core.source import ImageSource
    from napari_clickseg.core.window import Window
    from napari_clickseg.engine.estimate import Estimate, Looked, Sight
    from napari_clickseg.models.card import ModelCard

__all__ = ["Model", "Session", "Superseded", "starting_patch"]

FloatArray = npt.NDArray[np.float32]
_GAPS = (
    "Some pixels are NaN or infinite: they count as the darkest or brightest; replace them "
    "(numpy.nan_to_num) if they should not."
)
_LOWERED = (
    "So large an image is predicted at zoom {:.2g}, and the model learned at {:.2g}; clickseg "
    "predict --out X.zarr keeps that."
)
_REMEMBERED = 2**24  # bytes of the network's answers: 64 of 256² pixels


class Superseded(Exception):
    """A prediction was given up because nobody wants it any more."""


class Model(Protocol):
    """What a session asks of a loaded model; `segmenter.Segmenter` is one."""

    @property
    def card(self) -> ModelCard:
        """How the network is fed and read."""

    def look(self, inputs: FloatArray, sight: Sight) -> Looked:
        """Run the network once on a window; see `segmenter.Segmenter.look`."""


class Session:
    """One image (plane): clicks, boxes, scribbles and lassos go in, masks come out.

    What is predicted depends on the image, the starting mask and the gestures in their order, and
    on nothing else: not on how often or when `predict` was called.

    Parameters
    ----------
    segmenter : Model
    source : ImageSource
    intensity : Intensity, optional
        Measured when first needed, by default.
    start : Patch, optional
        A mask to start from.
    """

    def __init__(
        self,
        segmenter: Model,
        source: ImageSource,
        intensity: Intensity | None = None,
        start: Patch | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.source = source
        self.history = PromptHistory(Prompt(start=start))
        self.refinement = Refinement()
        self._given = intensity
        self._estimator: Estimator | None = None
        self._give_up: Callable[[], bool] | None = None  # asked before each look
        self._memory: OrderedDict[Prompt, Estimate | None] = OrderedDict()
        self._preparing = threading.Lock()
        self._lock = threading.Lock()
        self._last_extent = Box(0, 0, 0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """The image's height and width in pixels."""
        return self.source.shape

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about how the image is read, a line each."""
        estimator = self._estimator
        if estimator is None or not estimator.intensity.gaps:
            return self.source.notices
        return (*self.source.notices, _GAPS)

    @property
    def zoom_notices(self) -> tuple[str, ...]:
        """What the user should know where an image is too large to be predicted at its own zoom."""
        card, longest, present = self.segmenter.card, max(self.shape), self.history.present
        zoom = card.window.zoom or 0.0
        whole = card.encoding == "image" or not (present.gestures or present.start)
        if not (card.automatic and whole) or longest * zoom <= mosaic.LARGEST:
            return ()
        return (_LOWERED.format(mosaic.LARGEST / longest, zoom),)

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks on the current object."""
        return self.history.clicks

    @property
    def intensity(self) -> Intensity:
        """The intensities that become 0 and 1; measured once, when first asked for."""
        return self._prepared().intensity

    def click(self, y: float, x: float, positive: bool = True) -> Prompt:
        """Add a click.

        Parameters
        ----------
        y, x, positive
            See `Click`.

        Raises
        ------
        ClickError
            If the click is outside the image, or not a number.
        """
        try:
            click = Click(float(y), float(x), bool(positive))
        except TypeError as error:
            raise ClickError(f"The click ({y}, {x}) is not a position; give numbers.") from error
        return self._add(click)

    def box(self, top: float, left: float, bottom: float, right: float) -> Prompt:
        """Add a box around the object; it may be off by a tenth of its sides.

        Parameters
        ----------
        top, left, bottom, right : float
            Edges in pixels; what is outside the image is cut off.

        Raises
        ------
        PromptError
            If it has no area, lies outside the image, or an edge is no number.
        """
        try:
            edges = [float(edge) for edge in (top, left, bottom, right)]
        except TypeError as error:
            raise PromptError("The edges of a box are numbers; give four of them.") from error
        return self._add(DrawnBox(*edges))

    # `Scribble` and `Lasso` themselves bring points into their form, or refuse them.

    def scribble(self, points: npt.ArrayLike, positive: bool = True) -> Prompt:
        """Add a stroke along the object, or along what is not of it.

        Parameters
        ----------
        points : float (n, 2)
            y, x in pixels, in order; those outside the image are left out.
        positive : bool
            Whether it is on the object.

        Raises
        ------
        PromptError
            If no point is in the image, or one is no number.
        """
        return self._add(Scribble(cast("Points", points), bool(positive)))

    def lasso(self, points: npt.ArrayLike, positive: bool = True) -> Prompt:
        """Add a line around the object, or around what is not of it.

        Parameters
        ----------
        points : float (n, 2)
            y, x in pixels, in order; the ends are joined. Where the line crosses itself, all that
            it goes around counts.
        positive : bool
            Whether it is around the object.

        Raises
        ------
        PromptError
            If it goes around nothing, lies outside the image, or a point is no number.
        """
        return self._add(Lasso(cast("Points", points), bool(positive)))

    @property
    def readings(self) -> int:
        """For how many different objects the first click can be taken; worked out if need be."""
        return self.readings_of(self.history.present)

    def readings_of(self, prompt: Prompt) -> int:
        """Return it for any prompt; may run on a worker thread."""
        with self._lock:
            return self._prepared().readings(prompt)

    def reading(self, n: int) -> Prompt:
        """Take the first click for another object, such as the cell instead of its nucleus.

        Later gestures go on from it. It is a step that `undo` takes back.

        Parameters
        ----------
        n : int
            0 is the most plausible object, 1 the next one that is different; after the last of
            `readings` it begins anew.
        """
        self.history = self.history.read(int(n) % self.readings)
        return self.history.present

    def _add(self, gesture: Gesture) -> Prompt:
        self.history = self.history.add(gesture.cut(self.shape))
        return self.history.present

    def undo(self) -> None:
        """Take the last gesture, start or commit back; nothing happens at the beginning."""
        self.history = self.history.undo()

    def redo(self) -> None:
        """Do again what was undone; nothing happens where nothing was."""
        self.history = self.history.redo()

    def reset(self) -> None:
        """Begin again with neither gestures nor mask; `undo` brings them back."""
        self.history = self.history.clear()

    def start_from(self, mask: npt.NDArray[Any] | Patch | None) -> None:
        """Begin again from a mask (Y, X) or Patch; `undo` brings the gestures back.

        Raises
        ------
        ImageError
            If the mask has another shape than the image, or the patch lies outside it.
        """
        patch = None if mask is None else starting_patch(mask, self.shape)
        self.history = self.history.start_from(patch)

    def commit(self) -> Patch:
        """Accept the current mask: return it and begin the next object; can be undone."""
        patch = self.evaluate(self.history.present, self.refinement).patch
        self.history = self.history.clear()
        return patch

    def predict(self) -> Prediction:
        """Predict the mask for what was said so far.

        The class-agnostic default model answers an empty mask until the first positive gesture.
        """
        prediction = self.evaluate(self.history.present, self.refinement)
        changed = prediction.extent.union(self._last_extent)
        self._last_extent = prediction.extent
        return Prediction(
            prediction.shape,
            prediction.extent,
            prediction.part,
            prediction.mask_part,
            prediction.class_part,
            changed,
        )

    def evaluate(
        self,
        prompt: Prompt,
        refinement: Refinement | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> Prediction:
        """Predict for any prompt, without changing the session; may run on a worker thread.

        Parameters
        ----------
        prompt : Prompt
            Gestures and starting mask.
        refinement : Refinement, optional
            How the probability becomes a mask; by default at 0.5, as it is.
        stop : callable
            Asked between the steps; True gives the prediction up.

        Raises
        ------
        PromptError
            If a gesture is outside the image.
        Superseded
            If `stop` said so. What was worked out by then is remembered.
        """
        for gesture in prompt.gestures:
            gesture.cut(self.shape)
        with self._lock:
            estimate = self._estimate(prompt, stop)
        return predict(prompt, estimate, self.shape, refinement or Refinement())

    def glimpse(
        self, prompt: Prompt, refinement: Refinement, stop: Callable[[], bool]
    ) -> Prediction:
        """Predict as `evaluate` does, but give up within one pass of the network.

        For what nobody asked for yet, and which must not keep waiting what is asked for. Whatever
        it has worked out is remembered, so that `evaluate` need not do it again.

        Parameters
        ----------
        prompt, refinement
            As of `evaluate`.
        stop : callable
            Asked before each pass.

        Raises
        ------
        PromptError
            If a gesture is outside the image.
        Superseded
            If `stop` said so.
        """
        for gesture in prompt.gestures:
            gesture.cut(self.shape)
        with self._lock:
            self._give_up = stop
            try:
                estimate = self._estimate(prompt, stop)
            finally:
                self._give_up = None
        return predict(prompt, estimate, self.shape, refinement)

    def _ask(self, inputs: FloatArray, sight: Sight) -> Looked:
        if self._give_up is not None and self._give_up():
            raise Superseded
        return self.segmenter.look(inputs, sight)

    def estimate(self, prompt: Prompt) -> Estimate | None:
        """Return the network's own answer to a prompt, in its window; None where there is none."""
        with self._lock:
            return self._estimate(prompt, lambda: False)

    def unprompted(self, window: Window) -> FloatArray:
        """Return what the network is given of a window without any prompt: float32 (K, N, N)."""
        with self._lock:
            return self._prepared().unprompted(window)

    def seen_image(self) -> FloatArray:
        """Return what the model sees of the image: float32 (Y, X, C) in 0 … 1, whole."""
        return self.intensity.apply(self.source.read_all())

    def _prepared(self) -> Estimator:
        with self._preparing:
            if self._estimator is None:
                card = self.segmenter.card
                intensity = self._given or measure(self.source, trim=card.intensity_trim)
                self._estimator = Estimator(card, self.source, intensity, self._ask)
            return self._estimator

    def _estimate(self, prompt: Prompt, stop: Callable[[], bool]) -> Estimate | None:
        """Work through the gestures, each step beginning with the answer to the one before."""
        estimator = self._prepared()
        estimate: Estimate | None = None
        chain = [prompt.first(n) for n in anchors(prompt.settled, len(prompt.gestures))]
        known = 0
        for index, partial in reversed(list(enumerate(chain))):
            if partial in self._memory:
                estimate, known = self._memory[partial], index + 1
                self._memory.move_to_end(partial)
                break
        for partial in chain[known:]:
            if stop():
                raise Superseded
            estimate = estimator.step(partial, estimate)
            self._memory[partial] = estimate
            self._forget()
        return estimate

    def _forget(self) -> None:
        """Forget the answers that were not asked for in the longest time."""
        sizes = [0 if e is None else e.probabilities.nbytes for e in self._memory.values()]
        while sum(sizes) > _REMEMBERED and len(sizes) > 1:
            self._memory.popitem(last=False)
            sizes.pop(0)


def starting_patch(mask: npt.NDArray[Any] | Patch, shape: tuple[int, int]) -> Patch | None:
    """Cut a starting mask to what is in it; None where that is nothing."""
    if not isinstance(mask, Patch):
        mask = np.asarray(mask)
        if mask.shape != shape:
            raise ImageError(
                f"The mask's shape {mask.shape} is not the image's {shape}; "
                "give a mask of the same image."
            )
        mask = Patch.of(mask)
    if not Box(0, 0, *shape).contains(mask.box):
        raise ImageError(
            f"The mask's box {mask.box} reaches out of the image, whose shape is {shape}; "
            "give a mask of the same image."
        )
    return mask or None
