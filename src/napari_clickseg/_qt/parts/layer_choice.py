"""Choosing among the layers that are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg._qt.parts.controls import choice, timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers.base import Layer


class LayerChoice:
    """A combo box of the open layers of one kind, kept up to date.

    Parameters
    ----------
    kind : type
        Such as napari.layers.Image.
    wanted : callable, optional
        ``wanted(layer)`` says whether a layer is offered.
    none : str, optional
        Text of the choice of no layer; without it there is none.
    first : callable, optional
        Returns what is offered before the layers, each as (text, value), in place of `none`.
    """

    def __init__(
        self,
        viewer: Any,
        kind: type[Layer],
        label: str,
        tip: str,
        *,
        wanted: Callable[[Layer], bool] = lambda _: True,
        none: str | None = None,
        first: Callable[[], list[tuple[str, Any]]] | None = None,
    ) -> None:
        self._first = first or (lambda: [] if none is None else [(none, None)])
        self._viewer, self._kind, self._wanted = viewer, kind, wanted
        self.box = choice(label, tip, self._choices)
        # Later, once for many changes, and when it is known what a new layer is for.
        self._later = timer(self.box.native, self.refresh, 0, once=True)
        events = viewer.layers.events
        self._events = [events.inserted, events.removed, events.reordered, events.renamed]
        for event in self._events:
            event.connect(self.refresh_soon)

    @property
    def layer(self) -> Any:
        """The layer that is chosen, or None."""
        return self.box.value

    @layer.setter
    def layer(self, layer: Any) -> None:
        if layer in self.box.choices and self.box.value != layer:
            self.box.value = layer

    def refresh_soon(self, _: object = None) -> None:
        """Offer what is open, when the present change is over."""
        self._later.start()

    def refresh(self) -> None:
        """Offer what is open now, and keep the choice if it still is."""
        before = self.box.value
        with self.box.changed.blocked():
            self.box.reset_choices()
            self.layer = before
        if self.box.value != before:
            self.box.changed.emit(self.box.value)

    def release(self) -> None:
        """Stop watching the layers."""
        for event in self._events:
            event.disconnect(self.refresh_soon)

    def _choices(self, _: object) -> list[tuple[str, Any]]:
        choices = [
            (layer.name, layer)
            for layer in self._viewer.layers
            if isinstance(layer, self._kind) and self._wanted(layer)
        ]
        return [*self._first(), *choices]
