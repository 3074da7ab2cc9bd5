"""Filling in the planes between two on which objects are labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg._napari.annotate.listing.several_objects import SceneChange
from napari_clickseg._napari.annotate.stacks.gaps import Stack, filled
from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.listing.scene_changes import SceneChanges
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.stacks.gaps import Filled
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane

_NOTHING = (
    "There is no gap to fill: accept an object on this plane, and some planes away on another one."
)


class Interpolation:
    """Fills gaps between labelled planes by the objects' shapes; a step for undo."""

    def __init__(
        self, context: Context, identity: Identity, answers: Answers, changes: SceneChanges
    ) -> None:
        self._state, self._changes = context.state, changes
        self._identity, self._answers = identity, answers

    def fill(self, pairing: Pairing, plane: Plane) -> None:
        """Fill the gaps around a plane, in its turn."""
        self._answers.in_turn(pairing, lambda: self._fill(pairing, plane))

    def _fill(self, pairing: Pairing, plane: Plane) -> None:
        state, layer, scene = self._state, pairing.annotation, pairing.scene
        axis = pairing.walking_axis()
        if axis is None or layer is None:
            state.message = "There are no planes to fill in; this image is not a stack."
            return
        labels, by_class = full_resolution(layer), state.scheme == "classes"
        classes = self._identity.classes_on(pairing, plane)
        state.message = "Filling in …"
        ready = self._changes.working_out(pairing)

        def work(stop: Stop) -> tuple[Filled, SceneChange]:
            filling = filled(Stack(labels, plane, axis, by_class, stop), scene, classes)
            return filling, ready(SceneChange(filling.after, filling.writes))

        def done(made: tuple[Filled, SceneChange]) -> None:
            filling, change = made
            if filling.writes:
                self._changes.carry_out(pairing, plane, change, _summary(filling))
            else:
                state.message = _NOTHING

        self._changes.submit(pairing, work, done, lambda: self._fill(pairing, plane))


def _summary(filling: Filled) -> str:
    parts = []
    if filling.planes:
        planes = sorted(filling.planes)
        between = f"{planes[0]} to {planes[-1]}" if len(planes) > 1 else str(planes[0])
        where = "planes" if len(planes) > 1 else "plane"
        parts.append(f"{counted(len(filling.ids), 'object')} filled in on {where} {between}")
    if filling.renamed:
        parts.append(f"{counted(filling.renamed, 'object')} got the id of the plane before")
    return f"{'; '.join(parts)}. Undo takes it back."
