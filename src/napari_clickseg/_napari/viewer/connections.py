"""Signals with what they are connected to, so that nothing stays connected at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Connections:
    """A list of connections, made one by one and ended together.

    Signals are psygnal's or napari's; both give a slot as many values as it takes.
    """

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., Any]]] = []

    def connect(self, signal: Any, *slots: Callable[..., Any]) -> None:
        """Have slots called, in this order, whenever a signal is emitted."""
        for slot in slots:
            signal.connect(slot)
            self._made.append((signal, slot))

    def close(self) -> None:
        """Disconnect everything."""
        for signal, slot in self._made:
            signal.disconnect(slot)
        self._made.clear()
