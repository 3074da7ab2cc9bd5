"""All objects of the displayed plane at once, by a model that tells objects apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.annotate.searching.new_objects import new_objects_of, step_of
from napari_clickseg._napari.annotate.searching.preview import NewObjectsPreview
from napari_clickseg._napari.annotate.searching.region import selected_box
from napari_clickseg._napari.annotate.state import ClassSpec, NewObjectCount
from napari_clickseg._napari.viewer.colours import colour_of
from napari_clickseg._napari.viewer.layers import check_companion, full_resolution
from napari_clickseg._napari.viewer.metadata import origin_of
from napari_clickseg._napari.viewer.planes import plane_data
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg._napari.viewer.writes import check_writable
from napari_clickseg.core.instances.separating import SeparationRules
from napari_clickseg.core.window import Box
from napari_clickseg.engine.segmenter import Superseded
from napari_clickseg.models.trained_models import best_fitting
from napari_clickseg.training.spec import TASK_WORDS
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.searching.new_objects import NewObjects, Step
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.finding import FoundObjects, ObjectFinder
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.models.trained_models import TrainedModels

_WORK = "find all"
_LARGEST = 8192 * 8192  # pixels that are searched at once
_LEAST_MARGIN = 64  # pixels that are looked at around a box
_MEMORY = 1 << 30  # bytes of the network's answers that are kept to divide by other rules


class NoFinderError(ValueError):
    """No model that tells objects apart is at hand; the message says how to get one."""


@dataclass(frozen=True, eq=False, slots=True)
class _Search:
    """A plane that was searched, and what answers for it without the network.

    Parameters
    ----------
    box, within : Box
        Of the plane: where it was looked, and where objects are wanted.
    model : str
        What the model is called.
    ids : dict of int to int
        The id of each of its classes.
    objects : FoundObjects
        By the rules that were asked for last.
    """

    pairing: Pairing
    plane: Plane
    box: Box
    within: Box
    finder: ObjectFinder
    model: str
    ids: dict[int, int]
    objects: FoundObjects
    new: NewObjects


class AllObjects:
    """Finds all objects of a plane in the background, and shows those that are new.

    The user may have them divided by other rules, which needs no network, and keeps them as one
    step for undo, or gives them up. What is annotated stays as it is.

    Parameters
    ----------
    trained : TrainedModels, optional
        Where models are found.
    load : callable
        ``load(model, device, half)`` returns a Segmenter; runs on the worker thread.
    notify : callable
        Called on the worker thread when results wait.
    """

    def __init__(
        self,
        context: Context,
        status: Status,
        identity: Identity,
        trained: TrainedModels | None,
        load: Callable[[str, str, bool], Segmenter],
        notify: Callable[[], None],
    ) -> None:
        self._context, self._state, self._status = context, context.state, status
        self._identity, self._trained, self._load = identity, trained, load
        # A worker of its own, as it may take a minute: clicks are answered meanwhile.
        self._runner = Runner(notify, Superseded)
        self._loaded: tuple[str, Segmenter] | None = None
        self._preview = NewObjectsPreview()
        self._search: _Search | None = None

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self._runner.deliver()

    def close(self) -> None:
        """End the worker, and let go of the model and of what is shown."""
        self._runner.close()
        self._release()
        self._loaded = None

    def cancel(self) -> None:
        """Give up what is being looked for."""
        self._runner.cancel(_WORK)
        self._state.finding = False
        self._state.message = "Stopped; nothing was changed."

    def is_shown(self, pairing: Pairing, plane: Plane) -> bool:
        """Whether objects that were found on a plane wait to be kept."""
        search = self._search
        return search is not None and search.pairing is pairing and search.plane == plane

    def start(self, pairing: Pairing, plane: Plane) -> None:
        """Look for the objects of a plane, or of the selected box in it."""
        state, image, layer = self._state, pairing.image, pairing.annotation
        if layer is None:
            state.message = "Press “Annotate this image” first, to have a layer for the objects."
            return
        try:
            check_companion(layer, image, pairing.channel_axis)
            check_writable(layer, 1)
            box = self._box(pairing, plane)
        except ValueError as error:
            state.message = str(error)
            return
        if box.area > _LARGEST:
            state.message = (
                "This plane is too large to be searched at once; search a box of it, or use "
                "clickseg predict, and open what it writes."
            )
            return
        self._release()
        state.finding, state.message = True, "Looking for all objects …"
        self._runner.submit(
            _WORK, self._searching(pairing, plane, box), self._searched, self._failed
        )

    def divide(self) -> None:
        """Divide what was found anew, by the rules that the user chose."""
        search, state = self._search, self._state
        if search is None or state.new_objects is None:
            return
        rules = SeparationRules(state.seed_height, state.smallest)
        read = self._reader(search.pairing, search.plane)
        state.new_objects = replace(state.new_objects, dividing=True)

        def work(stop: Stop) -> _Search:
            objects = search.finder.find(rules, search.box, stop=stop)
            if objects is None or stop():
                raise Superseded
            new = new_objects_of(
                objects, search.box, search.within, read(), search.model, search.ids
            )
            return replace(search, objects=objects, new=new)

        self._runner.submit(_WORK, work, self._show, self._failed)

    def keep(self) -> None:
        """Make what is shown objects of the annotation, as one step."""
        search, state = self._search, self._state
        if search is None:
            state.message = "Nothing waits to be kept; press “Find all objects” first."
            return
        if state.new_objects is not None and state.new_objects.dividing:
            state.message = "The objects are being divided; keep them when they are shown."
            return
        read, plane = self._reader(search.pairing, search.plane), search.plane
        by_class, chosen = state.scheme == "classes", state.current_class.identifier
        scene, ahead = search.pairing.scene, self._identity.ahead(search.pairing)

        def work(_: Stop) -> tuple[_Search, Step | None]:
            # What is labelled by now is left alone.
            new = new_objects_of(
                search.objects, search.box, search.within, read(), search.model, search.ids
            )
            step = step_of(new, scene, plane, chosen, by_class=by_class) if new.objects else None
            if step is not None:
                ahead(step[0])
            return replace(search, new=new), step

        def done(answer: tuple[_Search, Step | None]) -> None:
            if search.pairing.scene is scene:
                self._keep(*answer)
            else:  # somebody was quicker
                self.keep()

        self._runner.submit(_WORK, work, done, self._failed)

    def give_up(self) -> None:
        """Show what was found no longer."""
        if self._search is not None:
            self._runner.cancel(_WORK)
            self._release()
            self._state.message = "What was found is given up; nothing was changed."

    def show_colours(self) -> None:
        """Colour what is shown as the state says."""
        if self._search is not None:
            self._preview.colour(self._search.new, by_score=self._state.by_score)

    def image_closed(self, pairing: Pairing) -> None:
        """Let go of what was found on an image that is no longer annotated."""
        if self._search is not None and self._search.pairing is pairing:
            self._runner.cancel(_WORK)
            self._release()

    def layer_removed(self, event: Any) -> None:
        """Give up what was found where the user takes its layer away."""
        if self._preview.is_shown_by(event.value):
            self._preview.forget()
            self.give_up()

    # ---- work

    def _box(self, pairing: Pairing, plane: Plane) -> Box:
        if self._state.search_in == "box":
            return selected_box(self._context.viewer, pairing, plane)
        return Box(0, 0, *plane.shape)

    def _reader(self, pairing: Pairing, plane: Plane) -> Callable[[], Any]:
        """Return what reads the ids of a plane by the time it is called, on any thread."""
        layer = pairing.annotation
        assert layer is not None
        finest = full_resolution(layer)
        return lambda: np.asarray(finest[plane.key(slice(None), slice(None))])

    def _searching(self, pairing: Pairing, plane: Plane, within: Box) -> Callable[[Stop], _Search]:
        """Return what searches a box of a plane on the worker thread."""
        state, image = self._state, pairing.image
        origin = origin_of(image)
        project = "" if origin is None else origin.folder
        here, device, half = self._context.segmenter, state.device, state.half
        levels, rgb = plane_data(image, plane, pairing.channel_axis), bool(image.rgb)
        named = {one.name: one.identifier for one in state.classes}
        read = self._reader(pairing, plane)

        def work(stop: Stop) -> _Search:
            from napari_clickseg.engine.finding import ObjectFinder, class_ids

            model, name = self._finder(here, project, device, half)
            if stop():
                raise Superseded
            finder = ObjectFinder.of(model, levels, rgb=rgb, memory=_MEMORY)
            # Objects at the edge of what is wanted are seen whole.
            box = _around(within, model.card, plane)
            objects = finder.find(None, box, stop=stop)
            if objects is None:
                raise Superseded
            ids = class_ids(model.card, named)
            new = new_objects_of(objects, box, within, read(), name, ids)
            return _Search(pairing, plane, box, within, finder, name, ids, objects, new)

        return work

    def _finder(
        self, here: Segmenter | None, project: str, device: str, half: bool
    ) -> tuple[Segmenter, str]:
        """Return a model that tells objects apart, and what it is called. Worker thread."""
        from napari_clickseg.engine.foreground_objects import objects_spec, why_none

        if here is not None and objects_spec(here.card) is not None:
            return here, here.card.name
        if here is not None and here.card.encoding == "image" and not here.card.training:
            raise NoFinderError(why_none(here.card))  # nobody asked for another model
        offers = [] if self._trained is None else self._trained.offers()
        offer = best_fitting([one for one in offers if one.tells_apart], project)
        if offer is None:
            raise NoFinderError(
                "There is no model yet that tells objects apart. Annotate some images, say which "
                "of them are complete, and train one: under “Train”, with the task "
                f"“{TASK_WORDS['instances']}”."
            )
        if self._loaded is None or self._loaded[0] != offer.path:
            self._loaded = offer.path, self._load(offer.path, device, half)
        return self._loaded[1], offer.name or Path(offer.path).stem

    # ---- results

    def _searched(self, search: _Search) -> None:
        state, rules = self._state, search.finder.rules
        state.finding = False
        if not self._is_open(search):
            state.message = "The image was closed meanwhile, so nothing was changed."
            return
        if not search.new.objects:
            state.message = f"'{search.model}' finds nothing new here{_known(search)}."
            return
        state.seed_height, state.smallest = rules.seed_height, rules.smallest
        self._show(search)

    def _show(self, search: _Search) -> None:
        self._search = search
        self._state.message = (
            f"{counted(len(search.new.objects), 'object')} found by '{search.model}'"
            f"{_known(search)}. Keep what is shown, or divide it otherwise first."
        )
        self._preview.show(search.pairing, search.plane, search.new)
        self.show_colours()
        self._state.new_objects = NewObjectCount(
            len(search.new.objects), search.new.known, search.model
        )

    def _keep(self, search: _Search, step: Step | None) -> None:
        """Write what was found into the annotation layer, as one step."""
        state, pairing, plane = self._state, search.pairing, search.plane
        if not self._is_open(search):
            self._release()
            return
        if step is None:
            self._release()
            state.message = f"All of it is annotated by now{_known(search)}."
            return
        after, write = step
        try:
            pairing.write_in_parts(write)
        except ValueError as error:
            state.message = str(error)
            return
        self._release()
        self._add_classes(search)
        pairing.step(after, plane, (write,))
        self._identity.save_with(pairing)
        self._status.show_counts()
        state.message = (
            f"{counted(len(search.new.objects), 'object')} of '{search.model}' kept"
            f"{_known(search)}. Shift + click corrects one; undo takes all of them back."
        )

    def _add_classes(self, search: _Search) -> None:
        """List the model's classes that the user's list lacks, as far as there are objects."""
        state = self._state
        listed = {one.identifier for one in state.classes}
        used = {one.class_id for one in search.new.objects}
        names = search.finder.estimator.card.classes
        new = [
            ClassSpec(identifier, names[k - 1], colour_of(identifier))
            for k, identifier in search.ids.items()
            if identifier in used and identifier not in listed
        ]
        if new:
            state.classes = (*state.classes, *new)

    def _is_open(self, search: _Search) -> bool:
        pairing = search.pairing
        known = self._context.pairings.get(pairing.image) is pairing
        return known and pairing.annotation is not None

    def _release(self) -> None:
        self._search = None
        self._preview.take_away()
        self._state.new_objects = None

    def _failed(self, error: Exception) -> None:
        self._state.finding = False
        if self._state.new_objects is not None:
            self._state.new_objects = replace(self._state.new_objects, dividing=False)
        if isinstance(error, NoFinderError):
            self._state.message = str(error)
        else:
            self._status.report(error)


def _around(within: Box, card: ModelCard, plane: Plane) -> Box:
    """Return a box of a plane with as much around it as large objects may reach out."""
    margin = max(_LEAST_MARGIN, card.objects.span if card.objects is not None else 0)
    edges = within.top - margin, within.left - margin, within.bottom + margin, within.right + margin
    return Box.from_edges(*edges).intersection(Box(0, 0, *plane.shape))


def _known(search: _Search) -> str:
    known = search.new.known
    return f", beside {counted(known, 'object')} that you have" if known else ""
