"""What every form of the Train widget works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_clickseg._napari.train.controller import TrainController
    from napari_clickseg._napari.train.state import TrainState
    from napari_clickseg._qt.parts.binding import Ties


@dataclass(frozen=True)
class TrainFormContext:
    """The controller of a viewer's training, and the ties of one widget."""

    controller: TrainController
    ties: Ties

    @property
    def state(self) -> TrainState:
        """What the widget shows."""
        return self.controller.state
