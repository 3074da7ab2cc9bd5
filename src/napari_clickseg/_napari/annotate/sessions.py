"""The sessions of an image's planes, kept while the user goes back and forth between them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.segmenter import Session

_REMEMBERED = 8  # planes


class SessionMemory:
    """Sessions by plane, those used last.

    Only the worker thread uses one. When the model or the image becomes another, the main thread
    does not empty it but puts a new one in its place, so that work still running for the old
    model can't leave its session behind for the new one.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[Plane, Session] = OrderedDict()

    def get(self, plane: Plane, start: Callable[[], Session]) -> Session:
        """Return the session of a plane; it is started if there is none."""
        if plane not in self._sessions:
            self._sessions[plane] = start()
            if len(self._sessions) > _REMEMBERED:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(plane)
        return self._sessions[plane]
