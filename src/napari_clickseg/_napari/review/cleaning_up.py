"""A prediction that is shown, cleaned up as the user chooses how, and kept so.

What a model found is never changed: each choice begins from there. It is worked out part by part on
a worker, what is seen first, and the latest choice wins. Pixels that the user corrected stay as
they are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.review.text import cleaned_text
from napari_clickseg._napari.viewer.writes import LabelWrite
from napari_clickseg.core.cleanup import CleanUp
from napari_clickseg.core.instances.joining import blocks
from napari_clickseg.core.plane import Plane
from napari_clickseg.core.window import Box
from napari_clickseg.data.masks import read_labels
from napari_clickseg.engine.slides.cleaning import clean_up, cleaned_part, found_labels
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from napari.layers import Labels

    from napari_clickseg._napari.review.drafts import DraftFile
    from napari_clickseg._napari.review.reading import ShownPrediction
    from napari_clickseg._napari.review.review_layers import ReviewLayers
    from napari_clickseg._napari.review.state import ReviewState
    from napari_clickseg._napari.viewer.runner import Runner, Stop
    from napari_clickseg.core.instances.joining import Block
    from napari_clickseg.engine.slides.cleaning import Cleaned

    Part = tuple[npt.NDArray[Any], LabelWrite | None]

_SIDE = 1024  # pixels of a side of what is cleaned up, and shown, at once
_KEY = "clean up"


@dataclass(eq=False)
class _Shown:
    """A prediction in the annotation layer of a image_layers.

    Parameters
    ----------
    rules : CleanUp
        By which all of it is shown.
    kept : CleanUp, optional
        By which it lies on the disk, or could not be written; None while it is being written.
    uncleaned : array (Y, X)
        As the model predicted it; None until it was read.
    written : list of LabelWrite
        What was changed in the layer of a choice of which not all is shown yet.
    """

    image_layers: ReviewLayers
    prediction: ShownPrediction
    plane: Plane
    rules: CleanUp
    kept: CleanUp | None
    uncleaned: Any = None
    written: list[LabelWrite] = field(default_factory=list)


class CleaningUp:
    """Shows, and keeps, how the prediction that is under review is cleaned up.

    Parameters
    ----------
    worker : Runner
        Works out what is shown.
    writer : Runner
        Reads and writes images, one after the other.
    fail : callable
        Is told what went wrong, in a line.
    """

    def __init__(
        self, state: ReviewState, worker: Runner, writer: Runner, fail: Callable[[str], object]
    ) -> None:
        self._state, self._worker, self._writer, self._fail = state, worker, writer, fail
        self._shown: _Shown | None = None
        self._wanted = CleanUp()
        self._then: Callable[[], object] | None = None
        state.events.cleanup.connect(self._choose, max_args=0)

    @property
    def busy(self) -> bool:
        """Whether not all that was chosen is shown yet."""
        return self._shown is not None and self._wanted != self._shown.rules

    @property
    def unkept(self) -> bool:
        """Whether what was chosen is still to be written in place of the prediction."""
        return self._shown is not None and self._shown.kept is None

    def begin(self, image_layers: ReviewLayers, prediction: ShownPrediction | None) -> None:
        """Have the user choose for an image; without a prediction there is nothing to choose."""
        self.end()
        self._wanted = rules = CleanUp() if prediction is None else prediction.rules
        if prediction is not None:
            height, width = prediction.labels.shape
            ndim = image_layers.labels.ndim
            plane = Plane((ndim - 2, ndim - 1), (0,) * ndim, (height, width))
            self._shown = _Shown(image_layers, prediction, plane, rules, rules)
        self._show(rules, prediction is not None)

    def end(self) -> None:
        """Leave the image as it was kept; a choice of which not all is shown yet is dropped."""
        shown, self._shown, self._then = self._shown, None, None
        self._worker.cancel(_KEY)
        if shown is not None and shown.written and shown.image_layers.pairing is not None:
            shown.image_layers.pairing.write(*shown.written, revert=True)
        self._wanted = CleanUp()
        self._show(CleanUp(), False)

    def when_shown(self, act: Callable[[], object]) -> None:
        """Have something done as soon as all that was chosen is shown."""
        self._then = act

    def close(self) -> None:
        """Choose no more."""
        self._state.events.cleanup.disconnect(self._choose)
        self.end()

    def _show(self, rules: CleanUp, can: bool) -> None:
        state = self._state
        state.cleanup, state.can_clean_up, state.cleaned = rules, can, ""

    def _choose(self) -> None:
        shown, rules = self._shown, self._state.cleanup
        if shown is None or rules == self._wanted:
            return
        self._wanted, self._then = rules, None
        self._state.cleaned = "Cleaning up …"
        self._writer.cancel(_key_of(shown))  # it may be written all the same
        shown.kept = None
        parts = blocks(shown.plane.shape, _SIDE, rules.margin)
        self._clean(shown, rules, deque(_seen_first(parts, shown.image_layers.labels)))

    def _clean(self, shown: _Shown, rules: CleanUp, left: deque[Block]) -> None:
        """Clean up the next part, and those after it."""
        part = left.popleft()

        def done(cleaned: Part) -> None:
            pairing = shown.image_layers.pairing
            if shown is not self._shown or pairing is None:
                return
            shown.prediction.labels[part.core.slices], write = cleaned
            if write is not None:
                shown.written.append(write)
                pairing.write_in_parts(write)
            if left:
                self._clean(shown, rules, left)
            else:
                self._all_shown(shown, rules)

        self._worker.submit(_KEY, lambda _: _part(shown, rules, part), done, self._failed)

    def _failed(self, error: Exception) -> None:
        self._state.cleaned = ""
        self._fail(f"It could not be cleaned up: {one_line(error)}")

    def _all_shown(self, shown: _Shown, rules: CleanUp) -> None:
        shown.rules = rules
        shown.written.clear()
        if rules != shown.kept:
            self._keep(shown, rules)
        then, self._then = self._then, None
        if then is not None:
            then()

    def _keep(self, shown: _Shown, rules: CleanUp) -> None:
        """Write what is shown in place of the prediction; a draft is what differs from it."""
        prediction, file = shown.prediction, shown.image_layers.file

        def kept(cleaned: Cleaned | None) -> None:
            if cleaned is not None:
                shown.kept = rules
                if shown is self._shown and not self.busy:
                    self._state.cleaned = cleaned_text(rules, cleaned)

        def failed(error: Exception) -> None:
            shown.kept = rules  # what is shown is a correction then, and kept as one
            self._state.cleaned = ""
            self._fail(f"The clean-up can't be kept with the prediction: {one_line(error)}")

        def write(stop: Stop) -> Cleaned | None:
            return _write(prediction, file, rules, stop)

        self._writer.submit(_key_of(shown), write, kept, failed)


def _key_of(shown: _Shown) -> str:
    return f"{_KEY} {shown.prediction.path}"


def _part(shown: _Shown, rules: CleanUp, part: Block) -> Part:
    """Return a part as it becomes, and what changes by that. Runs on a worker thread."""
    labels = shown.prediction.labels
    if shown.uncleaned is None:
        shown.uncleaned = found_labels(shown.prediction.path)
    _, after = cleaned_part(shown.uncleaned, rules, part, shown.plane.shape)
    after, now = after.astype(labels.dtype), labels[part.core.slices]
    changed = after != now
    if not changed.any():
        return after, None
    return after, LabelWrite.of(shown.plane, part.core, now.copy(), changed, after)


def _write(
    prediction: ShownPrediction, file: DraftFile, rules: CleanUp, stop: Stop
) -> Cleaned | None:
    """Clean up what lies on the disk. Runs on a worker thread."""
    cleaned = clean_up(prediction.path, rules, stop=stop)
    if cleaned is not None:
        file.begin(read_labels(prediction.path))
    return cleaned


def _seen_first(parts: Sequence[Block], labels: Labels) -> list[Block]:
    """Return parts in the order in which they are cleaned up: those that are seen come first."""
    corners = np.asarray(labels.corner_pixels)[:, -2:].astype(int)
    (top, left), (bottom, right) = corners.tolist()
    seen = Box.from_edges(top, left, bottom + 1, right + 1)
    return sorted(parts, key=lambda part: not part.core.intersection(seen))
