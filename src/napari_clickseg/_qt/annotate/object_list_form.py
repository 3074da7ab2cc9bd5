"""The objects of the displayed plane as a list: gone through, sorted, changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_clickseg._napari.annotate.object_table import COLUMNS, ObjectTable
from napari_clickseg._qt.annotate.class_list import class_choices
from napari_clickseg._qt.parts.controls import button, choice, form, note, row, stack
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QShowEvent

    from napari_clickseg._napari.annotate.state import ClassSpec
    from napari_clickseg._qt.annotate.form_context import FormContext

_HEADS = ("Id", "Class", "Area", "Score", "Clicks")
_TIPS = (
    "The object's number in the annotation layer. A click on the row goes to the object.",
    "Its class; “-” where none was said.",
    "Pixels of the displayed plane.",
    "What the model that made it says of it, 0 to 1: look at the lowest first. “-” where no model "
    "made it.",
    "How many clicks it took; “-” where that is not known.",
)
_WIDEST = ("00", "", "000", "0.00", "00")  # at the least; a class takes what is left
_RISING, _FALLING = "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"  # Qt's own arrows need more room
_NOTHING = "-"
_ROWS = 8  # that are seen
_ROOM = 4  # pixels between two lines
_SWATCH = 10  # pixels
_MOST_RANGES = 300  # of chosen rows that are found again after sorting: Qt takes long for more
_Role = Qt.ItemDataRole


class ObjectTableModel(QAbstractTableModel):
    """A table of objects in the order of a column."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.table = ObjectTable()
        self.column, self.falling = 0, False
        self.order: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._names: dict[int, str] = {}
        self._swatches: dict[int, QPixmap] = {}

    def show_table(self, table: ObjectTable) -> None:
        """List other objects, or the same ones of which other things are known."""
        order = table.order(COLUMNS[self.column], falling=self.falling)
        same = len(table) == len(self.table) and np.array_equal(
            table.regions.keys[order], self.keys()
        )
        if not same:
            self.beginResetModel()
        self.table, self.order = table, order
        if not same:
            self.endResetModel()
        elif len(table):
            self.dataChanged.emit(self.index(0, 0), self.index(len(table) - 1, len(_HEADS) - 1))

    def show_classes(self, classes: Sequence[ClassSpec]) -> None:
        """Name classes otherwise."""
        self._names = {one.identifier: one.name for one in classes}
        self._swatches = {one.identifier: _swatch(one.colour) for one in classes}
        if len(self.table):
            self.dataChanged.emit(self.index(0, 1), self.index(len(self.table) - 1, 1))

    def longest(self) -> tuple[str, ...]:
        """Return the longest text of each column of figures."""
        table = self.table
        known = table.clicks[~np.isnan(table.clicks)]
        area, clicks = table.regions.areas.max(initial=0), known.max(initial=0)
        return (
            str(int(table.regions.ids.max(initial=0))),
            "",
            f"{int(area):,}",
            "0.00",
            f"{clicks:.0f}",
        )

    def keys(self) -> npt.NDArray[np.int64]:
        """Return the keys of all objects in the order in which they are listed."""
        return self.table.regions.keys[self.order]

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """List the objects in the order of a column."""
        falling = order == Qt.SortOrder.DescendingOrder
        if not 0 <= column < len(COLUMNS) or (column, falling) == (self.column, self.falling):
            return
        self.beginResetModel()
        self.column, self.falling = column, falling
        self.order = self.table.order(COLUMNS[column], falling=falling)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(_HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == _Role.DisplayRole:
                arrow = _FALLING if self.falling else _RISING
                return _HEADS[section] + (arrow if section == self.column else "")
            if role == _Role.ToolTipRole:
                return f"{_TIPS[section]} A click on the title sorts by it."
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        at, column = int(self.order[index.row()]), index.column()
        if role == _Role.DisplayRole:
            return self._text(at, column)
        if role == _Role.ToolTipRole:
            return _TIPS[column]
        if role == _Role.DecorationRole and column == 1:
            return self._swatches.get(int(self.table.classes[at]))
        if role == _Role.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if column == 1 else Qt.AlignmentFlag.AlignRight
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def _text(self, at: int, column: int) -> str:
        table = self.table
        if column == 0:
            return str(int(table.regions.ids[at]))
        if column == 1:
            known = int(table.classes[at])
            return self._names.get(known, str(known)) if known else _NOTHING
        if column == 2:
            return f"{int(table.regions.areas[at]):,}"
        value = float((table.scores, table.clicks)[column - 3][at])
        return _NOTHING if np.isnan(value) else f"{value:.2f}" if column == 3 else f"{value:.0f}"


def _swatch(colour: str) -> QPixmap:
    made = QPixmap(_SWATCH, _SWATCH)
    made.fill(QColor(colour))
    return made


class _Table(QTableView):
    """A view whose columns fit the theme's font, and what was listed so far."""

    def __init__(self) -> None:
        super().__init__()
        self._widest = list(_WIDEST)

    def widen(self, *texts: str) -> None:
        """Leave room for texts, one for each column; none gets narrower: titles stay in place."""
        wider = [max(pair, key=len) for pair in zip(self._widest, texts, strict=True)]
        if wider != self._widest:
            self._widest = wider
            self.fit()

    def showEvent(self, a0: QShowEvent | None) -> None:
        """Leave room for what is to be shown; the font is known by now."""
        super().showEvent(a0)
        self.fit()

    def fit(self) -> None:
        """Leave room for what is to be shown."""
        words, across, down = self.fontMetrics(), self.horizontalHeader(), self.verticalHeader()
        assert across is not None and down is not None
        high = words.lineSpacing() + _ROOM
        down.setMinimumSectionSize(high)
        down.setDefaultSectionSize(high)
        for column, widest in enumerate(self._widest):
            if widest:
                head = words.horizontalAdvance(_HEADS[column] + _FALLING) + 6
                across.resizeSection(column, max(head, words.horizontalAdvance(widest) + 10))
        wanted = high * _ROWS + across.sizeHint().height() + 2 * self.frameWidth()
        self.setFixedHeight(wanted)


class ObjectListForm(QWidget):
    """Lists the objects of the displayed plane; what is chosen gets another class, or goes."""

    def __init__(self, context: FormContext) -> None:
        super().__init__()
        self._state, self._listing = context.state, context.controller.listing
        self.view = _Table()
        self.model = ObjectTableModel(self.view)
        self._showing = False  # it is not the user who chooses rows
        self.kind = choice(
            "Class",
            "The class that the chosen objects get.",
            lambda _: class_choices(self._state.classes),
        )
        self.give = button(
            "Give this class",
            "Gives the objects that are chosen in the list this class, as one step.",
            self._give,
        )
        self.delete = button(
            "Delete",
            "Takes the objects that are chosen in the list out of the annotation layer, as one "
            "step.",
            self._listing.delete,
        )
        self.merge = button(
            "Merge",
            "Makes one object of those that are chosen in the list, as one step. It has the "
            "lowest of their ids and the class of the largest.",
            self._listing.merge,
        )
        self.counts = note("How many objects there are, of which classes.", lines=2)
        self._make_view()
        self._lay_out()
        context.ties.show(self._show_classes, "classes")
        context.ties.show(self._show_objects, "objects", "not_listed")
        context.ties.show(self._show_picked, "picked")
        context.ties.show(self._show_counts, "objects", "picked", "classes", "not_listed")

    def follow(self, shown: bool) -> None:
        """Have the list kept up while it is shown, and not else."""
        self._state.listing = shown

    def _make_view(self) -> None:
        view = self.view
        view.setModel(self.model)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # nothing moves
        view.setShowGrid(False)
        view.setToolTip(_TIPS[0])
        view.setWordWrap(False)
        view.setCornerButtonEnabled(False)
        down, across = view.verticalHeader(), view.horizontalHeader()
        assert down is not None and across is not None
        down.hide()
        down.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        across.setHighlightSections(False)
        across.setMinimumSectionSize(20)
        for column, widest in enumerate(_WIDEST):
            mode = QHeaderView.ResizeMode.Fixed if widest else QHeaderView.ResizeMode.Stretch
            across.setSectionResizeMode(column, mode)
        # What is chosen is not drawn in the titles: to find out, Qt would ask for every row.
        across.setSelectionModel(QItemSelectionModel(self.model, across))
        across.setSectionsClickable(True)
        across.sectionClicked.connect(self._sort)
        self.model.modelReset.connect(self._show_picked)
        chosen = view.selectionModel()
        assert chosen is not None
        chosen.selectionChanged.connect(self._picked)
        view.clicked.connect(self._clicked)

    def _lay_out(self) -> None:
        keys = row(self.give), row(self.delete, self.merge)
        stack(self, self.view, self.counts, form(self.kind), *keys)

    def _give(self) -> None:
        if self.kind.value is not None:
            self._listing.give_class(int(self.kind.value))

    def _sort(self, column: int) -> None:
        """Sort by a column; the same one once more turns the order round."""
        turned = column == self.model.column and not self.model.falling
        order = Qt.SortOrder.DescendingOrder if turned else Qt.SortOrder.AscendingOrder
        self.model.sort(column, order)
        self.view.scrollToTop()  # there is what one sorts for, as the least certain

    # ---- what the user chooses

    def _picked(self) -> None:
        if not self._showing:
            self._listing.pick(self._chosen_keys())

    def _clicked(self, index: QModelIndex) -> None:
        """Go to an object whose row was chosen before."""
        keys = self._chosen_keys()
        if len(keys) == 1:
            self._listing.go_to(keys[0])

    def _chosen_keys(self) -> list[int]:
        chosen = self.view.selectionModel()
        assert chosen is not None
        keys = self.model.keys()
        ranges: Any = chosen.selection()
        spans = [keys[part.top() : part.bottom() + 1] for part in ranges]
        return np.unique(np.concatenate(spans)).tolist() if spans else []

    # ---- what is shown

    def _show_classes(self) -> None:
        self.model.show_classes(self._state.classes)
        with self.kind.changed.blocked():
            self.kind.reset_choices()

    def _show_objects(self) -> None:
        bar = self.view.verticalScrollBar()
        assert bar is not None
        at = bar.value()
        self._showing = True
        try:
            self.model.show_table(self._state.objects)
        finally:
            self._showing = False
        bar.setValue(at)
        self.view.widen(*self.model.longest())

    def _show_picked(self) -> None:
        """Mark the rows of what is picked, wherever they are by now."""
        chosen, picked = self.view.selectionModel(), self._state.picked
        if chosen is None or self._chosen_keys() == list(picked):
            return
        rows = np.flatnonzero(np.isin(self.model.keys(), np.asarray(picked, np.int64)))
        spans = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else []
        wanted, last = QItemSelection(), len(_HEADS) - 1
        for span in spans if len(spans) <= _MOST_RANGES else []:
            ends = self.model.index(int(span[0]), 0), self.model.index(int(span[-1]), last)
            wanted.select(*ends)
        self._showing = True
        try:
            chosen.select(wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        finally:
            self._showing = False
        if len(spans) > _MOST_RANGES:
            self._listing.pick(())

    def _show_counts(self) -> None:
        state = self._state
        names = {one.identifier: one.name for one in state.classes}
        counts = state.objects.by_class
        said = ", ".join(f"{n:,} {names.get(one, 'without class')}" for one, n in counts.items())
        n, picked = len(state.objects), len(state.picked)
        told = len(counts) > 1 or len(names) > 1  # else the class says nothing
        text = counted(n, "object") + (f": {said}" if told else "")
        text = text if n else "There are no objects on this plane."
        self.counts.value = state.not_listed or text + (f" · {picked:,} chosen" if picked else "")
        for each in (self.give, self.delete):
            each.enabled = picked > 0
        self.merge.enabled = picked > 1
