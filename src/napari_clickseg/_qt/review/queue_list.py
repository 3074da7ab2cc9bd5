"""The queue as a list of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg._napari.project.image_rows import ImageRow
from napari_clickseg._napari.review.state import LISTED
from napari_clickseg._napari.review.text import row_text
from napari_clickseg._qt.parts.image_list import ImageList

if TYPE_CHECKING:
    from napari_clickseg._qt.review.form_context import ReviewFormContext


class QueueList(ImageList):
    """Lists what is to be reviewed, or what was reviewed, with how unsure the model is."""

    def __init__(self, context: ReviewFormContext) -> None:
        super().__init__(
            tuple(LISTED),
            "What is to be reviewed, the most uncertain first; or what was, the last first.",
            "“begun”: you corrected something that is not accepted yet.",
            "accepted, begun",
            context.controller.images.open,
            unsure=True,
        )
        self._state = context.state
        context.ties.tie(self.listed, "listed")
        context.ties.tie(self.search, "search")
        context.ties.show(self._show_queue, "queue", "listed", "search")
        context.ties.show(self._show_current, "current")

    def _show_queue(self) -> None:
        state = self._state
        rows = [
            ImageRow(row.image, row_text(row), row.uncertainty)
            for row in state.queue
            if row.state in LISTED[state.listed]
        ]
        self.show_rows(rows, state.search)

    def _show_current(self) -> None:
        self.mark(self._state.current)
