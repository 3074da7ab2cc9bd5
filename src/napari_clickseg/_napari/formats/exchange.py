"""What the Files widget does: annotated layers and projects go out, files of others come in.

All of this belongs on the main thread; reading and writing are done on a thread of its own.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_clickseg._napari.formats.annotated_layers import described
from napari_clickseg._napari.formats.control_names import in_window
from napari_clickseg._napari.formats.scans import channel_names, scan_layers
from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import pairs_of, snapshot
from napari_clickseg._napari.viewer.features import OWN
from napari_clickseg._napari.viewer.layers import CompanionError, unwrapped
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.data.images import read_header
from napari_clickseg.data.masks import check_free
from napari_clickseg.formats.exporting import FORMATS, export, sources_of
from napari_clickseg.formats.importing import ImportChoice, import_into
from napari_clickseg.formats.mask_files import MaskChoice
from napari_clickseg.formats.measuring import (
    check_table_path,
    measured,
    pixels_of,
    write_table,
)
from napari_clickseg.runs.conduct import Stopped
from napari_clickseg.util.files import write_whole
from napari_clickseg.util.text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Labels
    from napari.types import LayerDataTuple

    from napari_clickseg._napari.formats.exchange_state import ExchangeState
    from napari_clickseg._napari.project.pairs import PairData
    from napari_clickseg.data.reading.header import Header
    from napari_clickseg.formats.measuring import Measured

_SHOWN = 3
_FEATURES = ("image", "group", "plane", "id", *OWN)  # of a row, what the table has already


class _Cancelled(Exception):
    """The user wants no more of it."""


class ExchangeController:
    """Exports, measures and imports for a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    notify : callable
        Called on a worker thread when results wait; it must have `deliver` called on the main
        thread.
    """

    def __init__(self, viewer: Any, state: ExchangeState, notify: Callable[[], None]) -> None:
        self._viewer = weakref.ref(unwrapped(viewer))
        self.state = state
        self._notify = notify
        self._runner = Runner(notify, Stopped)
        self._cancelled = threading.Event()
        self._progress = (0, 0)  # written by the worker, shown by `deliver`

    def deliver(self) -> None:
        """Take the worker's results over."""
        if self.state.busy:
            self.state.progress = self._progress
        self._runner.deliver()

    def cancel(self) -> None:
        """Stop what goes on, between two images."""
        if self.state.busy:
            self._cancelled.set()
            self.state.stopping = True
            self.state.message = "Stopping …"

    def close(self) -> None:
        """End; what is being written is written all the same."""
        self._runner.close()

    def export(self) -> None:
        """Write the project, or what is annotated in the layers, in the chosen format."""
        state = self.state
        if not state.out:
            state.message = "Choose where it goes first."
            return
        form, out, overwrite = state.form, Path(state.out), state.overwrite
        project = state.project
        pairs = self._pairs()
        if pairs is None:
            return

        def work(folder: Path, notes: list[str]) -> str:
            sources = sources_of([folder], note=notes.append)
            count = export(
                sources, form, out, overwrite=overwrite, note=notes.append, progress=self.report
            )
            return f"{counted(count, 'image')} written as {FORMATS[form].title}: {out}"

        self.do("Exporting …", lambda notes: self._on_project(project, pairs, notes, work))

    def measure(self) -> None:
        """Write a table of the objects in the project, or in the layers."""
        state = self.state
        if not state.out:
            state.message = "Choose where the table goes first, a .csv or .parquet file."
            return
        out, overwrite, project = Path(state.out), state.overwrite, state.project
        pairs = self._pairs()
        if pairs is None:
            return

        def work(folder: Path, notes: list[str]) -> str:
            check_table_path(out)
            check_free(out, overwrite=overwrite)
            rows: list[Measured] = []
            sources = sources_of([folder], note=notes.append)
            for at, source in enumerate(sources):
                self.report(at, len(sources))
                image = source.read()
                pixels = None if image.image is None else pixels_of(image.image)
                rows += measured(image, pixels)
            write_whole(out, lambda path: write_table(rows, path))
            return f"{counted(len(rows), 'object')} measured: {out}"

        self.do("Measuring …", lambda notes: self._on_project(project, pairs, notes, work))

    def measure_layer(self, layer: Labels) -> None:
        """Measure the objects of a labels layer into its table, `Labels.features`.

        In a stack of planes each object is measured as a whole.
        """
        layer = unwrapped(layer)
        data, meta, _ = layer.as_layer_data_tuple()
        image = described(data, meta)
        if len(image.labels.shape) > 3:
            self.state.message = f"'{layer.name}' has more than three axes; measure it by planes."
            return

        def done(rows: list[Measured]) -> None:
            viewer = self._viewer()
            if viewer is not None and layer in viewer.layers:
                layer.features = _with_measures(layer, rows)
            self.state.message = f"{counted(len(rows), 'object')} of '{layer.name}' measured."

        def work(_stop: Any) -> list[Measured]:
            read = replace(image, labels=np.asarray(image.labels))  # which may be lazy
            return list(measured(read, whole=True))

        self._submit("Measuring …", work, done)

    def bring_in(self) -> None:
        """Make a project of what another program wrote, or add to one, and open it."""
        state = self.state
        if not (state.source and state.into):
            state.message = "Choose what comes in, and the folder of the project, first."
            return
        source, into = Path(state.source), Path(state.into)
        choice = ImportChoice(
            state.import_form,
            Path(state.images) if state.images else None,
            MaskChoice(state.suffix, state.palette or None),
            by_folder=state.by_folder,
            skip=state.skip,
            empty=state.really_empty,
            overwrite=state.replace,
        )

        def work(notes: list[str]) -> str:
            came = import_into(source, into, choice, note=notes.append, progress=self.report)
            objects = counted(came.objects, "object")
            return f"{counted(came.images, 'image')} with {objects} came in."

        self.do(
            "Bringing in …",
            work,
            lambda: self.open(into),
            stopped="Stopped; what had come in before stays in the project.",
        )

    def look_into_scan(self) -> None:
        """List the images in a file of a microscope, or of another program."""
        state = self.state
        path = Path(state.scan)
        state.scenes, state.scan_channels, state.chosen_scenes = (), (), ()
        if not state.scan:
            return

        def done(header: Header) -> None:
            if state.scan != str(path):
                return
            state.scenes = header.scenes or (path.name,)
            state.scan_channels = channel_names(header)
            state.chosen_scenes = (header.scene,)

        def failed(error: Exception) -> None:
            state.message = one_line(error)

        self._runner.submit("scan", lambda _stop: read_header(path), done, failed)

    def open_scenes(self) -> None:
        """Open the chosen images of a file as layers."""
        state = self.state
        path, several = Path(state.scan), len(state.scenes) > 1
        wanted = state.chosen_scenes
        if not state.scan or not wanted:
            state.message = "Choose a file, and images in it, first."
            return
        channels = int(state.channels) if state.channels.isdecimal() else state.channels

        def work(_stop: Any) -> list[LayerDataTuple]:
            layers = []
            for done, scene in enumerate(wanted):
                self.report(done, len(wanted))
                layers += scan_layers(path, scene if several else None, channels)
            return layers

        def done(layers: list[LayerDataTuple]) -> None:
            if (viewer := self._viewer()) is None:
                return
            for one in layers:
                viewer.add_layer(Layer.create(*one))
            state.message = f"{counted(len(wanted), 'image')} opened from {path.name}."

        self._submit("Opening …", work, done, "Stopped; nothing was opened.")

    def gather_into(self, folder: Path) -> None:
        """Put what is annotated in the layers into a project, which is made or added to."""
        pairs = self._pairs(layers=True)
        if pairs is None:
            return

        def work(_notes: list[str]) -> str:
            gathered = gather(pairs, folder, progress=self.report)
            return f"{counted(len(gathered.annotated), 'image')} gathered: {folder}"

        self.do(
            "Gathering …", work, stopped="Stopped; what was gathered before stays in the project."
        )

    def open(self, folder: Path) -> None:
        """Open a project's folder as layers."""
        viewer = self._viewer()
        if viewer is not None:
            viewer.open(str(folder), plugin="napari-clickseg")

    def _pairs(self, *, layers: bool = False) -> Sequence[PairData] | None:
        """Note what is annotated in the layers; None, and a message, where nothing can go out."""
        viewer = self._viewer()
        if viewer is None or (self.state.project and not layers):
            return ()
        try:
            pairs = snapshot(pairs_of(viewer), viewer.dims)
        except CompanionError as error:
            self.state.message = one_line(error)
            return None
        if not pairs:
            self.state.message = "No image with labels is open; open some, or choose a project."
            return None
        return pairs

    def do(
        self,
        begins: str,
        work: Callable[[list[str]], str],
        then: Callable[[], object] = lambda: None,
        *,
        stopped: str = "Stopped; nothing was written.",
    ) -> None:
        """Have something done on the worker, unless it is busy; one thing at a time.

        Parameters
        ----------
        begins : str
            The message meanwhile.
        work : callable
            Runs on the worker thread, calls `report` now and then, and returns the message
            afterwards; what else it has to say it adds to the list that it is given.
        then : callable
            Called afterwards, on the main thread.
        stopped : str
            The message where the user cancelled.
        """
        notes: list[str] = []

        def done(text: str) -> None:
            self.state.message = in_window(" ".join([text, *_few(notes)]))
            then()

        self._submit(begins, lambda _stop: work(notes), done, stopped)

    def _submit(
        self,
        begins: str,
        work: Callable[[Any], Any],
        done: Callable[[Any], None],
        stopped: str = "Stopped; nothing was written.",
    ) -> None:
        if self.state.busy:
            return
        self._cancelled.clear()
        self._progress = self.state.progress = (0, 0)
        self.state.busy, self.state.message = True, begins

        def ended(value: Any) -> None:
            self.state.busy = self.state.stopping = False
            done(value)

        def failed(error: Exception) -> None:
            self.state.busy = self.state.stopping = False
            cancelled = isinstance(error, _Cancelled)
            self.state.message = stopped if cancelled else in_window(one_line(error))

        self._runner.submit("exchange", work, ended, failed)

    def report(self, done: int, total: int) -> None:
        """Note how far it is; ends the work if the user wants no more of it.

        Runs on the worker thread.
        """
        if self._cancelled.is_set() and done < total:
            raise _Cancelled
        self._progress = done, total
        self._notify()

    def _on_project(
        self,
        project: str,
        pairs: Sequence[PairData],
        notes: list[str],
        work: Callable[[Path, list[str]], str],
    ) -> str:
        """Work on a project: the one that is chosen, or one made of layers, which goes afterwards.

        Runs on the worker thread.
        """
        if project:
            return work(Path(project), notes)
        with tempfile.TemporaryDirectory(prefix="napari-clickseg-") as folder:
            gather(pairs, Path(folder) / "project", progress=self.report)
            return work(Path(folder) / "project", notes)


def _few(notes: Sequence[str]) -> list[str]:
    """Return the first notes, and how many more there are."""
    more = len(notes) - _SHOWN
    return [*notes[:_SHOWN], *([f"And {more:,} more notes."] if more > 0 else [])]


def _with_measures(layer: Labels, rows: Sequence[Measured]) -> Any:
    """Return the table of a layer with what was measured."""
    import pandas as pd

    names = [
        name for name in dict.fromkeys(n for row in rows for n in row) if name not in _FEATURES
    ]
    new = pd.DataFrame([{name: row.get(name) for name in names} for row in rows], columns=names)
    new.index = pd.Index([row["id"] for row in rows], dtype="int64", name="index")
    before = layer.features
    if "index" not in before.columns:
        return new.reset_index()
    kept = before.set_index("index").drop(columns=names, errors="ignore")
    return kept.join(new, how="outer").reset_index()
