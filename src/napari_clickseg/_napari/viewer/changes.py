"""What was written into labels layers since they were saved in a project, or opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from psygnal import Signal

from napari_clickseg._napari.viewer.layers import unwrapped

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_clickseg._napari.viewer.writes import Write

# By layer, and weakly: of a layer that is gone there is nothing to save.
_saved: WeakKeyDictionary[Any, tuple[Write, ...]] = WeakKeyDictionary()  # what its file holds
_left: WeakKeyDictionary[Any, tuple[Write, ...]] = WeakKeyDictionary()  # of timelines that ended
_ever: WeakSet[Any] = WeakSet()


class ChangesEvents:
    """What becomes of changes."""

    saved = Signal(object, tuple)  # of this layer: with this in its timeline


events = ChangesEvents()


def since_saved(labels: Labels, written: tuple[Write, ...] = ()) -> tuple[Write, ...]:
    """Return what was written, or taken back, since a layer was saved.

    Parameters
    ----------
    written : tuple of Write
        All that its timeline holds now, as far as it is not undone.
    """
    layer = unwrapped(labels)
    before = _saved.get(layer, ())
    known, there = set(before), set(written)
    undone = (one for one in before if one not in there)
    return (*_left.get(layer, ()), *undone, *(one for one in written if one not in known))


def note_saved(labels: Labels, changes: tuple[Write, ...], written: tuple[Write, ...]) -> None:
    """Note that a layer was saved, with these changes, and with this in its timeline."""
    layer = unwrapped(labels)
    gone = set(changes)
    _left[layer] = tuple(one for one in _left.get(layer, ()) if one not in gone)
    _saved[layer] = written
    _ever.add(layer)
    events.saved.emit(layer, written)


def leave(labels: Labels, written: tuple[Write, ...]) -> None:
    """Remember what is not saved, as the layer's timeline ends."""
    layer = unwrapped(labels)
    _left[layer] = since_saved(layer, written)
    _saved.pop(layer, None)


def was_saved(labels: Labels) -> bool:
    """Whether a layer was saved in a project since it was opened."""
    return unwrapped(labels) in _ever
