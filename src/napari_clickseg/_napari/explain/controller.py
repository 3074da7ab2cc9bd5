"""What the Explain widget does: it explains the displayed object's mask, in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from napari_clickseg._napari.explain.result_layers import result_layer
from napari_clickseg._napari.explain.state import DEEPEST
from napari_clickseg._napari.viewer.metadata import is_explaining
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.engine.session import Superseded
from napari_clickseg.util.text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.explain.state import ExplainState
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.segmenter import Session
    from napari_clickseg.explain.maps import Explanation, PlacedMap

_WORK = "explain"


class _Result(NamedTuple):
    """A map that becomes a layer."""

    name: str
    placed: PlacedMap
    signed: bool


class _Explained(NamedTuple):
    """What a piece of work brings."""

    results: list[_Result]
    places: tuple[str, ...]  # none where nobody looked
    message: str


class ExplainController:
    """Explains what a viewer's annotation shows.

    Parameters
    ----------
    annotate : AnnotateController
        Of the same viewer; says which object is meant, and has the model.
    notify : callable
        Called on the worker thread when results wait; it must have `deliver` called on the main
        thread.
    """

    def __init__(
        self, annotate: AnnotateController, state: ExplainState, notify: Callable[[], None]
    ) -> None:
        self._annotate, self.state = annotate, state
        # A worker of its own: what takes seconds must not keep clicks waiting.
        self._runner = Runner(notify, Superseded)
        self._last: tuple[Any, Session, Explanation] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is being explained."""
        return self._runner.idle

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self._runner.deliver()

    def close(self) -> None:
        """End; layers that were made stay."""
        self._runner.close()
        self._last = None

    def cancel(self) -> None:
        """Forget what is being explained."""
        self._runner.cancel(_WORK)
        self.state.busy = False
        self.state.message = "Given up."

    def heat_map(self) -> None:
        """Show where the maps at the place speak for the mask."""
        place = self.state.place

        def work(explanation: Explanation, session: Session, stop: Stop) -> _Explained:
            name = _known(place, explanation)
            heat_map = explanation.heat_map(name)
            if not heat_map.data.any():
                text = f"Nothing at '{name}' speaks for the mask; choose another place."
                return _Explained([], explanation.places, text)
            text = f"Bright is where '{name}' speaks for the mask."
            made = _Result(f"heat map, {name}", heat_map, False)
            return _Explained([made], explanation.places, text)

        self._begin(work)

    def activations(self) -> None:
        """Show the maps at the place, those that vary most first."""
        place, most = self.state.place, self.state.maps

        def work(explanation: Explanation, session: Session, stop: Stop) -> _Explained:
            name = _known(place, explanation)
            maps = explanation.activations(name, most)
            count = counted(len(maps.data), "map")
            text = (
                f"{count} of '{name}', those that vary most first: go through them by the slider."
            )
            made = _Result(f"activations, {name}", maps, False)
            return _Explained([made], explanation.places, text)

        self._begin(work)

    def pixels(self) -> None:
        """Show which pixels the mask rests on."""

        def work(explanation: Explanation, session: Session, stop: Stop) -> _Explained:
            attribution = explanation.attribution()
            text = (
                f"Red speaks for the mask, blue against it; clicks and the mask before account "
                f"for {attribution.guidance:.0%} of the answer."
            )
            made = _Result("pixels", attribution.pixels, True)
            return _Explained([made], explanation.places, text)

        self._begin(work)

    def gestures(self) -> None:
        """Show what each click, box, scribble and lasso changed, a layer for each."""
        prompt = self._annotate.context.prompt()

        def work(explanation: Explanation, session: Session, stop: Stop) -> _Explained:
            from napari_clickseg.explain.gesture_effect import gesture_effects
            from napari_clickseg.explain.maps import PlacedMap

            results, lines = [], []
            for n, one in enumerate(gesture_effects(session, prompt), 1):
                if stop():
                    raise Superseded
                corner = float(one.extent.top), float(one.extent.left)
                if one.extent:
                    placed = PlacedMap(one.difference, (1.0, 1.0), corner)
                    results.append(_Result(f"gesture {n}", placed, True))
                lines.append(f"{n}: {one.gained:,} gained, {one.lost:,} lost")
            text = "Pixels, by click or stroke: " + "; ".join(lines) + "."
            if len(results) > 1:
                text += " The last one is shown; the others' layers are hidden."
            if not lines:
                text = "Nothing was clicked or drawn on this object."
            return _Explained(results, (), text)  # a network that came as ONNX has no places

        self._begin(work)

    def _begin(self, work: Callable[[Explanation, Session, Stop], _Explained]) -> None:
        context, state = self._annotate.context, self.state
        pairing, plane = context.resolve()
        if pairing is None or plane is None:
            state.message = "Open Annotate and press “Annotate this image” first."
            return
        segmenter, prompt = context.segmenter, context.prompt()
        if segmenter is None:
            state.message = "The model is not loaded yet; wait a moment, and try again."
            return
        if not prompt and not segmenter.card.automatic:
            state.message = "Click on an object first: its mask is what is explained."
            return
        start = self._annotate.answers.starter(pairing, plane)
        key = (segmenter, pairing, plane, prompt)
        state.busy, state.message = True, "Explaining …"

        def explain(stop: Stop) -> _Explained:
            from napari_clickseg.explain.maps import Explanation

            if self._last is None or self._last[0] != key:
                session = start()
                self._last = key, session, Explanation(segmenter, session, prompt)
            if stop():
                raise Superseded
            _, session, explanation = self._last
            return work(explanation, session, stop)

        def done(explained: _Explained) -> None:
            self._show(explained, pairing, plane)

        self._runner.submit(_WORK, explain, done, self._failed)

    def _show(self, explained: _Explained, pairing: Pairing, plane: Plane) -> None:
        state = self.state
        state.busy = False
        state.places = explained.places or state.places
        if state.place not in state.places:
            state.place = next((one for one in reversed(state.places) if "encoder" in one), "")
        viewer = self._annotate.viewer
        if pairing.image not in viewer.layers:
            state.message = "The image was closed meanwhile."
            return
        for layer in viewer.layers:
            if explained.results and is_explaining(layer):
                layer.visible = False  # what is new is seen, and not two maps as one
        for one in explained.results:
            self._add(one, pairing, plane, visible=one is explained.results[-1])
        state.message = explained.message

    def _add(self, one: _Result, pairing: Pairing, plane: Plane, *, visible: bool) -> None:
        """Put a layer above the image, in place of what explained the same before."""
        layers, image = self._annotate.viewer.layers, pairing.image
        name = f"{image.name} {one.name}"
        chosen, active = set(layers.selection), layers.selection.active
        for old in [layer for layer in layers if layer.name == name and is_explaining(layer)]:
            layers.remove(old)
        layer = result_layer(
            image, pairing.channel_axis, plane, one.placed, name, signed=one.signed
        )
        layer.visible = visible
        layers.insert(layers.index(image) + 1, layer)
        layers.selection = {one for one in chosen if one in layers}
        layers.selection.active = active if active in layers else None

    def _failed(self, error: Exception) -> None:
        self.state.busy = False
        self.state.message = one_line(error)


def _known(place: str, explanation: Explanation) -> str:
    """Return the place's name in this network: another one than it was chosen for, perhaps."""
    places = explanation.places
    if place in places:
        return place
    encoder = [name for name in places if name.startswith("encoder")]
    return encoder[-1] if encoder and place in (DEEPEST, "") else places[-1]
