"""From a prompt to network probabilities: where to look, and what to show the network.

One `step` answers one more gesture. It looks at the object's window, and again where the look
shows that the window should be another: closer for a small object, wider where the mask touches
the window's border.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.gestures import DrawnBox, Lasso
from napari_clickseg.core.guidance import encode
from napari_clickseg.core.intensity import to_channels
from napari_clickseg.core.mosaic import predict_mosaic, whole_window
from napari_clickseg.core.window import Box, Window, first_window, object_window
from napari_clickseg.engine.estimate import Estimate, Looked, Sight
from napari_clickseg.engine.scouting import LENGTHS, Scouted, describe, readings, scouting_windows
from napari_clickseg.engine.window_prompts import window_prompts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.core.gestures import Gesture
    from napari_clickseg.core.intensity import Intensity
    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.core.source import ImageSource
    from napari_clickseg.models.card import ModelCard, ScoutingSpec

FloatArray = npt.NDArray[np.float32]
_EIGHT = np.ones((3, 3), bool)
_NOTHING = Box(0, 0, 0, 0)
_TINY = 1e-6  # pixels: what floats may be off
_FIRST_LOOKS = 4  # at the first click
_LATER_LOOKS = 2  # at later ones, and after scouting, which counts as one
_WIDER = 1.6  # more margin where the mask touches the window's border
_KEPT = 8  # windows whose pixels, and what the encoder made of them, are kept
_FROM_A_PART = 2.5  # more margin around a scribble, which may show a part of the object
_AROUND_A_BOX = 1.3  # more margin around a box: what lies beyond it tells what does not belong
_SETTLING_LOOKS = 2  # at what was drawn, each going on from the one before, in the same window
_STRAY = 0.02  # parts smaller than this share of the largest don't widen the window


class Estimator:
    """Answers prompts on one image.

    Parameters
    ----------
    ask : callable
        Asks the network: inputs float32 (K, N, N) and the `Sight` that they show → `Looked`.
    """

    def __init__(
        self,
        card: ModelCard,
        source: ImageSource,
        intensity: Intensity,
        ask: Callable[[FloatArray, Sight], Looked],
    ) -> None:
        self.card, self.source, self.intensity, self.ask = card, source, intensity, ask
        self._seen: OrderedDict[Window, Sight] = OrderedDict()
        self._read: tuple[tuple[Gesture, ...], list[Estimate]] | None = None  # see `_readings`
        self._again: dict[int, Estimate] = {}  # of these, what a second look answered
        # Of looks around a click that were given up: what was seen by then.
        self._begun: tuple[tuple[Gesture, ...], dict[Window, Estimate]] = (), {}

    def step(self, prompt: Prompt, previous: Estimate | None) -> Estimate | None:
        """Answer a prompt, given the answer to the one before it.

        Parameters
        ----------
        prompt : Prompt
            All gestures, and the starting mask.
        previous : Estimate, optional
            The answer to the prompt's first gestures; None where there was none.

        Returns
        -------
        Estimate or None
            None where there is nothing to go by: no mask and nothing positive.
        """
        gestures = prompt.gestures
        if self.card.encoding == "image" and not self._settled(prompt):
            return previous or self.whole()  # clicks tell it nothing
        if prompt.start is not None and previous is None:
            if len(gestures) == prompt.settled:
                return None  # the mask that is there is the answer
            previous = self._from_mask(prompt)
        if previous is None:
            if not prompt.has_positive and not self.card.automatic:
                return None
            if not gestures and self.card.window.zoom is not None:
                return self.whole()
            estimate = self._scout(gestures, prompt.reading)
            previous = estimate  # or closer looks would forget what the first one found
            closer_too = self.card.scouting is None and not _marked(gestures)
            settling = _SETTLING_LOOKS if self._knows_drawn(gestures) else 0
        else:
            beyond = self._beyond(previous, gestures[-1]) if gestures else _NOTHING
            window = self._window_around(previous, gestures, beyond)
            if window.size > self.card.window.size:  # all of it was looked at, window by window
                window = replace(window, size=self.card.window.size)
            estimate = self.look(window, gestures, previous)
            closer_too = False  # later clicks look again only where the object runs out
            settling = 0
        for _ in range(1, _FIRST_LOOKS if closer_too else _LATER_LOOKS):
            window = self._window_around(estimate, gestures)
            window = replace(window, size=self.card.window.size)  # scouting has its own
            wider = window.span > estimate.window.span
            if window == estimate.window or not (wider or closer_too):
                break
            estimate = self.look(window, gestures, previous)
        for _ in range(settling):
            estimate = self.look(estimate.window, gestures, estimate)
        return estimate

    def _knows_drawn(self, gestures: tuple[Gesture, ...]) -> bool:
        """Whether something positive was drawn, by a network that has learned what is drawn."""
        drawn = any(one.positive and not isinstance(one, Click) for one in gestures)
        return drawn and self.card.encoding == "prompts"

    def whole(self) -> Estimate:
        """Predict all of the image without any click, window by window."""
        window = whole_window(self.source.shape, self.own_zoom, self.card.window.size)
        inputs = self.unprompted(window)
        inside = window.covers(self.source.shape)
        probabilities = predict_mosaic(self.unclicked, inputs, self.card.window.size, inside)
        return Estimate(window, probabilities)

    @property
    def own_zoom(self) -> float:
        """The zoom at which the model predicts an image without any click."""
        spec = self.card.window
        return spec.zoom or spec.size / max(self.source.shape)

    def unclicked(self, inputs: FloatArray) -> FloatArray:
        """Ask the network for probabilities (outputs, N, N), given what `unprompted` returns."""
        return self.ask(inputs, Sight(inputs[: self.card.image_channels])).probabilities

    @staticmethod
    def _settled(prompt: Prompt) -> bool:
        """Whether a starting mask is the answer, without anything to add."""
        return prompt.start is not None and len(prompt.gestures) == prompt.settled

    def readings(self, prompt: Prompt) -> int:
        """Return for how many different objects a prompt's first click can be taken."""
        n = next((n for n, one in enumerate(prompt.gestures, 1) if one.positive), 0)
        if n == 0 or prompt.start is not None or not self._scouts(prompt.gestures[:n]):
            return 1
        return len(self._readings(prompt.gestures[:n]))

    def _scouts(self, gestures: tuple[Gesture, ...]) -> bool:
        """Whether what is said is one click on the object, which is looked at from far and near."""
        spec = self.card.scouting
        positive = [one for one in gestures if one.positive]
        clicked = len(positive) == 1 and isinstance(positive[0], Click)
        return spec is not None and clicked and len(spec.weights) in LENGTHS

    def _readings(self, gestures: tuple[Gesture, ...]) -> list[Estimate]:
        """Return what the only positive click may mean, the most plausible first."""
        if self._read is None or self._read[0] != gestures:
            spec = self.card.scouting
            assert spec is not None
            estimates, looks, described = self._looked_around(gestures, spec)
            order = readings(looks, described, spec.weights)
            self._read, self._again = (gestures, [estimates[k] for k in order]), {}
        return self._read[1]

    def _scout(self, gestures: tuple[Gesture, ...], reading: int = 0) -> Estimate:
        """Look for the object of the first gestures.

        Around a click it looks from several distances, if the card says so. A box, a scribble or
        a lasso says itself how near.
        """
        if not self._scouts(gestures):
            return self.look(self._first_window(gestures), gestures, None)
        readings = self._readings(gestures)
        number = reading % len(readings)
        chosen, spec = readings[number], self.card.scouting
        if spec is None or not spec.second_look:
            return chosen
        if number not in self._again:
            self._again[number] = self.look_again(chosen, gestures)
        return self._again[number]

    def look_again(self, estimate: Estimate, gestures: tuple[Gesture, ...]) -> Estimate:
        """Go on from an answer, in the same window with as many pixels as the network takes."""
        window = replace(estimate.window, size=self.card.window.size)
        return self.look(window, gestures, estimate)

    def scouted(
        self, gestures: tuple[Gesture, ...], spec: ScoutingSpec
    ) -> tuple[list[Estimate], npt.NDArray[np.float64]]:
        """Look at the only positive click from several distances, and describe what was found.

        Parameters
        ----------
        gestures : tuple of Click, DrawnBox, Scribble or Lasso
            One of them positive, a click.
        spec : ScoutingSpec
            Its weights are not used.

        Returns
        -------
        estimates : list of Estimate
            From far to near.
        described : float64 (looks, features)
            See `scouting.describe`.
        """
        estimates, _, described = self._looked_around(gestures, spec)
        return estimates, described

    def _looked_around(
        self, gestures: tuple[Gesture, ...], spec: ScoutingSpec
    ) -> tuple[list[Estimate], list[Scouted], npt.NDArray[np.float64]]:
        at = next((one.y, one.x) for one in gestures if isinstance(one, Click) and one.positive)
        span = self.card.window.first_span
        windows = scouting_windows(self.source.shape, at, spec.size, span, spec.looks, spec.factor)
        estimates = self._all_looks(windows, gestures)
        looks = [
            Scouted(
                e.window,
                e.foreground,
                *self._extent_of(e, gestures),
                self._sight(e.window).pixels,
                e.overlap,
            )
            for e in estimates
        ]
        return estimates, looks, describe(looks, at)

    def _all_looks(
        self, windows: Sequence[Window], gestures: tuple[Gesture, ...]
    ) -> list[Estimate]:
        """Look at each window; go on where the same was begun and `ask` gave it up by an error."""
        if self._begun[0] != gestures:
            self._begun = gestures, {}
        seen = self._begun[1]
        for window in windows:
            if window not in seen:
                seen[window] = self.look(window, gestures, None)
        self._begun = (), {}
        return [seen[window] for window in windows]

    def look(
        self, window: Window, gestures: tuple[Gesture, ...], previous: Estimate | None
    ) -> Estimate:
        """Run the network once on a window.

        Parameters
        ----------
        window : Window
            What to look at.
        gestures : tuple of Click, DrawnBox, Scribble or Lasso
            What is outside the window is not seen.
        previous : Estimate, optional
            What was found before, in whatever window.
        """
        card, sight = self.card, self._sight(window)
        before = None if previous is None else previous.window.moved_to(window, previous.foreground)
        seen = window_prompts(gestures, window, before, card.encoding)
        inputs = encode(
            sight.pixels,
            seen.positive,
            seen.negative,
            seen.previous,
            encoding=card.encoding,
            radius=card.disk_radius * window.size / card.window.size,
            strokes=seen.strokes,
            region=seen.region,
        )
        return Estimate(window, *self.ask(inputs, sight))

    def _beyond(self, previous: Estimate, newest: Gesture) -> Box:
        """Return where a new gesture says that the object goes on, as a box; empty if it doesn't.

        A positive click so far outside the mask means that the object reaches about as far
        beyond it; whatever else is positive, that it reaches as far as it does itself.
        """
        if not newest.positive:
            return _NOTHING
        if not isinstance(newest, Click):
            return newest.reach.intersection(Box(0, 0, *self.source.shape))
        inside = np.argwhere(previous.foreground > 0.5)
        if inside.size == 0:
            return _NOTHING
        window, pixel = previous.window, newest.pixel
        away = np.hypot(*(inside - np.array(window.to_network(*pixel))).T).min()
        reach = round(float(away) / window.zoom)
        around = Box(pixel[0] - reach, pixel[1] - reach, 2 * reach + 1, 2 * reach + 1)
        return around.intersection(Box(0, 0, *self.source.shape))

    def _from_mask(self, prompt: Prompt) -> Estimate:
        """Put a starting mask into the form of an answer."""
        assert prompt.start is not None
        window = self._object_window(self._in_reach(prompt.start.box, prompt.gestures))
        visible = window.visible(self.source.shape)
        mask = prompt.start.cut(visible).astype(np.float32)
        origin = float(visible.top), float(visible.left)
        foreground = window.from_image(mask, origin, (1.0, 1.0), self.source.shape)
        if self.card.class_outputs == 1:
            return Estimate(window, foreground[None])
        others = np.repeat(foreground[None] / len(self.card.classes), len(self.card.classes), 0)
        return Estimate(window, np.concatenate([1 - foreground[None], others]))

    def _first_window(self, gestures: tuple[Gesture, ...]) -> Window:
        shape, spec = self.source.shape, self.card.window
        positive = tuple(one for one in gestures if one.positive)
        if not positive:
            middle = (shape[0] - 1) / 2, (shape[1] - 1) / 2
            return first_window(shape, middle, spec.size, spec.largest_span)
        box = self._in_reach(_NOTHING, positive)
        newest = positive[-1]
        if isinstance(newest, Click):
            window = first_window(shape, (newest.y, newest.x), spec.size, spec.first_span)
            return window if window.box.contains(box) else self._object_window(box)
        if not _marked(positive):
            return self._object_window(box, wider=_FROM_A_PART)
        boxed = isinstance(newest, DrawnBox) and self._knows_drawn(gestures)
        return self._object_window(box, wider=_AROUND_A_BOX if boxed else 1.0)

    def _object_window(self, box: Box, *, wider: float = 1.0) -> Window:
        spec = self.card.window
        return object_window(
            self.source.shape,
            box,
            spec.size,
            margin=spec.margin * wider,
            smallest=spec.smallest_span,
            largest=spec.largest_span,
        )

    def _in_reach(self, box: Box, gestures: tuple[Gesture, ...]) -> Box:
        """Widen a box by the gestures, but not beyond what one window can show.

        Positive ones come first and newer ones before older ones, so that a stray click far
        away cannot take the window off the object.
        """
        newest_first = tuple(reversed(gestures))
        for one in sorted(newest_first, key=lambda one: not one.positive):
            wider = box.union(one.reach)
            if not box or max(wider.shape) <= self.card.window.largest_span:
                box = wider
        return box

    def _window_around(
        self, estimate: Estimate, gestures: tuple[Gesture, ...], beyond: Box = _NOTHING
    ) -> Window:
        """Choose the window for what was found and the gestures; another one only if need be."""
        window, shape = estimate.window, self.source.shape
        extent, touches = self._extent_of(estimate, gestures)
        wider = extent.union(beyond)
        fits = max(wider.shape) <= self.card.window.largest_span
        box = self._in_reach(wider if fits else extent, gestures)
        if not extent:
            if not any(one.positive for one in gestures):
                return window
            if window.span <= self.card.window.size // 2 and window.box.contains(box):
                return window
            # Nothing there yet: look closer at the clicks.
            m = window.span // 8
            closer = Box(box.top - m, box.left - m, box.height + 2 * m, box.width + 2 * m)
            return self._object_window(closer)
        wanted = self._object_window(box, wider=_WIDER if touches else 1.0)
        inside = window.visible(shape).contains(wanted.visible(shape))
        ratio = wanted.span / window.span
        if touches:
            good = inside
        else:
            near = 1.0 < ratio <= 1.25 or (0.66 <= ratio <= 1.0 and inside)
            good = near and window.box.contains(box)
        return window if good else wanted

    def _extent_of(self, estimate: Estimate, gestures: tuple[Gesture, ...]) -> tuple[Box, bool]:
        """Return the object's box in the image, and whether it runs out of the window."""
        from scipy import ndimage

        window, visible = estimate.window, estimate.window.visible(self.source.shape)
        mask = estimate.foreground > 0.5
        mask &= window.covers(self.source.shape)
        if not mask.any():
            return _NOTHING, False
        parts, count = ndimage.label(mask, _EIGHT)
        areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        wanted = areas >= _STRAY * areas.max()
        for click in gestures:
            if not isinstance(click, Click):
                continue
            y, x = (round(v) for v in window.to_network(*click.pixel))
            if click.positive and 0 <= min(y, x) <= max(y, x) < window.size and parts[y, x]:
                wanted[parts[y, x] - 1] = True
        box = Box.of_mask(np.concatenate([[False], wanted])[parts])
        top, left = window.to_image(box.top - 0.5, box.left - 0.5)
        bottom, right = window.to_image(box.bottom - 0.5, box.right - 0.5)
        extent = Box.from_edges(
            *(math.floor(v + 0.5 + _TINY) for v in (top, left)),
            *(math.ceil(v + 0.5 - _TINY) for v in (bottom, right)),
        ).intersection(visible)
        return extent, self._touches(extent, visible, 1 + window.span / window.size)

    def _touches(self, extent: Box, visible: Box, slack: float) -> bool:
        """Whether a box comes as close as `slack` to a side of the window inside the image."""
        height, width = self.source.shape
        return (
            (extent.top - visible.top < slack and visible.top > 0)
            or (extent.left - visible.left < slack and visible.left > 0)
            or (visible.bottom - extent.bottom < slack and visible.bottom < height)
            or (visible.right - extent.right < slack and visible.right < width)
        )

    def unprompted(self, window: Window, part: Box | None = None) -> FloatArray:
        """Return what the network is given without any prompt: float32 (K, N, N).

        Parameters
        ----------
        window : Window
            What is looked at.
        part : Box, optional
            Only these network pixels of it; (K, part.height, part.width) then.
        """
        card = self.card
        seen = self._sight(window).pixels if part is None else self._pixels(window, part)
        return encode(seen, [], [], None, encoding=card.encoding, radius=card.disk_radius)

    def _sight(self, window: Window) -> Sight:
        """Return what a window shows, as the network takes it: float32 (C, size, size)."""
        if window in self._seen:
            self._seen.move_to_end(window)
            return self._seen[window]
        out = Sight(self._pixels(window))
        if window.size > self.card.window.size:
            return out  # a whole image is looked at once
        self._seen[window] = out
        if len(self._seen) > _KEPT:
            self._seen.popitem(last=False)
        return out

    def _pixels(self, window: Window, part: Box | None = None) -> FloatArray:
        """Read what a window, or a part of it, shows; zero where there is no image."""
        sample, count = self.source.read(window, part), self.card.image_channels
        if sample is None:
            return np.zeros((count, *(part or window.pixels).shape), np.float32)
        values = to_channels(self.intensity.apply(sample.values), count)
        shape = self.source.shape
        seen = window.from_image(values, sample.origin, sample.step, shape, part)
        return np.ascontiguousarray(seen.transpose(2, 0, 1))


def _marked(gestures: tuple[Gesture, ...]) -> bool:
    """Whether a box or a lasso says where all of the object is."""
    return any(isinstance(one, DrawnBox | Lasso) and one.positive for one in gestures)


def anchors(settled: int, n: int) -> list[int]:
    """Return the numbers of clicks at which the model looks: each up to 20, then every tenth.

    So a correction builds on what is shown, and a hundred clicks read from a file still cost
    only about thirty looks.
    """
    middle = [k for k in range(settled + 1, n) if k <= settled + 20 or (k - settled) % 10 == 0]
    return [settled, *middle, n] if n > settled else [n]
