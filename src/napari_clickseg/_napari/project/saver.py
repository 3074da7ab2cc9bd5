"""Saving what is annotated in a viewer at one key, in the background.

All of this belongs on the main thread; the writing alone is done on a thread of its own.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info

from napari_clickseg._napari.project.saving import (
    homeless,
    note_saved,
    prepare_saving,
    to_save,
    unsaved_by_layer,
    write_saving,
)
from napari_clickseg._napari.viewer.layers import CompanionError, unwrapped
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.runs.conduct import Stopped
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.project.saving import Saving


class Saver:
    """Saves what was annotated in a viewer into projects.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    ask : callable
        Returns the folder in which a project is made of images that are in none; empty if the
        user gives up. Called once at the most: later images go to the same place.
    notify : callable
        Called on a worker thread when results wait; it must have `deliver` called on the main
        thread.
    """

    def __init__(
        self, viewer: Any, ask: Callable[[], str], notify: Callable[[], None] = lambda: None
    ) -> None:
        self._viewer = weakref.ref(unwrapped(viewer))
        self._ask, self._notify = ask, notify
        self._folder = ""
        self._runner: Runner | None = None
        self._tenth = 0  # of a large mask that are written
        self._then: Callable[[], object] | None = None
        self.say: Callable[[str], object] = show_info

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return self._runner is not None

    @property
    def unsaved(self) -> dict[str, int]:
        """How much was done in each labels layer that is not saved."""
        viewer = self._viewer()
        return unsaved_by_layer(viewer) if viewer is not None else {}

    def save(self, then: Callable[[], object] | None = None) -> None:
        """Save; `then` is called once all is written, but not where that fails or is given up."""
        viewer = self._viewer()
        if viewer is None:
            return
        if self.busy:
            self._then = then or self._then
            return
        pairs = to_save(viewer)
        if homeless(pairs) and not self._folder:
            self._folder = self._ask()
            if not self._folder:
                self.say("Nothing is saved: no folder was chosen for the project.")
                return
        try:
            saving = prepare_saving(viewer, pairs, Path(self._folder) if self._folder else None)
        except CompanionError as error:
            self._fail(error)
            return
        left = set(self.unsaved) - {labels.name for labels, *_ in saving.changes}
        if not saving.parts:
            self.say(_left_over(left) or "There is nothing to save yet; accept an object first.")
        else:
            self._then = then  # not before: it holds the window
            self._write(saving, _left_over(left))

    def deliver(self) -> None:
        """Take the worker's result over."""
        if self._runner is None:
            return
        if self._tenth and self.say is not show_info:  # which would pop up each time
            self.say(f"Saving … {10 * self._tenth} %")
        self._runner.deliver()

    def _write(self, saving: Saving, left: str) -> None:
        def done(said: tuple[str, ...]) -> None:
            self._end()
            note_saved(saving)
            self.say(" ".join((*said, left)).strip())
            then, self._then = self._then, None
            if then is not None and not left:
                then()

        self.say("Saving …")
        self._tenth = 0
        self._runner = Runner(self._notify, Stopped)
        self._runner.submit("save", lambda _: write_saving(saving, self._tick), done, self._failed)

    def _tick(self, part: int, of: int) -> None:
        """Have it said how far a large mask is. Runs on a worker thread."""
        tenth = 10 * part // of
        if of > 1 and tenth != self._tenth:
            self._tenth = tenth
            self._notify()

    def _failed(self, error: Exception) -> None:
        self._end()
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._then = None
        self._folder = ""  # perhaps another one will do
        self.say(one_line(error))
        show_error(f"Nothing is lost, but it could not be saved: {one_line(error)}")

    def _end(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()


def _left_over(names: set[str]) -> str:
    """Say which layers can't be saved, if there are any."""
    if not names:
        return ""
    listed = ", ".join(f"'{name}'" for name in sorted(names))
    return (
        f"It is not clear which open image {listed} {'goes' if len(names) == 1 else 'go'} with; "
        "open it and press “Annotate this image”, or save the layer with File ▸ Save."
    )
