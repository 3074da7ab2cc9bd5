"""Going through the objects of the displayed plane, the least certain first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.listing.object_list import ObjectList


class LeastCertain:
    """Goes from object to object by rising score; who has none is left out.

    Parameters
    ----------
    listing : ObjectList
        Knows the objects, and goes to one.
    """

    def __init__(self, context: Context, listing: ObjectList) -> None:
        self._context, self._state, self._listing = context, context.state, listing
        self._last: tuple[object, float, int] | None = None  # annotation and plane, score, key

    def step(self, *, back: bool = False) -> None:
        """Go to the object whose score comes next, or to the one before."""
        self._state.listing = True
        self._listing.when_counted(lambda: self._step(back))

    def _step(self, back: bool) -> None:
        state, table = self._state, self._state.objects
        here = state.annotation, self._context.plane
        rows = table.order("score")
        rows = rows[~np.isnan(table.scores[rows])]
        if not len(rows):
            state.message = (
                state.not_listed
                or "No object here has a score; those that “Find all objects” finds have one."
            )
            return
        order = [(float(table.scores[row]), int(table.regions.keys[row])) for row in rows]
        at = 0
        if self._last is not None and self._last[0] == here:
            last = self._last[1:]
            at = sum(one < last for one in order) - 1 if back else sum(one <= last for one in order)
        at %= len(order)
        score, key = order[at]
        self._last = here, score, key
        self._listing.pick([key])
        state.message = (  # two lines have their room
            f"Object {int(table.regions.ids[rows[at]])}: score {score:.2f} ({at + 1:,} of "
            f"{len(order):,}). Shift + click on it corrects it."
        )
