"""What the parts of the Annotate widget share; none of them knows the controller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_clickseg._napari.annotate.pairing import PairingEvents
from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.prompts import Prompt

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg._napari.viewer.runner import Runner
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.segmenter import Segmenter


@dataclass(eq=False)
class Context:
    """The viewer, the state, the worker, and what is being worked on.

    Parameters
    ----------
    pairings : dict of Image to Pairing
        All images that are set up.
    pairing : Pairing, optional
        The one that clicks go to.
    plane : Plane, optional
        Of its image: the one that the viewer showed when it was last looked, see `resolve`.
    segmenter : Segmenter, optional
        None while no model is loaded.
    """

    viewer: ViewerModel
    state: AnnotateState
    runner: Runner
    events: PairingEvents = field(default_factory=PairingEvents)
    pairings: dict[Image, Pairing] = field(default_factory=dict)
    pairing: Pairing | None = None
    plane: Plane | None = None
    segmenter: Segmenter | None = None

    def turn_to(self, pairing: Pairing | None) -> None:
        """Make a pairing the current one, or have none."""
        self.pairing = pairing
        self.resolve()

    def resolve(self) -> tuple[Pairing | None, Plane | None]:
        """Work out what a gesture is about: the current pairing and its displayed plane.

        A gesture does so once, when it begins, and hands both on; and so does who learns that
        another plane is displayed. What follows later goes by `pairing` and `plane`.
        """
        self.plane = None if self.pairing is None else self.pairing.displayed()
        return self.pairing, self.plane

    def prompt(self) -> Prompt:
        """Return what the user has said about the object on the displayed plane."""
        if self.pairing is None or self.plane is None:
            return Prompt()
        return self.pairing.scene.prompt(self.plane)

    def refinement(self) -> Refinement:
        """Return how the state says that a probability becomes a mask."""
        s = self.state
        return Refinement(s.threshold, s.smooth, s.fill_holes, s.keep_clicked)
