"""Looking at the regions and clicks of a cross-fitting, and editing the clicks.

Everything here runs on the main thread and only decides; files are read and written by a worker.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_clickseg._napari.train.crossfit_jobs import ClickSaver, Seen, see
from napari_clickseg._napari.train.region_layers import RegionLayers
from napari_clickseg._napari.train.state import ShownRegions
from napari_clickseg._napari.viewer.connections import Connections
from napari_clickseg.crossfit.progress import parts_of
from napari_clickseg.util.history import History

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel

    from napari_clickseg._napari.train.state import TrainState
    from napari_clickseg._napari.viewer.runner import Runner
    from napari_clickseg.data.click_table import TableClick

Clicks = tuple["TableClick", ...]


class ClickEditor:
    """Shows one image of the cross-fitting at a time, and keeps what the user does to its clicks.

    Parameters
    ----------
    state : TrainState
        Its `looked` is written here.
    runner : Runner
        Reads and writes.
    """

    failed = Signal(object)  # the error

    def __init__(self, viewer: ViewerModel, state: TrainState, runner: Runner) -> None:
        self._state, self._runner = state, runner
        self.layers = RegionLayers(viewer)
        self.saver = ClickSaver()
        self._seen: Seen | None = None
        self._histories: dict[tuple[Path, str], History[Clicks]] = {}
        self._connections = Connections()
        self._connections.connect(self.layers.edited, self._edited)
        self._connections.connect(self.layers.removed, self._layer_removed)
        self._connections.connect(self.layers.walked, self.walk)
        self._connections.connect(state.events.run, self._run_changed)

    def open(self, index: int = 0) -> None:
        """Show an image of the cross-fitting that is shown, by its number."""
        path, before, saver = self._state.run.path, self._state.looked, self.saver
        if path is None:
            return
        if before is not None:
            self._state.looked = replace(before, loading=True)

        def work(_: object) -> Seen:
            saver.write()  # or what is read would be older than what is shown
            return see(path, index)

        self._runner.submit("sight", work, self._arrived, self._unread)

    def step(self, by: int) -> None:
        """Step `by` images forward, round the end."""
        if (looked := self._state.looked) is not None:
            self.open((looked.index + by) % len(looked.images))

    def close(self) -> None:
        """Hide the layers; edits are kept."""
        self._runner.cancel("sight")
        self._seen = None
        self.layers.hide()
        self._state.looked = None

    def walk(self, redo: bool) -> None:
        """Take the last edit of this image's clicks back, or do it again."""
        history, looked = self._history, self._state.looked
        if history is None or looked is None or not looked.editable:
            return
        walked = history.redo() if redo else history.undo()
        if walked is not history:
            self._keep(walked)
            self.layers.put(walked.present)

    def restore(self) -> None:
        """Go back to the clicks that were placed on this image; that can be taken back."""
        history, seen, looked = self._history, self._seen, self._state.looked
        if history is None or seen is None or looked is None or not looked.editable:
            return
        if history.present != seen.placed:
            self._keep(history.step(seen.placed))
            self.layers.put(seen.placed)

    def end(self) -> None:
        """Write what is not written yet, and let go; the layers stay."""
        self.layers.end()
        self._connections.close()
        try:
            self.saver.write()
        except (ValueError, OSError) as error:
            self.failed.emit(error)

    # ---- what comes of it

    @property
    def _editable(self) -> bool:
        run = self._state.run
        crossfit = parts_of(run)
        return crossfit is not None and crossfit.editable and not run.alive

    @property
    def _history(self) -> History[Clicks] | None:
        seen = self._seen
        return None if seen is None else self._histories.get((seen.path, seen.sight.image))

    def _arrived(self, seen: Seen) -> None:
        if seen.path != self._state.run.path:
            return
        key = seen.path, seen.sight.image
        known = self._histories.get(key)
        if known is None or known.present != seen.sight.clicks:  # edited elsewhere
            self._histories[key] = History(seen.sight.clicks)
        if not self.layers.show(seen.sight, editable=self._editable):
            self._runner.post(lambda: self._arrived(seen), "sight")
            return
        self._seen = seen  # not before: until now, what was edited was on the other image
        self._tell()

    def _unread(self, error: Exception) -> None:
        if (looked := self._state.looked) is not None:
            self._state.looked = replace(looked, loading=False)
        self.failed.emit(error)

    def _tell(self) -> None:
        """Bring the state into line with what is shown."""
        seen, history, editable = self._seen, self._history, self._editable
        if seen is None or history is None:
            return
        positive = sum(click.positive for click in history.present)
        self._state.looked = ShownRegions(
            seen.images,
            seen.index,
            positive,
            len(history.present) - positive,
            seen.shares,
            editable,
            editable and history.can_undo,
            editable and history.can_redo,
        )

    def _edited(self) -> None:
        """Take over what the user did with napari's tools."""
        seen, history = self._seen, self._history
        if seen is None or history is None:
            return
        shown = self.layers.clicks
        known = {(one.y, one.x, one.positive): one for one in history.present}
        same = [known.get((one.y, one.x, one.positive)) for one in shown]
        new = [one for one, before in zip(shown, same, strict=True) if before is None]
        clicks = (*filter(None, same), *seen.sight.named(new, seen.fold))
        if clicks != history.present:
            self._keep(history.step(clicks))
        if len(clicks) < len(shown):
            self._state.message = "A click has to lie on the image; the one beside it is removed."
            # Not while napari is still at it.
            self._runner.post(lambda: self.layers.put(clicks), "tidy")

    def _keep(self, history: History[Clicks]) -> None:
        seen, saver = self._seen, self.saver
        assert seen is not None
        self._histories[seen.path, seen.sight.image] = history
        saver.keep(seen.path, seen.sight.image, history.present)
        self._runner.submit("save", lambda _: saver.write(), lambda _: None, self.failed.emit)
        self._tell()

    def _layer_removed(self) -> None:
        self._seen = None  # at once: what napari does to a removed layer is no edit
        self._runner.post(self.close, "closing")

    def _run_changed(self) -> None:
        """Lock the clicks while something learns from them; leave another run's."""
        looked, run = self._state.looked, self._state.run
        if looked is None or self._seen is None:
            return
        if run.path != self._seen.path or parts_of(run) is None:
            self.close()
        elif self._editable != looked.editable:
            self.layers.set_editable(self._editable)
            self._tell()
