"""The Files widget: annotated images go out to other programs, and theirs come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, LineEdit
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_clickseg._napari.formats import control_names as names
from napari_clickseg._napari.formats.exchange import ExchangeController
from napari_clickseg._napari.formats.exchange_state import ExchangeState
from napari_clickseg._napari.formats.sharing import Sharing
from napari_clickseg._qt.formats.scenes_form import ScenesForm
from napari_clickseg._qt.formats.share_form import ShareForm
from napari_clickseg._qt.parts import folders
from napari_clickseg._qt.parts.binding import Ties
from napari_clickseg._qt.parts.controls import (
    breakable,
    button,
    choice,
    form,
    keep_place,
    note,
    row,
)
from napari_clickseg._qt.parts.dock import Dock
from napari_clickseg._qt.parts.folds import Fold
from napari_clickseg._qt.parts.wakeup import Wakeup
from napari_clickseg.formats.exporting import FORMATS
from napari_clickseg.formats.importing import IMPORTS

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer

_FINEST = 1_000_000  # steps of the bar


class FilesWidget(Dock):
    """Exports, measures and imports."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._viewer = napari_viewer
        self.state = ExchangeState()
        wakeup = Wakeup(self._deliver)
        self.controller = ExchangeController(napari_viewer, self.state, wakeup.ring)
        self._ties = Ties(self.state)
        self._make_export()
        self._make_import()
        self.scenes = ScenesForm(self.state, self.controller, self._ties)
        self.sharing = Sharing(self.controller, self.controller.open)
        self.share = ShareForm(self, napari_viewer, self.sharing, self.state)
        self.message = note("What was done, or what went wrong.", lines=3)
        self._make_foot()
        going_out = Fold(
            "Export and measure", self._export_form.native, "To files of other programs."
        )
        coming_in = Fold("Import", self._import_form.native, "What other programs annotated.")
        in_file = Fold(
            "Images in a file", self.scenes, "Scenes, series, positions; and their channels."
        )
        handing_on = Fold(
            "Share", self.share.widget.native, "Pictures, projects in one file, models."
        )
        self.folds = {
            "Export": going_out,
            "Import": coming_in,
            "Images in a file": in_file,
            "Share": handing_on,
        }
        going_out.expand(animate=False)
        self.fill(*self.folds.values(), foot=self._foot)
        self._ties.show(self._show, "busy", "message", "stopping")
        self._ties.show(self._show_progress, "progress", "busy")
        self.at_end(self._ties.cut, wakeup.silence, self.controller.close)

    def turn_to(self, part: str, project: str | None = None) -> None:
        """Unfold a part, and fill in what goes out.

        Parameters
        ----------
        part : str
            A key of `folds`.
        project : str, optional
            As `ExchangeState.project`; None leaves it.
        """
        if not self.folds[part].isExpanded():
            self.folds[part].expand(animate=False)
        if project is not None:
            self.state.project = project

    def _make_foot(self) -> None:
        self.bar = QProgressBar()
        self.bar.setToolTip("How much is done.")
        self.cancel = button("Cancel", "Stop as soon as can be.", self.controller.cancel)
        self._progress = QWidget()
        beside = QHBoxLayout(self._progress)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.bar, 1)
        beside.addWidget(self.cancel.native)
        keep_place(self._progress)
        self._foot = QWidget()
        below = QVBoxLayout(self._foot)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.message.native)
        below.addWidget(self._progress)

    def _deliver(self) -> None:
        self.controller.deliver()

    def _make_export(self) -> None:
        self.project = self._line(
            "project", "Project", "The folder of a project; empty: what is annotated in the layers."
        )
        self.form = choice(
            names.FORMAT,
            "What the other program reads; docs/formats.md says what each keeps.",
            [(each.title, name) for name, each in FORMATS.items()],
        )
        self._ties.tie(self.form, "form")
        self.out = self._line("out", "To", "The file or folder to write; a .csv for a table.")
        self.overwrite = self._tick("overwrite", names.REPLACE_FILES)
        self.export = button("Export", "Write it in that format.", self.controller.export)
        self.measure = button(
            "Measure",
            "Write a table, .csv or .parquet, with a row for each object.",
            self.controller.measure,
        )
        self.measure_layer = button(
            "Measure into the layer",
            "The selected labels layer gets the measurements into its table of features.",
            self._measure_layer,
        )
        self._export_form = form(
            self.project,
            self._folder_button(self.project, "The folder of a project"),
            self.form,
            self.out,
            row(
                button("File…", "Choose a file to write.", self._ask_out),
                button("Folder…", "Choose a folder to write into.", self._ask_out_folder),
            ),
            self.overwrite,
            row(self.export, self.measure),
            self.measure_layer,
        )

    def _make_import(self) -> None:
        self.source = self._line("source", "From", "What the other program wrote: file or folder.")
        self.import_form = choice(
            names.FORMAT,
            "Of what comes in; it is found out where that is clear.",
            [("Find out", ""), *((_title(name), name) for name in IMPORTS)],
        )
        self._ties.tie(self.import_form, "import_form")
        self.images = self._line("images", names.IMAGES, "Their folder; empty: beside the file.")
        self.into = self._line("into", "Project", "Its folder; it is made, or added to.")
        self.suffix = self._line("suffix", names.MASKS_END, "How names of masks end: _mask.")
        self.colours = self._line(
            "palette",
            names.COLOURS,
            "#000000=background,#ff0000=nucleus, where colours are classes.",
        )
        self.skip = self._tick("skip", names.SKIP)
        self.really_empty = self._tick("really_empty", names.REALLY_EMPTY)
        self.by_folder = self._tick("by_folder", names.BY_FOLDER)
        self.replace = self._tick("replace", names.REPLACE_MASKS)
        self.bring_in = button("Import", "Make the project and open it.", self.controller.bring_in)
        self._import_form = form(
            self.source,
            row(
                button("File…", "Choose a file.", self._ask_source),
                self._folder_button(self.source, "What the other program wrote"),
            ),
            self.import_form,
            self.images,
            self._folder_button(self.images, "The folder of the images"),
            self.into,
            button("Folder…", "Choose or make the project's folder.", self._ask_into),
            self.suffix,
            self.colours,
            self.skip,
            self.really_empty,
            self.by_folder,
            self.replace,
            self.bring_in,
        )

    def _line(self, name: str, label: str, tip: str) -> LineEdit:
        made = LineEdit(label=label, tooltip=tip)
        self._ties.tie(made, name)
        return made

    def _tick(self, name: str, text: str) -> CheckBox:
        made = CheckBox(label="", text=text)
        self._ties.tie(made, name)
        return made

    def _folder_button(self, line: LineEdit, title: str) -> Any:
        return button("Folder…", "Choose a folder.", self._asking_folder(line, title))

    def _asking_folder(self, line: LineEdit, title: str) -> Callable[[], None]:
        def ask() -> None:
            chosen = QFileDialog.getExistingDirectory(self, title)
            line.value = chosen or line.value

        return ask

    def _ask_out(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Where it goes")
        self.out.value = chosen or self.out.value

    def _ask_out_folder(self) -> None:
        chosen = folders.choose_or_make_folder(self, "The folder to write into")
        self.out.value = chosen or self.out.value

    def _ask_source(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "What the other program wrote")
        self.source.value = chosen or self.source.value

    def _ask_into(self) -> None:
        chosen = folders.choose_or_make_folder(self, "The folder of the project")
        self.into.value = chosen or self.into.value

    def _measure_layer(self) -> None:
        chosen = self._viewer.layers.selection.active
        if isinstance(chosen, Labels):
            self.controller.measure_layer(chosen)
        else:
            self.state.message = "Select the labels layer first."

    def _show(self) -> None:
        own = (self.export, self.measure, self.measure_layer, self.bring_in, self.scenes.open)
        for made in (*own, *self.share.buttons):
            made.enabled = not self.state.busy
        self.cancel.enabled = self.state.busy and not self.state.stopping
        self.message.value = breakable(self.state.message)

    def _show_progress(self) -> None:
        self._progress.setVisible(self.state.busy)
        done, total = self.state.progress
        part = 1 + total // _FINEST  # bytes may be more than the bar can count
        self.bar.setRange(0, total // part if total > 1 else 0)  # of a single one it is not known
        self.bar.setValue(done // part)


def _title(form: str) -> str:
    return FORMATS[form].title if form in FORMATS else "Masks"
