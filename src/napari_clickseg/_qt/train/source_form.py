"""What is learned from: open layers, a project folder or a CSV file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, LineEdit
from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_clickseg._napari.train.text import busy_text
from napari_clickseg._qt.parts import folders
from napari_clickseg._qt.parts.controls import breakable, button, choice, form, note, row, stack

if TYPE_CHECKING:
    from napari_clickseg._napari.train.state import Offer
    from napari_clickseg._qt.train.form_context import TrainFormContext

_ROWS = 5  # pairs that are seen at a time
_GROUP, _COMPLETE = 1, 2  # columns
_CHECK = Qt.ItemDataRole.CheckStateRole
_ROOM = 6  # pixels between two lines

_SOURCES = [("open layers", "layers"), ("folder or CSV", "project")]


class SourceForm(QWidget):
    """Chooses what is learned from and shows what was found there."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._context, self._state = context, context.state
        self.source = choice(
            "Learn from",
            "Open images with their labels, or a folder of images and masks (or a table of them) "
            "on disk.",
            _SOURCES,
        )
        self.pairs = self._make_list()
        self.nothing = note("Every image needs a labels layer of the same size.")
        self.nothing.value = (
            "No image with labels is open. Annotate some first, or choose a project on disk."
        )
        self.path = LineEdit(
            label="Project",
            tooltip="A project folder, a folder that holds the folders images and masks, or a CSV "
            "file with the columns image, mask, group.",
        )
        self.folder = button("Folder…", "Choose a project folder.", self._ask_folder)
        self.table = button("CSV…", "Choose a table of images and masks.", self._ask_table)
        self.name = LineEdit(
            label="Name",
            tooltip="What the model, and the project that is made of layers, will be called. "
            "Layers are added to a project that has this name already.",
        )
        self.together = choice(
            "Validate on",
            "What is kept for validation: whole images (all planes of a layer together), or single "
            "planes. Planes next to each other look alike, so validation on planes flatters.",
            [("whole images", "layer"), ("single planes", "image")],
        )
        self.empty = button(
            "Nothing on this plane",
            "Marks the displayed plane of the selected image as really empty, so that it is "
            "learned from as well. Other planes without labels are left out. Press again to take "
            "it back.",
            context.controller.toggle_empty,
        )
        self.rest = CheckBox(
            label="",
            text="Keep what has no labels",
            tooltip="Images and planes without labels come into the project as well. Nothing is "
            "learned from them, but Review can have them predicted by the model, to be corrected "
            "and accepted. They are copied: of a large stack this takes time and room on the disk.",
        )
        self.check = button(
            "Check",
            "Looks through images and labels and says what is there, what may be wrong, and what "
            "would be trained. Nothing is changed.",
            self._check,
        )
        self.samples = button(
            "Show samples",
            "Draws sixteen windows as they would be learned from: cut out, turned, stretched and "
            "shaded at random, with the labels over them.",
            context.controller.show_samples,
        )
        self.save = button(
            "Save to project…",
            "Saves masks, classes and clicks of the ticked images into the project that they were "
            "opened from. Of other images a project is made, or added to, in a folder that you "
            "name. Masks of images without labels stay as they are, but where you erased all "
            "objects of an image, its mask goes.",
            self._save,
        )
        self.report = note("What was found.")
        self._browse = row(self.folder, self.table)
        self._lay_out()
        self._connect()

    def _make_list(self) -> QTreeWidget:
        made = QTreeWidget()
        made.setHeaderLabels(["Image · labels", "Group", "Complete"])
        made.setRootIsDecorated(False)
        made.setUniformRowHeights(True)
        made.setToolTip(
            "Images with the labels that go with them. What is ticked is learned from; planes "
            "without any label are left out. Where a question mark stands it is not clear whose "
            "labels they are: tick the pair that is right.\n"
            "Images of one specimen, patient or field of view should not be both learned from and "
            "validated on: double-click under Group to give them the same name.\n"
            "Complete: every object of the image (of a stack: of each plane that has labels) is "
            "labelled, so the rest is background to a model that tells objects apart. Where you "
            "don't say it, labels that came without clicks count as complete, others don't."
        )
        made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        made.setEditTriggers(QTreeWidget.EditTrigger.NoEditTriggers)
        head = made.header()
        assert head is not None
        head.setStretchLastSection(False)
        head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        head.setSectionResizeMode(1, QHeaderView.ResizeMode.Interactive)
        head.resizeSection(_GROUP, 60)
        head.setSectionResizeMode(_COMPLETE, QHeaderView.ResizeMode.ResizeToContents)
        made.itemChanged.connect(self._changed)
        made.itemDoubleClicked.connect(self._edit)
        return made

    def _lay_out(self) -> None:
        self._stacks = form(form(self.together), self.empty, labels=False)
        self._where = form(self.path)
        stack(
            *(
                self,
                form(self.source),
                self.pairs,
                self.nothing,
                self._stacks,
                self.rest,
                self.save,
            ),
            *(self._where, self._browse, form(self.name), row(self.check, self.samples)),
        )

    def _connect(self) -> None:
        context, controller = self._context, self._context.controller
        self.source.changed.connect(controller.choose_source)
        self.path.native.editingFinished.connect(self._typed)
        self.name.native.setPlaceholderText("automatic")
        context.ties.tie(self.name, "name")
        self.together.changed.connect(controller.keep_together)
        self.rest.changed.connect(controller.keep_rest)
        context.ties.show(self._show_source, "source")
        context.ties.show(self._show_together, "together")
        context.ties.show(self._show_rest, "rest")
        context.ties.show(self._show_path, "project")
        context.ties.show(self._show_pairs, "offers")
        context.ties.show(self._show_report, "check", "busy", "steps")
        context.ties.show(self._show_check, "busy", "run")

    def _show_source(self) -> None:
        source = self._state.source
        with self.source.changed.blocked():
            self.source.value = source
        self._show_list()
        self._where.visible = self._browse.visible = source == "project"

    def fit(self) -> None:
        """Make the list as high as what is in it, up to a point; needs the theme's font."""
        count, head = self.pairs.topLevelItemCount(), self.pairs.header()
        high = self.pairs.fontMetrics().lineSpacing() + _ROOM
        with QSignalBlocker(self.pairs):
            for index in range(count):
                item = self.pairs.topLevelItem(index)
                if item is not None:
                    item.setSizeHint(0, QSize(0, high))  # not that of an editor that is open
        if head is not None:
            rows = min(count, _ROWS) * high
            frame = 2 * self.pairs.frameWidth() + 2
            self.pairs.setFixedHeight(rows + head.sizeHint().height() + frame)

    def _show_list(self) -> None:
        layers, some = self._state.source == "layers", bool(self._state.offers)
        self.pairs.setVisible(layers and some)
        self.nothing.visible = layers and not some
        stacks = any(offer.pair.labels.ndim > 2 for offer in self._state.offers)
        self._stacks.visible = layers and stacks
        self.rest.visible = self.save.visible = layers and some

    def _show_together(self) -> None:
        with self.together.changed.blocked():
            self.together.value = self._state.together

    def _show_rest(self) -> None:
        with self.rest.changed.blocked():
            self.rest.value = self._state.rest

    def _show_path(self) -> None:
        if self.path.value != self._state.project:
            with self.path.changed.blocked():
                self.path.value = self._state.project

    def _show_pairs(self) -> None:
        offers = self._state.offers
        with QSignalBlocker(self.pairs):
            while self.pairs.topLevelItemCount() > len(offers):
                self.pairs.takeTopLevelItem(self.pairs.topLevelItemCount() - 1)
            while self.pairs.topLevelItemCount() < len(offers):
                self.pairs.addTopLevelItem(_row())
            for index, offer in enumerate(offers):
                item = self.pairs.topLevelItem(index)
                assert item is not None
                _show(item, offer)
        self.fit()
        self._show_list()

    def _show_report(self) -> None:
        state = self._state
        if state.busy:
            text = busy_text(state)
        elif state.check is None:
            text = ""
        else:
            check = state.check
            errors = [f"✗ {error}" for error in check.errors]
            warnings = [f"! {warning}" for warning in check.warnings]
            said = "\n".join([*errors, *check.lines, *warnings])
            text = f"{said}\n\n{check.plan}".strip()
        self.report.value = breakable(text)
        self.report.visible = bool(text)

    def _show_check(self) -> None:
        state = self._state
        self.check.text = "Cancel" if state.busy and not state.run.alive else "Check"
        self.check.enabled = not state.run.alive
        self.samples.enabled = not state.run.alive and not state.busy
        self.save.enabled = not state.busy

    def _check(self) -> None:
        if self._state.busy:
            self._context.controller.cancel()
        else:
            self._context.controller.check()

    def _save(self) -> None:
        controller, folder = self._context.controller, ""
        if controller.homeless():
            folder = folders.choose_or_make_folder(self, "Save in which project's folder?")
            if not folder:
                return
        controller.save(folder)

    def _changed(self, item: QTreeWidgetItem, column: int) -> None:
        index = self.pairs.indexOfTopLevelItem(item)
        if column == _GROUP:
            self._context.controller.set_group(index, item.text(_GROUP))
        elif column == _COMPLETE:
            complete = item.checkState(_COMPLETE) == Qt.CheckState.Checked
            self._context.controller.set_complete(index, complete)
        else:
            on = item.checkState(0) == Qt.CheckState.Checked
            self._context.controller.choose_pair(index, on)

    def _edit(self, item: QTreeWidgetItem, column: int) -> None:
        if column == _GROUP:
            self.pairs.editItem(item, column)

    def _typed(self) -> None:
        if self.path.value != self._state.project:
            self._context.controller.choose_project(self.path.value)

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a project", self._state.project)
        if path:
            self._context.controller.choose_project(path)

    def _ask_table(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a table", self._state.project, "Tables (*.csv *.tsv);;All files (*)"
        )
        if path:
            self._context.controller.choose_project(path)


def _row() -> QTreeWidgetItem:
    item = QTreeWidgetItem()
    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsUserCheckable)
    return item


def _show(item: QTreeWidgetItem, offer: Offer) -> None:
    """Show an offer; only what differs is touched, as an editor may be open."""
    state = Qt.CheckState.Checked if offer.chosen else Qt.CheckState.Unchecked
    if item.checkState(0) != state or not item.text(0):
        item.setCheckState(0, state)
    if item.text(0) != offer.text:
        item.setText(0, offer.text)
        item.setToolTip(0, offer.text)
    complete = _checked(offer.complete)
    if item.checkState(_COMPLETE) != complete or item.data(_COMPLETE, _CHECK) is None:
        item.setCheckState(_COMPLETE, complete)
    if item.text(_GROUP) != offer.group:
        item.setText(_GROUP, offer.group)


def _checked(said: bool | None) -> Qt.CheckState:
    if said is None:
        return Qt.CheckState.PartiallyChecked
    return Qt.CheckState.Checked if said else Qt.CheckState.Unchecked
