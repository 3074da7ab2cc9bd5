"""Going through the images of a queue: opening, accepting, rejecting, and losing nothing.

Everything here runs on the main thread and only decides. One worker reads and writes, in the
order in which that was asked for.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_clickseg._napari.project.image_layers import LayersError, LayersWatch
from napari_clickseg._napari.review import jobs
from napari_clickseg._napari.review.cleaning_up import CleaningUp
from napari_clickseg._napari.review.reading import Reader
from napari_clickseg._napari.review.review_layers import ReviewLayers
from napari_clickseg._napari.review.text import opened_text
from napari_clickseg.data.errors import AnnotatedError
from napari_clickseg.data.review import ACCEPTED, REJECTED, TO_REVIEW
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import Choice
    from napari_clickseg._napari.project.image_layers import Capture
    from napari_clickseg._napari.review.drafts import DraftFile
    from napari_clickseg._napari.review.reading import Opened
    from napari_clickseg._napari.review.state import QueueRow, ReviewState
    from napari_clickseg._napari.viewer.runner import Runner, Stop
    from napari_clickseg.core.plane import Plane

_KEEPING = "keeping"

_log = logging.getLogger(__name__)

NOT_YET = "Nothing is to be reviewed yet; images are being predicted."


class Navigator:
    """The image that is open, those before it, and what is not on disk yet.

    Parameters
    ----------
    runner : Runner
        Its worker reads and writes images.
    cleaner : Runner
        Its worker cleans up what is shown.
    annotate : callable
        Returns the controller that has clicks answered; called when the first image is opened.
    home : Path
        Where drafts are kept.
    """

    failed = Signal(str)  # what went wrong, in a line
    changed = Signal()  # what is on disk is no longer what the queue says
    shown = Signal()  # another image is

    def __init__(
        self,
        viewer: ViewerModel,
        state: ReviewState,
        runner: Runner,
        cleaner: Runner,
        annotate: Callable[[], AnnotateController],
        home: Path,
    ) -> None:
        self.image_layers: ReviewLayers | None = None
        self._viewer, self._state, self._runner = viewer, state, runner
        self._annotate, self._home = annotate, home
        self._reader = Reader(home)
        self._cleaning = CleaningUp(state, cleaner, runner, self.failed.emit)
        self._held: dict[tuple[str, str], tuple[Capture, DraftFile]] = {}
        self._opened: list[str] = []  # images in the order in which they were opened
        self._reviewed_last: list[str] = []  # in this order
        self._at = -1
        self._writing = False
        self._watch = LayersWatch(viewer, runner, lambda: self.image_layers, self.put_away)

    # ---- what keys and buttons do

    def open(self, image: str) -> None:
        """Open an image; what was begun on another one is kept. What is open stays as it is."""
        if not self._writing and not self._stays(image):
            self._open(image, None)

    def next(self) -> None:
        """Open the most uncertain image that was not opened yet."""
        row = self._following()
        if row is not None:
            self.open(row.image)
        else:
            self._state.message = self._nothing_left()

    def back(self) -> None:
        """Open the image that was open before this one."""
        at = self._at - bool(self._state.current)
        if self._writing:
            return
        if not 0 <= at < len(self._opened):
            self._state.message = "There is no image before this one."
            return
        if not self._stays(self._opened[at]):
            self._open(self._opened[at], at)

    def _stays(self, image: str) -> bool:
        """Go on with the image that is open, if it is this one and as it was opened."""
        image_layers, state = self.image_layers, self._state
        if image_layers is None or image_layers.image != image:
            return False
        row = state.row(image)
        changed = image_layers.outdated or (row is not None and row.state != image_layers.state)
        if changed or not image_layers.show():
            self.put_away()  # so that what was begun is on disk before it is read
            return False
        self._runner.cancel("open")
        state.busy = ""
        return True

    def accept(self) -> None:
        """Make what is shown the image's mask, and open the next one."""
        image_layers = self._ready()
        if image_layers is None:
            return
        if self._cleaning.busy:  # what is accepted is what was chosen
            self._cleaning.when_shown(self.accept)
            return
        pairing, annotate = image_layers.activate(), self._annotate()
        _, plane = annotate.context.resolve()
        if pairing is None or plane is None:
            self._state.message = (
                "Show the image in 2D first, with all its layers; opening it again brings them "
                "back."
            )
            return
        accept = partial(self._accept, image_layers, pairing)
        annotate.answers.when_answered(pairing, plane, accept)

    def reject(self) -> None:
        """Leave the image to be annotated by hand, and open the next one."""
        image_layers, state = self._ready(), self._state
        if image_layers is None:
            return
        row, image, folder = state.row(image_layers.image), image_layers.image, Path(state.project)
        if row is None or row.state != TO_REVIEW:
            state.message = f"{image} has no prediction that could be rejected."
            return
        self._write(f"Rejecting {image} …", lambda _: jobs.reject(folder, image))

    def take_back(self) -> None:
        """Have the last image that was accepted or rejected reviewed again, and open it."""
        state, image_layers = self._state, self.image_layers
        image = self._last_reviewed()
        if self._writing:
            return
        if image is None:
            state.message = "Nothing was accepted or rejected yet."
            return
        self._cleaning.end()
        shown = image_layers if image_layers is not None and image_layers.image == image else None
        capture = shown.capture() if shown is not None else None
        home, folder = self._home, Path(state.project)
        self._runner.cancel("open")

        def done(saved: jobs.Saved) -> None:
            self._note(saved)
            self._reviewed_last = [each for each in self._reviewed_last if each != image]
            if shown is not None and shown is self.image_layers:
                self._take_away(shown)  # what was made of it is in the draft
            self.changed.emit()
            self._writing = False
            self._open(image, None)

        def failed(error: Exception) -> None:
            state.busy, self._writing = "", False
            self.failed.emit(one_line(error))
            self.changed.emit()

        state.busy, state.message, self._writing = f"Taking {image} back …", "", True
        job = lambda _: jobs.take_back(home, folder, image, capture)  # noqa: E731
        self._runner.submit(None, job, done, failed)

    def _last_reviewed(self) -> str | None:
        """Return the image that is open, if it was reviewed; else the one reviewed last."""
        state = self._state
        reviewed = [row.image for row in state.queue if row.state in (ACCEPTED, REJECTED)]
        last = [state.current, *reversed(self._reviewed_last), *reviewed]
        return next((image for image in last if image in reviewed), None)

    def keep(self) -> None:
        """Write corrections to disk, so that they outlive whatever happens."""
        if self.image_layers is None or self._writing or self._cleaning.unkept:
            return  # what is cleaned up is no correction
        if self._runner.active(_KEEPING):  # of a slide it takes longer than until the next time
            return
        capture = self.image_layers.capture()
        if capture is not None:
            self._keep(self.image_layers, capture, self._note, key=_KEEPING)

    def leave(self, then: Callable[[], object]) -> None:
        """Close the image; its layers stay where what was begun can't be kept otherwise.

        Parameters
        ----------
        then : callable
            Called when that is done.
        """
        image_layers = self.image_layers
        self._cleaning.end()
        capture = image_layers.capture() if image_layers is not None else None
        if image_layers is None or capture is None:
            then()
            return

        def kept(_: jobs.Saved) -> None:
            self._take_away(image_layers)
            then()

        # Let go of also where it fails: the layers are the user's then.
        def failed(error: Exception) -> None:
            self.failed.emit(f"{one_line(error)} What you corrected stays in the layers.")
            self.image_layers = None
            then()

        self._keep(image_layers, capture, kept, failed, last=True)

    def put_away(self) -> None:
        """Close the image that is open; what was begun is kept."""
        image_layers = self.image_layers
        if image_layers is not None:
            self._hand_in(image_layers)
            self._take_away(image_layers)

    def _hand_in(self, image_layers: ReviewLayers) -> None:
        """Keep what was begun; what can't be written is held for as long as napari runs."""
        self._cleaning.end()
        capture = image_layers.capture()
        if capture is None:
            image_layers.file.release()
            return
        key = self._state.project, image_layers.image
        self._held[key] = capture, image_layers.file

        def kept(saved: jobs.Saved) -> None:
            if key in self._held and self._held[key][0] is capture:
                del self._held[key]
            self._note(saved)

        self._keep(image_layers, capture, kept, last=True)

    def forget(self) -> None:
        """Begin anew, with another project."""
        self._opened, self._reviewed_last, self._at = [], [], -1

    def close(self) -> None:
        """Let go of everything; what is not on disk yet is written by a thread of its own."""
        self._watch.end()
        self._cleaning.close()
        image_layers, self.image_layers = self.image_layers, None
        capture = image_layers.capture() if image_layers is not None else None
        if image_layers is not None and capture is not None:
            self._held[self._state.project, image_layers.image] = capture, image_layers.file
        elif image_layers is not None:
            image_layers.file.release()
        left = list(self._held.values())
        if left:
            # Not a daemon: the program must not end before it has.
            threading.Thread(target=_write_all, args=(left,), name="napari-clickseg-last").start()

    # ---- opening

    def _open(self, image: str, at: int | None) -> None:
        state = self._state
        project = state.project
        held = self._held.get((project, image))
        state.busy, state.message = f"Opening {image} …", ""

        def read(_: Stop) -> Opened:
            if held is None:
                return self._reader.open(Path(project), image)
            capture, file = held
            return self._reader.open(Path(project), image, capture.correction(), file.base)

        def opened(ready: Opened) -> None:
            self._reader.taken(ready)
            if project == state.project:
                self._show(ready, at)
            else:
                ready.file.release()

        def failed(error: Exception) -> None:
            state.busy = ""
            self.failed.emit(one_line(error))
            self.changed.emit()

        self._runner.submit("open", read, opened, failed)

    def _show(self, opened: Opened, at: int | None) -> None:
        state = self._state
        state.busy = ""
        if at is None:
            if self._opened[-1:] != [opened.image]:
                self._opened = [*self._opened, opened.image]
            at = len(self._opened) - 1
        self._at = at
        self.shown.emit()
        there = self.image_layers
        if there is not None:
            self._hand_in(there)
            if there.turn(opened):
                self._cleaning.begin(there, opened.prediction)
                state.current, state.message = opened.image, _message(opened)
                return
            self._take_away(there)
        image_layers = ReviewLayers(self._viewer, self._annotate(), opened)
        try:
            image_layers.open(opened.shown)
        except LayersError as error:
            opened.file.release()
            self.failed.emit(str(error))
            return
        self.image_layers = image_layers
        self._cleaning.begin(image_layers, opened.prediction)
        state.current, state.message = opened.image, _message(opened)

    def _following(self) -> QueueRow | None:
        """Return the row that comes next: the first that was not opened yet, else the first."""
        state = self._state
        rows = [r for r in state.queue if r.state == TO_REVIEW and r.image != state.current]
        fresh = (row for row in rows if row.image not in self._opened)
        return next(fresh, rows[0] if rows else None)

    def _nothing_left(self) -> str:
        state = self._state
        if not state.project:
            return "Choose a project first."
        row = state.row(state.current)
        if row is not None and row.state == TO_REVIEW:
            return "This is the only image that is to be reviewed."
        if state.predicting.alive:
            return NOT_YET
        if state.counts.left:
            return "Nothing is to be reviewed. Press “Predict the rest” first."
        return "All is reviewed." if state.queue else "This project has no image to be predicted."

    # ---- accepting

    def _ready(self) -> ReviewLayers | None:
        if self._writing:
            return None
        if self.image_layers is None:
            self._state.message = "Open an image first, with “Next” or in the list."
        return self.image_layers

    def _accept(
        self, image_layers: ReviewLayers, pairing: Pairing, plane: Plane, choice: Choice
    ) -> None:
        """Accept the object that was being made, and then the image."""
        annotate, state = self._annotate(), self._state
        if (
            image_layers is not self.image_layers
            or self._writing
            or image_layers.pairing is not pairing
        ):
            return
        if pairing.scene.prompt(plane):
            if not pairing.scene.on(plane):
                annotate.objects.skip(pairing, plane)  # it was only looked at
            elif not annotate.objects.accept(pairing, plane, choice):
                state.message = annotate.state.message
                return
        capture = image_layers.capture()
        if capture is None:
            state.message = "The labels have another shape than the image; open it again."
            return
        order = jobs.Accepting(
            self._home,
            Path(state.project),
            image_layers.image,
            image_layers.base,
            capture,
            image_layers.file,
        )
        self._write(f"Accepting {image_layers.image} …", lambda _: jobs.accept(order))

    def _write(self, text: str, job: Callable[[Stop], jobs.Saved]) -> None:
        image_layers, state = self.image_layers, self._state
        assert image_layers is not None
        # An image that is still being read would come into the image_layers of this one.
        self._runner.cancel("open")
        state.busy, state.message, self._writing = text, "", True

        def ended() -> None:
            state.busy, self._writing = "", False

        def done(saved: jobs.Saved) -> None:
            ended()
            self._reviewed(image_layers, saved)

        def failed(error: Exception) -> None:
            ended()
            self._not_reviewed(image_layers, error)

        self._runner.submit(None, job, done, failed)

    def _reviewed(self, image_layers: ReviewLayers, saved: jobs.Saved) -> None:
        state = self._state
        self._cleaning.end()
        if saved.file is not None and image_layers.image == saved.image:
            image_layers.base, image_layers.file = saved.base, saved.file
            image_layers.note_accepted(saved.complete)
        image_layers.state = saved.state
        self._held.pop((state.project, saved.image), None)
        self._reviewed_last.append(saved.image)
        self._note(saved)
        self.changed.emit()
        row = self._following()
        if row is not None:
            self.open(row.image)
        else:
            state.message = f"{saved.image} is {saved.state}. {self._nothing_left()}"

    def _not_reviewed(self, image_layers: ReviewLayers, error: Exception) -> None:
        """Say why; what was corrected is still there."""
        if isinstance(error, AnnotatedError):
            image_layers.outdated = True
            text = (
                f"{image_layers.image} was annotated meanwhile, and that mask is kept. What you "
                "made is kept beside it: open the image again to compare."
            )
        else:
            text = f"{one_line(error)} What you corrected is kept."
        self.failed.emit(text)
        self.keep()
        self.changed.emit()

    # ---- keeping

    def _keep(
        self,
        image_layers: ReviewLayers,
        capture: Capture,
        done: Callable[[jobs.Saved], None],
        failed: Callable[[Exception], None] | None = None,
        *,
        last: bool = False,
        key: str | None = None,
    ) -> None:
        image, file, edits = image_layers.image, image_layers.file, image_layers.edits
        job = lambda _: jobs.keep(image, capture, file, edits, last=last)  # noqa: E731
        self._runner.submit(key, job, done, failed or self._not_kept)

    def _not_kept(self, error: Exception) -> None:
        self.failed.emit(
            f"What you corrected can't be kept on disk ({one_line(error)}); accept it before you "
            "close napari."
        )

    def _note(self, saved: jobs.Saved) -> None:
        """Bring the row of an image into line with what became of it."""
        state = self._state
        row = state.row(saved.image)
        if row is None:
            return
        new = replace(row, state=saved.state or row.state, begun=saved.begun)
        if new != row:
            state.queue = tuple(new if each is row else each for each in state.queue)

    def _take_away(self, image_layers: ReviewLayers) -> None:
        self._cleaning.end()
        self.image_layers = None  # so it is not taken for the user's doing
        image_layers.take_away()
        self._state.current = ""


def _write_all(left: list[tuple[Capture, DraftFile]]) -> None:
    for capture, file in left:
        try:
            file.keep(capture.correction())
        except OSError as error:
            _log.error("Corrections could not be kept: %s", error)
        finally:
            file.release()


def _message(opened: Opened) -> str:
    return opened.notice or opened_text(opened.state, opened.other is not None) or ReviewLayers.hint
