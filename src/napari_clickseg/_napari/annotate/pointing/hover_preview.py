"""The outline that a click under the resting pointer would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg._napari.annotate.lines import mask_outline
from napari_clickseg._napari.viewer.writes import read_labels
from napari_clickseg.core.clicks import Click
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.images import Images
    from napari_clickseg._napari.annotate.lines import Edges
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane

_KEY = "preview"


class HoverPreview:
    """Looks at what is under the pointer while nothing is begun and nothing else is to be done.

    The session remembers what it saw, so a click on the same place has the less to wait for.
    Anything else that is to be done ends the look within one pass of the network.
    """

    def __init__(self, context: Context, images: Images, answers: Answers) -> None:
        self._context, self._state = context, context.state
        self._images, self._answers = images, answers
        self._failed = False  # where the pointer is

    def look(self) -> bool:
        """Have the outline under the pointer shown; to be called when it has rested for a while.

        Returns
        -------
        bool
            Whether to call it again in a while: something else is being done, or may come before
            the answer, which gives way to it.
        """
        context = self._context
        there = context.viewer.mouse_over_canvas or self._state.crosshair
        if self._failed or self._state.preview is not None or not (self._free() and there):
            return False
        if not context.runner.idle:
            return True
        pairing, plane = context.pairing, context.plane
        if pairing is None or plane is None:
            return False
        click = self._click(pairing, plane)
        if click is None:
            return False
        refinement, session_of = context.refinement(), self._answers.opener(pairing, plane)

        def work(stop: Stop) -> Edges:
            prediction = session_of().glimpse(Prompt((click,)), refinement, stop)
            return mask_outline(prediction.mask_part, prediction.extent)

        def done(edges: Edges) -> None:
            if pairing is context.pairing and plane == context.plane and self._free():
                self._state.preview = edges

        def failed(_: Exception) -> None:
            self._failed = True  # a click will say what is wrong

        context.runner.submit(_KEY, work, done, failed, gives_way=True)
        return True

    def clear(self) -> None:
        """Show none, and give up looking."""
        self._failed = False
        if self._state.preview is not None:
            self._state.preview = None
        self._context.runner.cancel(_KEY)

    def _free(self) -> bool:
        """Whether a click would begin an object."""
        state, pairing = self._state, self._context.pairing
        if not (state.tool and state.previews) or state.begun or state.drawing is not None:
            return False
        ready = self._context.segmenter is not None and pairing is not None
        return ready and pairing is not None and pairing.display.prediction is None

    def _click(self, pairing: Pairing, plane: Plane) -> Click | None:
        """Return the click that the left button or Enter would make; None if it would show nothing.

        It does not where it would be negative, beside the image or on another image, or would take
        up an object that is under review.
        """
        position = self._context.viewer.cursor.position
        at = pairing.under(position, plane)
        negative = self._state.swapped and not self._state.crosshair
        if at is None or negative or self._images.seen_at(position, pairing) is not None:
            return None
        click = Click(*at)
        layer, (row, column) = pairing.annotation, click.pixel
        if pairing.under_review and layer is not None:
            if (read_labels(layer, plane, Box(row, column, 1, 1)) > 0).any():
                return None
        return click
