"""Going through a folder: the image that is open, the next one read ahead, and what is saved.

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

from napari.utils.notifications import show_error

from napari_clickseg._napari.annotate.classes import classes_of
from napari_clickseg._napari.folder.folder_layers import FolderLayers
from napari_clickseg._napari.folder.jobs import FolderOrder, FolderReader, save
from napari_clickseg._napari.folder.listing import look_at, placed
from napari_clickseg._napari.folder.state import DONE, UNREADABLE, FolderState
from napari_clickseg._napari.project.image_layers import LayersError, LayersWatch
from napari_clickseg._napari.project.image_rows import matching_rows, neighbour
from napari_clickseg._napari.viewer import changes
from napari_clickseg._napari.viewer.actions import Action, bindings
from napari_clickseg._napari.viewer.keys import Keys
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.data.errors import AnnotatedError
from napari_clickseg.runs.conduct import Stopped
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import Choice
    from napari_clickseg._napari.folder.folder_layers import FolderImage
    from napari_clickseg._napari.folder.jobs import FolderSaved
    from napari_clickseg._napari.folder.listing import FolderListing
    from napari_clickseg._napari.project.image_rows import ImageRow
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane

    Ask = Callable[[Path, Callable[[str], None]], None]

_log = logging.getLogger(__name__)


class FolderController:
    """Ties a viewer, what has clicks answered, and the images of a folder together.

    Parameters
    ----------
    annotate : AnnotateController
        Of the same viewer.
    home : Path
        Where it is remembered in which projects folders are saved.
    ask : callable
        ``ask(folder, then)`` has the user say where the masks of a folder go, and calls ``then``
        with that place later; with "" where the user gives up.
    notify : callable, optional
        Called on a worker thread when results wait; it must have `deliver` called on the main
        thread.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        annotate: AnnotateController,
        home: Path,
        ask: Ask,
        *,
        notify: Callable[[], None] | None = None,
    ) -> None:
        self.state = FolderState()
        self.runner = Runner(notify or (lambda: None), Stopped)
        self.image_layers: FolderLayers | None = None
        self._viewer, self._annotate, self._home, self._ask = viewer, annotate, home, ask
        self._reader = FolderReader()
        self._held: dict[tuple[Path, str], FolderOrder] = {}  # what could not be saved
        self._wanted = ""  # the image that was asked for last
        self._step = 1  # which way the user goes
        self._keys: Keys | None = None
        self._closed = False
        self._watch = LayersWatch(viewer, self.runner, lambda: self.image_layers, self.leave)

    # ---- public: what views and keys call

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self.runner.deliver()

    def do(self, action: Action) -> None:
        """Do what a key or button stands for."""
        {
            Action.NEXT_IMAGE: lambda: self._go(1),
            Action.PREVIOUS_IMAGE: lambda: self._go(-1),
            Action.ACCEPT_IMAGE: self.done,
            Action.TAKE_BACK: self.not_done,
        }[action]()

    def open_folder(self, path: str) -> None:
        """Go through another folder: of images, or of a project."""
        home, folder, state = self._home, Path(path), self.state
        state.busy, state.message = f"Looking through {folder.name} …", ""
        self.runner.submit(
            "list", lambda _: look_at(home, folder), self._show_listing, self._failed
        )

    def open(self, image: str) -> None:
        """Open an image of the list; what was made of another one is saved."""
        self._step = 1
        self._open(image, passing=False)

    def done(self) -> None:
        """Say that all objects of the image are labelled, and open the next one."""
        annotate, image_layers = self._annotate, self._ready()
        if image_layers is None:
            return
        pairing = image_layers.activate()
        _, plane = annotate.context.resolve()
        if pairing is None or plane is None:
            self.state.message = "Show the image in 2D first, with all its layers."
            return
        then = partial(self._done, image_layers, pairing)
        annotate.answers.when_answered(pairing, plane, then)

    def not_done(self) -> None:
        """Say that not all objects of the image are labelled."""
        image_layers = self._ready()
        if image_layers is not None:
            image_layers.activate()
            self._annotate.mark_complete(False)
            self.save(done=False)

    def save(self, done: bool | None = None) -> None:
        """Save the image that is open, and go on with it."""
        image_layers = self.image_layers
        order = self._order(image_layers, done) if image_layers is not None else None
        if image_layers is None or order is None:
            return
        pairing = image_layers.pairing
        written = pairing.timeline.writes if pairing is not None else ()

        def saved(result: FolderSaved) -> None:
            self._note(result)
            if image_layers is self.image_layers and image_layers.image == result.row.image:
                image_layers.base, image_layers.there, image_layers.digest = (
                    result.base,
                    result.there,
                    result.digest,
                )
                image_layers.state = result.row.state
                image_layers.note_accepted(result.complete)
                unsaved = changes.since_saved(image_layers.labels, written)
                changes.note_saved(image_layers.labels, unsaved, written)
                self._annotate.state.message = f"Saved in {self.state.project}."

        self._submit(order, saved, self._not_saved(order))

    @property
    def shows(self) -> bool:
        """Whether the image that clicks go to is one of the folder."""
        return (
            self.image_layers is not None
            and self._annotate.pairing is self.image_layers.pairing is not None
        )

    def leave(self) -> None:
        """Save the image that is open, and take its layers away."""
        image_layers = self.image_layers
        if image_layers is not None:
            hand_over = self._part(image_layers)
            self._take_away(image_layers)
            hand_over()
        self.state.current = self._wanted = ""

    def close(self) -> None:
        """Let go of everything; what is not saved yet is by a thread of its own."""
        if self._closed:
            return
        self._closed = True
        self._watch.end()
        if self._keys is not None:
            self._keys.give_back()
        image_layers, self.image_layers = self.image_layers, None
        order = self._order(image_layers) if image_layers is not None else None
        left = [*self._held.values(), *([order] if order is not None else [])]
        # Not a daemon: the program must not end before it has.
        self.runner.close()
        if left:
            name, given = "napari-clickseg-last", (self.runner, left)
            threading.Thread(target=_save_all, args=given, name=name).start()

    # ---- the folder

    def _show_listing(self, listing: FolderListing) -> None:
        state = self.state
        state.busy = ""
        if listing.project is None:
            self._ask(listing.folder, lambda where: self._place(listing, where))
            return
        self.leave()
        state.folder, state.project = str(listing.folder), str(listing.project)
        state.listed, state.search, state.rows = "all", "", listing.rows
        self._step = 1
        first = next((row for row in listing.rows if row.state != DONE), None)
        if listing.rows:
            self._open((first or listing.rows[0]).image, passing=True)

    def _place(self, listing: FolderListing, where: str) -> None:
        state, home = self.state, self._home
        if not where:
            state.message = "Nothing is opened: it is not said yet where the masks go."
            return
        state.busy = f"Making a project in {where} …"
        work = lambda _: placed(home, listing.folder, listing.images, Path(where))  # noqa: E731
        self.runner.submit("list", work, self._show_listing, self._failed)

    def _failed(self, error: Exception) -> None:
        self.state.busy = ""
        self._tell(one_line(error))

    def _tell(self, text: str) -> None:
        self.state.message = text
        show_error(text)

    # ---- going on

    def _listed(self) -> tuple[ImageRow, ...]:
        state = self.state
        rows = state.rows
        if state.listed != "all":
            rows = tuple(row for row in rows if row.state == state.listed)
        return matching_rows(rows, state.search)

    def _go(self, step: int) -> None:
        state, self._step = self.state, step
        if not state.folder:
            state.message = "Open a folder first."
            return
        row = neighbour(state.rows, self._listed(), self._wanted, step)
        if row is None:
            what = "" if state.listed == "all" and not state.search else " that is listed"
            where = "after" if step > 0 else "before"
            state.message = f"There is no image {where} this one{what}."
            return
        self._open(row.image, passing=True)

    def _open(self, image: str, *, passing: bool) -> None:
        """Open an image; with `passing`, one that can't be read is passed over."""
        state = self.state
        if (
            self.image_layers is not None
            and self.image_layers.image == image
            and self.image_layers.show()
        ):
            self.runner.cancel("open")
            self._wanted, state.busy = image, ""
            return
        project, held = Path(state.project), self._held.get((Path(state.project), image))
        self._wanted = image
        state.busy, state.message = f"Opening {_name(image)} …", ""

        def read(_: Stop) -> tuple[FolderImage, tuple[ImageRow, ...]]:
            return self._reader.open(project, image, held)

        def opened(result: tuple[FolderImage, tuple[ImageRow, ...]]) -> None:
            state.busy = ""
            self._set_rows(result[1], image)
            self._show(result[0])
            self._read_ahead()

        def failed(error: Exception) -> None:
            state.busy = ""
            self._unreadable(image, one_line(error), passing=passing)

        self.runner.submit("open", read, opened, failed)

    def _unreadable(self, image: str, why: str, *, passing: bool) -> None:
        state = self.state
        row = state.row(image)
        if row is not None:
            self._exchange(replace(row, state=UNREADABLE))
        if passing:
            self._go(self._step)  # which begins with where this one lies
        else:
            self._wanted = state.current
        self._tell(
            f"{_name(image)} is passed over: {_without_path(why, image)}" if passing else why
        )

    def _read_ahead(self) -> None:
        row = neighbour(self.state.rows, self._listed(), self._wanted, self._step)
        if row is not None and row.state != UNREADABLE:
            project, image = Path(self.state.project), row.image
            work = lambda _: self._reader.ahead(project, image)  # noqa: E731
            self.runner.submit("ahead", work, lambda _: None, self._failed, gives_way=True)

    def _show(self, opened: FolderImage) -> None:
        state, there, annotate = self.state, self.image_layers, self._annotate
        hand_over: Callable[[], None] | None = None
        if self._keys is None:
            self._keys = Keys(self._viewer, bindings(self.do, "images"))
        self._keys.take()
        if there is not None:
            # Classes that were made since this image was read are gone on with.
            shown = replace(opened.shown, classes=classes_of(annotate.state))
            opened = replace(opened, shown=shown)
            hand_over = self._part(there)
            if not there.turn(opened):
                self._take_away(there)
        if self.image_layers is None:
            image_layers = FolderLayers(self._viewer, annotate, opened)
            try:
                image_layers.open(opened.shown)
                self.image_layers = image_layers
            except LayersError as error:
                self._tell(str(error))
        state.current = opened.image if self.image_layers is not None else ""
        if hand_over is not None:
            hand_over()

    # ---- saving

    def _ready(self) -> FolderLayers | None:
        if self.image_layers is None:
            self.state.message = "Open a folder first, and an image of it."
        return self.image_layers

    def _done(
        self, image_layers: FolderLayers, pairing: Pairing, plane: Plane, choice: Choice
    ) -> None:
        """Accept the object that was being made, and go on."""
        annotate = self._annotate
        if image_layers is not self.image_layers or image_layers.pairing is not pairing:
            return
        if pairing.scene.prompt(plane):
            if not pairing.scene.on(plane):
                annotate.objects.skip(pairing, plane)  # it was only looked at
            elif not annotate.objects.accept(pairing, plane, choice):
                self.state.message = annotate.state.message
                return
        annotate.mark_complete(True)
        self.save(done=True)
        self._go(1)

    def _order(self, image_layers: FolderLayers, done: bool | None = None) -> FolderOrder | None:
        capture = image_layers.capture()
        if capture is None:
            self._tell("The labels have another shape than the image, so they are not saved.")
            return None
        project = Path(self.state.project)
        return FolderOrder(
            project,
            image_layers.image,
            image_layers.base,
            capture,
            image_layers.there,
            image_layers.digest,
            done,
        )

    def _part(self, image_layers: FolderLayers) -> Callable[[], None]:
        """Note what was made of an image that is left, and return what has it saved."""
        order, pairing = self._order(image_layers), image_layers.pairing
        autosave = self._annotate.autosave
        recorder = autosave.part(pairing) if pairing is not None else None

        def release(*, saved: bool) -> None:
            if recorder is not None:
                autosave.release(recorder, saved=saved)

        def hand_over() -> None:
            if order is None:
                release(saved=False)
                return

            def saved(result: FolderSaved) -> None:
                release(saved=True)
                self._note(result)

            def failed(error: Exception) -> None:
                release(saved=False)
                self._not_saved(order)(error)

            self._submit(order, saved, failed)

        return hand_over

    def _submit(
        self,
        order: FolderOrder,
        saved: Callable[[FolderSaved], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Have something saved, and hold it until it is: then at the end at the latest."""
        key = order.project, order.image
        self._held[key] = order

        def work(_: Stop) -> FolderSaved:
            result = save(order)
            if self._held.get(key) is order:
                del self._held[key]
            return result

        self.runner.submit(None, work, saved, failed)

    def _not_saved(self, order: FolderOrder) -> Callable[[Exception], None]:
        name, key = _name(order.image), (order.project, order.image)

        def failed(error: Exception) -> None:
            if isinstance(error, AnnotatedError):
                self._held.pop(key, None)
                self._tell(
                    f"{name} got another mask meanwhile, as from another window; it is kept. What "
                    "you made is offered when the image is opened again."
                )
            else:
                self._tell(
                    f"{name} can't be saved ({one_line(error)}); what you made is kept and comes "
                    "back when the image is opened again."
                )

        return failed

    def _note(self, saved: FolderSaved) -> None:
        row = self.state.row(saved.row.image)
        if row is not None and row != saved.row:
            self._exchange(saved.row)

    def _exchange(self, new: ImageRow) -> None:
        rows = self.state.rows
        self.state.rows = tuple(new if row.image == new.image else row for row in rows)

    def _set_rows(self, rows: tuple[ImageRow, ...], readable: str) -> None:
        """Bring the rows into line with what the project says by now."""
        now = {row.image: row for row in rows}
        self.state.rows = tuple(
            now.get(row.image, row) if row.state != UNREADABLE or row.image == readable else row
            for row in self.state.rows
        )

    # ---- layers

    def _take_away(self, image_layers: FolderLayers) -> None:
        self.image_layers = None  # so it is not taken for the user's doing
        image_layers.take_away()


def _save_all(runner: Runner, left: list[FolderOrder]) -> None:
    runner.join(60)  # it may be saving one of them
    for order in left:
        try:
            save(order)
        except (OSError, ValueError) as error:
            _log.error("%s could not be saved: %s", order.image, error)


def _name(image: str) -> str:
    return Path(image).name


def _without_path(why: str, image: str) -> str:
    """Leave out where an image lies: that is known, and there is room for three lines."""
    folder, name, rest = why.partition(Path(image).name)
    return f"it{rest}" if name and Path(folder).is_absolute() else why
