"""What every form of the Review widget works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_clickseg._napari.review.controller import ReviewController
    from napari_clickseg._napari.review.state import ReviewState
    from napari_clickseg._qt.parts.binding import Ties


@dataclass(frozen=True)
class ReviewFormContext:
    """The controller of a viewer's review, and the ties of one widget."""

    controller: ReviewController
    ties: Ties

    @property
    def state(self) -> ReviewState:
        """What the widget shows."""
        return self.controller.state
