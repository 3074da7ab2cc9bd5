"""All objects of the displayed plane at once, by a model that tells objects apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.layers import check_companion
from napari_clickseg._napari.viewer.metadata import origin_of
from napari_clickseg._napari.viewer.planes import plane_data
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg._napari.viewer.writes import LabelWrite, check_writable
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.engine.segmenter import Superseded
from napari_clickseg.journal.scene import Accepted
from napari_clickseg.models.fitting import fitting
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.finding import FoundObjects
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.fitting import TrainedModels

__all__ = ["AllObjects", "NoFinderError"]

_WORK = "find all"
_LARGEST = 8192 * 8192  # pixels of a plane
_KNOWN = 0.5  # share of an object that is labelled already, from which on it is known


class NoFinderError(ValueError):
    """No model that tells objects apart is at hand; the message says how to get one."""


class _New(NamedTuple):
    """An object that is not annotated yet."""

    patch: Patch
    number: int  # of its class in the model, from 1 on
    score: float


@dataclass(frozen=True, eq=False)
class _FoundAll:
    """What a model found on a plane."""

    objects: list[_New]
    known: int
    largest: int  # id that is there
    model: str
    classes: tuple[str, ...]


class AllObjects:
    """Finds all objects of a plane, in the background, and accepts those that are new.

    What is annotated stays as it is. All that is found is one step for undo.

    Parameters
    ----------
    context : Context
    status : Status
    identity : Identity
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

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self._runner.deliver()

    def close(self) -> None:
        """End the worker, and let go of the model."""
        self._runner.close()
        self._loaded = None

    def cancel(self) -> None:
        """Give up what is being looked for."""
        self._runner.cancel(_WORK)
        self._state.finding = False
        self._state.message = "Stopped; nothing was changed."

    def start(self, pairing: Pairing, plane: Plane) -> None:
        """Look for the objects of a plane."""
        state, image, layer = self._state, pairing.image, pairing.annotation
        if layer is None:
            state.message = "Press 'Annotate this image' first, to have a layer for the objects."
            return
        if math.prod(plane.shape) > _LARGEST:
            state.message = (
                "This plane is too large to be searched at once; use clickseg predict, and open "
                "what it writes."
            )
            return
        try:
            check_companion(layer, image, pairing.channel_axis)
            check_writable(layer, 1)
        except ValueError as error:
            state.message = str(error)
            return
        origin = origin_of(image)
        project = "" if origin is None else origin.folder
        here, device, half = self._context.segmenter, state.device, state.half
        levels, rgb = plane_data(image, plane, pairing.channel_axis), bool(image.rgb)
        finest = layer.data[0] if layer.multiscale else layer.data
        state.finding, state.message = True, "Looking for all objects …"

        def work(stop: Stop) -> _FoundAll:
            from napari_clickseg.engine.finding import ObjectFinder

            finder_model, name = self._finder(here, project, device, half)
            if stop():
                raise Superseded
            found = ObjectFinder.of(finder_model, levels, rgb=rgb).find(stop=stop)
            if found is None:
                raise Superseded
            # What is labelled from now on is left alone by the write.
            labels = np.asarray(finest[plane.key(slice(None), slice(None))])
            return _told(found, labels, name, tuple(finder_model.card.classes))

        self._runner.submit(
            _WORK, work, lambda found: self._show(pairing, plane, found), self._failed
        )

    def _finder(
        self, here: Segmenter | None, project: str, device: str, half: bool
    ) -> tuple[Segmenter, str]:
        """Return a model that tells objects apart, and what it is called. Worker thread."""
        if here is not None and here.card.objects is not None:
            return here, here.card.name
        offers = [] if self._trained is None else self._trained.offers()
        offer = fitting([one for one in offers if one.tells_apart], project)
        if offer is None:
            raise NoFinderError(
                "There is no model yet that tells objects apart. Train one on some annotated "
                "images: clickseg train PROJECT --set task=instances"
            )
        if self._loaded is None or self._loaded[0] != offer.path:
            self._loaded = offer.path, self._load(offer.path, device, half)
        return self._loaded[1], offer.name or Path(offer.path).stem

    def _show(self, pairing: Pairing, plane: Plane, found: _FoundAll) -> None:
        """Write what was found into the annotation layer, as one step."""
        state, layer, scene = self._state, pairing.annotation, pairing.scene
        state.finding = False
        if self._context.pairings.get(pairing.image) is not pairing or layer is None:
            state.message = "The image was closed meanwhile, so nothing was changed."
            return
        if not found.objects:
            state.message = f"'{found.model}' finds nothing new here{_known(found)}."
            return
        by_class = state.scheme == "classes"
        ids, first = self._class_ids(found), max(scene.next_id, found.largest + 1)
        new = tuple(
            Accepted(
                plane,
                ids[one.number] if by_class else first + n,
                (),
                one.patch,
                ids[one.number],
                ObjectNote(score=round(one.score, 4), clicks=0, model=found.model),
            )
            for n, one in enumerate(found.objects)
        )
        write = _write(plane, new)
        after = replace(scene, objects=(*scene.objects, *new))
        after = after if by_class else after.used(new[-1].value)
        try:
            pairing.write(write)
        except ValueError as error:
            state.message = str(error)
            return
        pairing.step(after, plane, (write,))
        self._identity.save_with(pairing)
        self._status.show_counts()
        state.message = (
            f"{counted(len(new), 'object')} found by '{found.model}'{_known(found)}. Shift + click "
            "corrects one; undo takes all of them back."
        )

    def _class_ids(self, found: _FoundAll) -> dict[int, int]:
        """Return the id of each of the model's classes: by its name, else the chosen class."""
        state = self._state
        named = {one.name: one.identifier for one in state.classes}
        chosen = state.current_class.identifier
        return {n: named.get(name, chosen) for n, name in enumerate(found.classes, 1)} | (
            {1: chosen} if len(found.classes) <= 1 else {}
        )

    def _failed(self, error: Exception) -> None:
        self._state.finding = False
        if isinstance(error, NoFinderError):
            self._state.message = str(error)
        else:
            self._status.report(error)


def _told(
    found: FoundObjects, labels: npt.NDArray[Any], model: str, classes: tuple[str, ...]
) -> _FoundAll:
    """Part what is new from what is annotated already."""
    new, known = [], 0
    for n, box in _boxes(found.labels):
        mask = found.labels[box.slices] == n
        free = mask & (labels[box.slices] == 0)
        if free.sum() <= (1 - _KNOWN) * mask.sum():
            known += 1
            continue
        patch = Patch.of(free, offset=(box.top, box.left))
        new.append(_New(patch, int(found.classes[n - 1]), float(found.scores[n - 1])))
    return _FoundAll(new, known, int(labels.max(initial=0)), model, classes)


def _boxes(labels: npt.NDArray[np.int32]) -> Iterator[tuple[int, Box]]:
    from scipy import ndimage

    for n, place in enumerate(ndimage.find_objects(labels), 1):
        if place is not None:
            rows, columns = place
            yield n, Box.from_edges(rows.start, columns.start, rows.stop, columns.stop)


def _write(plane: Plane, objects: tuple[Accepted, ...]) -> LabelWrite:
    """Return the write of all objects into what is background."""
    places = [np.nonzero(one.patch.mask) for one in objects]
    boxes = [one.patch.box for one in objects]
    rows = np.concatenate([at[0] + box.top for at, box in zip(places, boxes, strict=True)])
    columns = np.concatenate([at[1] + box.left for at, box in zip(places, boxes, strict=True)])
    new = np.repeat([one.value for one in objects], [len(at[0]) for at in places])
    return LabelWrite(plane, rows, columns, np.zeros_like(new), new)


def _known(found: _FoundAll) -> str:
    return f", beside {counted(found.known, 'object')} that you have" if found.known else ""
