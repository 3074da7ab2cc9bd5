"""Keys of a viewer that are taken over, and given back as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What a key did before a function of ours got it; so that of two widgets on one viewer neither
# puts the other's functions back after it was closed.
_replaced: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


class Keys:
    """Keys bound to a viewer.

    Parameters
    ----------
    wanted : mapping of str to callable
        What each key does; called with the viewer.
    """

    def __init__(self, viewer: Any, wanted: Mapping[str, Callable[[Any], None]]) -> None:
        self._viewer, self._wanted = viewer, dict(wanted)
        self._bound: dict[Any, tuple[Any, Any]] = {}
        self.take()

    def take(self) -> None:
        """Have the keys, whichever widget got them since."""
        self.give_back()
        viewer, wanted = self._viewer, self._wanted
        before: dict[Any, Any] = dict(viewer.keymap)
        for key, function in wanted.items():
            viewer.bind_key(key, function, overwrite=True)
        ours = list(wanted.values())
        for key, function in viewer.keymap.items():
            if function in ours:
                theirs = before.get(key)
                if theirs in _replaced:
                    theirs = _replaced[theirs]
                _replaced[function] = theirs
                self._bound[key] = function, theirs

    def give_back(self) -> None:
        """Have the keys do what they did before; safe to call again."""
        for key, (ours, before) in self._bound.items():
            if self._viewer.keymap.get(key) is ours:  # a later widget may have taken it over
                self._viewer.bind_key(key, before, overwrite=True)
        self._bound.clear()
