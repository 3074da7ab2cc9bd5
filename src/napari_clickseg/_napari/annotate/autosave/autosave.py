"""What is made of images is kept as it is made, and offered again where it was lost."""

from __future__ import annotations

import datetime
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.annotate.autosave.recorder import Recorder
from napari_clickseg._napari.annotate.classes import classes_of
from napari_clickseg._napari.annotate.state import ClassSpec
from napari_clickseg._napari.annotate.timeline import Entry, undo_memory
from napari_clickseg._napari.viewer.layers import full_resolution, unwrapped
from napari_clickseg._napari.viewer.metadata import complete_planes, is_in_folder, mark_complete
from napari_clickseg._napari.viewer.writes import near_each_other, writes_of
from napari_clickseg.data.chunked.chunks import ChunkStore
from napari_clickseg.data.inspection.summary import number
from napari_clickseg.journal.events import Classed, Modelled, Viewing
from napari_clickseg.journal.relabelling import changed_between, joined
from napari_clickseg.journal.store import JournalStore
from napari_clickseg.journal.writing import JournalThread
from napari_clickseg.runs.home import default_home
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.viewer.writes import LabelWrite, Write
    from napari_clickseg.journal.events import JournalEvent
    from napari_clickseg.journal.recording import Recording, Step
    from napari_clickseg.journal.relabelling import Runs
    from napari_clickseg.journal.store import StoredJournal
    from napari_clickseg.util.background_spill import BackgroundSpill

_NO_ROOM = "Large labels and what can be undone find no room in"
_UNDOABLE = 1 << 26  # pixels of steps that can still be undone after they were taken up


@dataclass(frozen=True, eq=False, slots=True)
class _Offer:
    """What somebody left of an image, as it goes into the layers.

    Parameters
    ----------
    writes : tuple of LabelWrite
        What makes the labels that were there of those that are.
    others : bool
        Some of those are of no object that was accepted: painted, or there before.
    """

    journal: StoredJournal
    writes: tuple[LabelWrite, ...]
    others: bool
    past: tuple[Entry, ...]
    future: tuple[Entry, ...]


class Autosave:
    """Keeps journals of all images that are annotated, and offers those that were left.

    Parameters
    ----------
    home : Path, optional
        Where the program keeps what is the user's; without it nothing is kept.
    notify : callable
        Called on a thread when `deliver` is to be called on the main thread.
    """

    def __init__(
        self,
        context: Context,
        identity: Identity,
        answers: Answers,
        home: Path | None,
        notify: Callable[[], None],
    ) -> None:
        self._context, self._state = context, context.state
        self._identity, self._answers, self._notify = identity, answers, notify
        self._journals = JournalStore(home) if home is not None else None
        self.thread = JournalThread(self._not_written)
        self._recorders: dict[Pairing, Recorder] = {}
        self._offers: dict[Pairing, _Offer] = {}
        self._results: deque[Callable[[], object]] = deque()
        self._digests: dict[str, str] = {}  # of models, by name or path
        self._closed = self._said_no_room = False
        self._watch(undo_memory().room)
        if self._journals is not None:
            self._state.kept_in = str(self._journals.folder)

    # ---- on the main thread

    def follow(self, pairing: Pairing) -> None:
        """Note what is done on an image from now on, and look whether something was left of it."""
        labels = pairing.annotation
        store = getattr(full_resolution(labels), "store", None) if labels is not None else None
        if isinstance(store, ChunkStore):
            self._watch(store.room)
        if self._journals is None or pairing.annotation is None or pairing.under_review:
            return
        there = self._recorders.get(pairing)
        if there is not None and there.timeline is pairing.timeline:
            return
        if there is not None:
            there.leave()
            self.release(there)
        self._drop(pairing)
        recorder = Recorder(pairing, self.thread, self._journals, self._circumstances)
        self._recorders[pairing] = recorder
        self.thread.do(lambda: self._look(recorder))

    def leave(self, pairing: Pairing) -> None:
        """Note nothing any more on an image."""
        recorder = self.part(pairing)
        if recorder is not None:
            self.release(recorder)

    def part(self, pairing: Pairing) -> Recorder | None:
        """Note nothing any more on an image, and return who has noted it; `release` ends that."""
        recorder = self._recorders.pop(pairing, None)
        if recorder is not None:
            recorder.leave()
        self._drop(pairing)
        self.show()
        return recorder

    def release(self, recorder: Recorder, *, saved: bool = False) -> None:
        """Let others take a journal; `saved` says that all of it is saved elsewhere by now."""
        self.thread.do(lambda: recorder.release(saved=saved))

    def ahead(self, pairing: Pairing, write: Write) -> None:
        """Note what was written on an image before its step is complete."""
        if pairing in self._recorders:
            self._recorders[pairing].ahead(write)

    def complete_said(self, pairing: Pairing, index: tuple[int, ...], complete: bool) -> None:
        """Note whether all objects of a plane are labelled, as the user says."""
        if pairing in self._recorders:
            self._recorders[pairing].complete_said(index, complete)

    def relabelled(self, pairing: Pairing) -> None:
        """Note that an annotation layer got other data."""
        if pairing in self._recorders:
            self._recorders[pairing].relabelled()

    def saved(self, layer: Any, written: tuple[Write, ...]) -> None:
        """Note that a labels layer was saved in a project."""
        for pairing, recorder in self._recorders.items():
            if pairing.annotation is not None and unwrapped(pairing.annotation) is layer:
                recorder.saved(written)

    def model_changed(self) -> None:
        """Find out which file answers, for the journals."""
        model = self._state.model
        if self._journals is not None and self._state.model_status == "ready":
            self.thread.do(lambda: self._look_at_model(model))

    def show(self) -> None:
        """Have the state say what was left of the current image."""
        pairing = self._context.pairing
        offer = self._offers.get(pairing) if pairing is not None else None
        self._state.unsaved_work = _text(offer) if offer is not None else ""

    def take_up(self) -> None:
        """Go on with what was left of the current image."""
        pairing = self._context.pairing
        offer = self._offers.get(pairing) if pairing is not None else None
        if pairing is None or offer is None:
            return
        if not pairing.untouched:
            self._state.message = (
                "You have begun something else here: undo that first, or take up what was left "
                "when the image is opened again; it is kept."
            )
            return
        recording = offer.journal.recording
        try:
            self._go_on_from(pairing, offer)
        except ValueError as error:
            self._state.message = str(error)
            return
        del self._offers[pairing]
        self._restore_classes(recording)
        self._identity.save_with(pairing)
        self.show()
        self._state.message = f"Taken up: {_what(offer, saved=True)}. Undo goes back as before."
        self._answers.request()

    def _go_on_from(self, pairing: Pairing, offer: _Offer) -> None:
        recorder, recording = self._recorders[pairing], offer.journal.recording
        pairing.write_in_parts(*offer.writes)
        self.thread.do(lambda: recorder.go_on_with(offer.journal.place, recording))
        pairing.take_over(recording.scene, offer.past, offer.future)
        recorder.completeness_noted = bool(recording.complete)
        for index, complete in recording.unsaved_complete.items():
            if pairing.annotation is not None:
                mark_complete(pairing.annotation, [index], complete)
        self._identity.survey(pairing)

    def forget(self) -> None:
        """Never offer again what was left of the current image, and look for what was before."""
        pairing = self._context.pairing
        offer = self._offers.pop(pairing, None) if pairing is not None else None
        if pairing is None or offer is None:
            return
        recorder = self._recorders[pairing]
        self.thread.do(offer.journal.place.forget)
        self.thread.do(lambda: self._look(recorder))
        self.show()
        self._state.message = "Forgotten; for a month its file stays where unsaved work is kept."

    def deliver(self) -> None:
        """Take over what was found; to be called on the main thread."""
        while self._results:
            self._results.popleft()()

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until all that happened is on the disk; return whether it is."""
        return self.thread.flush(timeout)

    def close(self) -> None:
        """Write what is left, on the thread, and end."""
        self._closed = True
        self._results.clear()
        for pairing in [*self._recorders]:
            self.leave(pairing)
        self.thread.end()

    def _watch(self, room: BackgroundSpill) -> None:
        """Say it when the disk takes nothing of what does not fit into memory."""
        room.refused.connect(self._no_room, unique=True)
        room.taken.connect(self._room_again, unique=True)

    def _drop(self, pairing: Pairing) -> None:
        offer = self._offers.pop(pairing, None)
        if offer is not None:
            self.thread.do(offer.journal.place.release)

    def _circumstances(self) -> Sequence[JournalEvent]:
        state, segmenter, pairing = self._state, self._context.segmenter, self._context.pairing
        limits = pairing.image.contrast_limits if pairing is not None else (0, 1)
        view = Viewing(
            contrast=(float(limits[0]), float(limits[1])) if state.contrast_from_layer else None,
            threshold=state.threshold,
            smooth=state.smooth,
            fill_holes=state.fill_holes,
            keep_clicked=state.keep_clicked,
        )
        out: list[JournalEvent] = [Classed(classes=classes_of(state)), view]
        if segmenter is not None:
            digest = self._digests.get(state.model, "")
            out.append(Modelled(name=segmenter.card.name, sha256=digest))
        return out

    def _restore_classes(self, recording: Recording) -> None:
        classes, state = recording.classes, self._state
        if classes is None or not classes.classes:
            return
        specs = tuple(ClassSpec(one.id, one.name, one.colour) for one in classes.classes)
        if (specs, classes.scheme) != (state.classes, state.scheme):
            state.class_index = 0
            state.classes, state.scheme = specs, classes.scheme

    def _offered(self, recorder: Recorder, offer: _Offer) -> None:
        pairing = recorder.pairing
        if self._closed or self._recorders.get(pairing) is not recorder:
            self.thread.do(offer.journal.place.release)
            # They could not see what this one held; who has no digest yet may look before it is let
            # go.
            for other in self._recorders.values():
                same = other.digest in ("", recorder.digest)
                if same and not other.path and other.pairing.untouched:
                    self.thread.do(partial(self._look, other))
            return
        if not offer.writes and pairing.untouched and _returns(pairing):
            # The labels are as they were left: so are clicks and steps, without being asked for.
            self._go_on_from(pairing, offer)
            self._answers.request()
            return
        if not offer.writes and _shown(pairing, offer.journal.recording):
            # It was never lost: the layers have been open all the while.
            self.thread.do(lambda: self._go_on(recorder, offer))
            return
        if not offer.journal.recording.unsaved:
            self.thread.do(offer.journal.place.release)
            return
        there = self._offers.get(pairing)  # who has looked twice may have found two
        if there is not None and there.journal.changed > offer.journal.changed:
            self.thread.do(offer.journal.place.release)
            return
        self._drop(pairing)
        self._offers[pairing] = offer
        self.show()

    # ---- on the thread

    def _look(self, recorder: Recorder) -> None:
        assert self._journals is not None
        returns = _returns(recorder.pairing)

        def wanted(recording: Recording) -> bool:
            fits = recording.began.labels == recorder.shape
            return fits and (returns or not _came_to_nothing(recording, recorder))

        journal = self._journals.latest(recorder.look(), also_saved=returns, wanted=wanted)
        if journal is None:
            return
        offer = _prepared(journal, recorder)
        self._post(lambda: self._offered(recorder, offer))

    def _look_at_model(self, model: str) -> None:
        from napari_clickseg.models.checkpoint import sha256  # torch is there by now
        from napari_clickseg.models.registry import find_model

        with suppress(ValueError, OSError):
            self._digests[model] = sha256(find_model(model).path)

    def _go_on(self, recorder: Recorder, offer: _Offer) -> None:
        if recorder.path:  # it has begun one of its own already
            offer.journal.place.release()
        else:
            recorder.go_on_with(offer.journal.place, offer.journal.recording)

    def _not_written(self, error: Exception) -> None:
        self._post(lambda: self._tell(error))

    def _no_room(self, error: Exception) -> None:
        self._post(lambda: self._tell_no_room(error))

    def _room_again(self) -> None:
        self._post(self._tell_room_again)

    def _post(self, act: Callable[[], object]) -> None:
        if not self._closed:
            self._results.append(act)
            self._notify()

    def _tell(self, error: Exception) -> None:
        self._state.message = (
            f"What you make can't be kept in {self._state.kept_in}: {one_line(error)}. Make room "
            "there, or save to a project (Shift+S) often."
        )

    def _tell_no_room(self, error: Exception) -> None:
        if not self._said_no_room:
            self._said_no_room = True
            self._state.message = (
                f"{_NO_ROOM} {default_home() / 'scratch'}: {one_line(error)}. It stays in memory; "
                "make room there, it is tried again."
            )

    def _tell_room_again(self) -> None:
        self._said_no_room = False
        if self._state.message.startswith(_NO_ROOM):
            self._state.message = ""


def _prepared(journal: StoredJournal, recorder: Recorder) -> _Offer:
    """Work out what taking it up will do; on the thread."""
    recording, shape = journal.recording, recorder.shape
    axes = (len(shape) - 2, len(shape) - 1)
    changes = changed_between(recording.walk, lambda runs: _read(recorder.labels, runs, shape))
    writes = tuple(write for one in changes for write in writes_of(one, shape, axes))
    kept: list[Entry] = []
    pixels = 0
    for step in reversed(recording.past):
        pixels += sum(write.runs.size for write in step.writes)
        if pixels > _UNDOABLE:
            break
        kept.append(_entry(step, shape, axes))
    future = tuple(_entry(step, shape, axes) for step in recording.future)
    ids = {0, *(one.value for one in recording.scene.objects)}
    others = any(not ids.issuperset(write.after.tolist()) for write in writes)
    return _Offer(journal, writes, others, tuple(reversed(kept)), future)


def _came_to_nothing(recording: Recording, recorder: Recorder) -> bool:
    """Whether all that was made was deleted again, and labels that are there say the same."""
    if recording.scene.marks or recording.unsaved_complete:
        return False
    made = joined([one.runs for one in recording.walk])
    if any(_read(recorder.labels, part, recorder.shape).any() for part in made.parts()):
        return False
    changes = changed_between(recording.walk, lambda runs: np.zeros(runs.size, np.int64))
    return next(changes, None) is None


def _entry(step: Step, shape: tuple[int, ...], axes: tuple[int, int]) -> Entry:
    of = step.plane.axes if step.plane is not None else axes
    writes = tuple(write for one in step.writes for write in writes_of(one, shape, of))
    return Entry(step.before, step.after, step.plane, writes, step.end)


def _read(labels: Any, runs: Runs, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the ids at runs, of any array, by boxes around those that lie close together."""
    at = np.unravel_index(runs.positions(), shape)
    if isinstance(labels, np.ndarray):
        ids: npt.NDArray[Any] = labels[at]
        return ids
    out = np.zeros(runs.size, np.int64)
    planes = np.ravel_multi_index(at[:-2], shape[:-2]) if len(shape) > 2 else np.zeros(runs.size)
    for plane in np.unique(planes):
        here = np.flatnonzero(planes == plane)
        outer = tuple(int(axis[here[0]]) for axis in at[:-2])
        for part in near_each_other(at[-2][here], at[-1][here]):
            near = here[part]
            rows, columns = at[-2][near], at[-1][near]
            top, left = int(rows.min()), int(columns.min())
            box = (slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1))
            out[near] = np.asarray(labels[(*outer, *box)])[rows - top, columns - left]
    return out


def _returns(pairing: Pairing) -> bool:
    """Whether what was made of an image comes back unasked."""
    return pairing.annotation is not None and is_in_folder(pairing.annotation, begun=True)


def _shown(pairing: Pairing, recording: Recording) -> bool:
    """Whether the clicks of a recording are all there, and what it says of completeness."""
    said = complete_planes(pairing.annotation) if pairing.annotation is not None else {}
    if any(said.get(at) is not on for at, on in recording.unsaved_complete.items()):
        return False
    there = {(mark.position, mark.positive) for mark in pairing.scene.clicks}
    return all((mark.position, mark.positive) in there for mark in recording.scene.clicks)


def _what(offer: _Offer, *, saved: bool) -> str:
    """Say what there is in an offer; without `saved`, what of that is saved nowhere else."""
    recording = offer.journal.recording
    there = recording.saved[-1].after.objects if recording.saved and not saved else ()
    objects = sum(one not in there for one in recording.scene.objects)
    marks = len(recording.scene.marks)
    parts = [number(objects, "object")] if objects else []
    if marks:
        parts.append(f"{number(marks, 'click')} on the next{'' if parts else ' object'}")
    text = " and ".join(parts)
    if offer.others:
        text += ", and other labels" if text else "labels"
    if recording.unsaved_complete:
        text += f"{', and ' if text else ''}whether all objects are labelled"
    return text or "changes of saved objects"


def _text(offer: _Offer) -> str:
    when = datetime.datetime.fromtimestamp(offer.journal.changed).strftime("%Y-%m-%d %H:%M")
    what = _what(offer, saved=False)
    return f"Unsaved work on this image was left on {when}: {what}."
