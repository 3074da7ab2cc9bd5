"""Images as a list, with a search: however long it is, only what is seen of it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import LineEdit
from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, QRectF, QSize, Qt
from qtpy.QtGui import QPainter, QPalette
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from napari_clickseg._napari.project.image_rows import matching_rows
from napari_clickseg._qt.parts.controls import choice, form

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg._napari.project.image_rows import ImageRow

_NAME, _UNSURE, _STATE = range(3)
_HEADS = ("Image", "Unsure", "State")
_OPENS = "Click on an image to open it."
_SURE = "How unsure the model is: 0 % is certain, 100 % is a coin toss."
_ROOM = 6  # pixels between two lines
_Role = Qt.ItemDataRole


class ImageListModel(QAbstractTableModel):
    """The rows that are listed.

    Parameters
    ----------
    states_tip : str
        What the states mean.
    """

    def __init__(self, parent: QWidget, states_tip: str) -> None:
        super().__init__(parent)
        self.rows: tuple[ImageRow, ...] = ()
        self.high = 0  # pixels of a row
        self._tips = (_OPENS, _SURE, states_tip)

    def show_rows(self, rows: tuple[ImageRow, ...]) -> None:
        """List other rows."""
        if rows == self.rows:
            return
        same = [row.image for row in rows] == [row.image for row in self.rows]
        if same:
            self.rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, _STATE))
        else:
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(_HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == _Role.DisplayRole:
                return _HEADS[section]
            if role == _Role.ToolTipRole:
                return self._tips[section]
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        row, column = self.rows[index.row()], index.column()
        if role == _Role.ToolTipRole:
            return row.image if column == _NAME else self._tips[column]
        if role == _Role.UserRole:
            return row.unsure or 0.0
        if role == _Role.SizeHintRole:
            return QSize(0, self.high)
        if role == _Role.DisplayRole:
            unsure = "" if row.unsure is None else f"{row.unsure:.0%}".replace("%", " %")
            return (row.name, unsure, row.state)[column]
        return None


class _UnsureBar(QStyledItemDelegate):
    """Draws an uncertainty as a bar over its percentage."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        super().paint(painter, option, index)
        if painter is None:
            return
        painter.save()
        colour = option.palette.color(QPalette.ColorRole.Text)
        colour.setAlphaF(0.28)
        room = QRectF(option.rect).adjusted(2, 3, -4, -3)
        room.setWidth(room.width() * min(1.0, max(0.0, float(index.data(_Role.UserRole)))))
        painter.fillRect(room, colour)
        painter.restore()


class ImageList(QWidget):
    """Lists images with what became of them; a click opens one.

    Parameters
    ----------
    kinds : sequence of str
        Which of the images can be listed; `listed` chooses.
    kinds_tip, states_tip : str
        What these are, and what the states mean.
    widest : str
        The longest of the states.
    open_image : callable
        Called with `ImageRow.image`.
    unsure : bool
        Whether there is a column of uncertainties.
    lines : int
        Rows that are seen at least.
    grows : bool
        Whether more of them are seen where there is room.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        kinds_tip: str,
        states_tip: str,
        widest: str,
        open_image: Callable[[str], object],
        *,
        unsure: bool = False,
        lines: int = 6,
        grows: bool = True,
    ) -> None:
        super().__init__()
        self._open_image, self._widest = open_image, widest
        self._lines, self._grows = lines, grows
        self._current = ""
        self.listed = choice("List", kinds_tip, [(name, name) for name in kinds])
        self.search = LineEdit(
            label="Search",
            tooltip="Lists images with these words in their names. Enter gives the keyboard back.",
        )
        line: QLineEdit = self.search.native
        line.setClearButtonEnabled(True)
        line.setPlaceholderText("a part of the name")
        self.view = QTreeView()
        self.model = ImageListModel(self.view, states_tip)
        self._make_view(unsure)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(form(self.listed, self.search).native)
        column.addWidget(self.view, 1)

    def _make_view(self, unsure: bool) -> None:
        view = self.view
        view.setModel(self.model)
        view.setRootIsDecorated(False)
        view.setUniformRowHeights(True)
        view.setItemDelegateForColumn(_UNSURE, _UnsureBar(view))
        view.setColumnHidden(_UNSURE, not unsure)
        view.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # keys go on working after a click
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setToolTip(_OPENS)
        head = view.header()
        assert head is not None
        head.setStretchLastSection(False)
        head.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        head.setSectionResizeMode(_UNSURE, QHeaderView.ResizeMode.Fixed)
        head.setSectionResizeMode(_STATE, QHeaderView.ResizeMode.Fixed)
        view.clicked.connect(self._open)
        view.activated.connect(self._open)
        self.fit()

    def fit(self) -> None:
        """Leave room for what the list is to show; needs the theme's font."""
        view, head = self.view, self.view.header()
        assert head is not None
        words = view.fontMetrics()
        head.resizeSection(_UNSURE, words.horizontalAdvance("100 %") + 30)
        head.resizeSection(_STATE, words.horizontalAdvance(self._widest) + 16)
        self.model.high = words.lineSpacing() + _ROOM
        high = self.model.high * self._lines + head.sizeHint().height() + 2 * view.frameWidth()
        view.setMinimumHeight(high)
        if not self._grows:
            view.setMaximumHeight(high)

    def show_rows(self, rows: Sequence[ImageRow], search: str) -> None:
        """List rows, those with what is searched for in their names."""
        self.model.show_rows(matching_rows(rows, search))
        self.mark(self._current)

    def mark(self, current: str) -> None:
        """Mark the image that is open, and bring it into sight."""
        self._current = current
        chosen = self.view.selectionModel()
        assert chosen is not None
        at = next((n for n, row in enumerate(self.model.rows) if row.image == current), None)
        if at is None:
            chosen.clear()
            return
        index = self.model.index(at, 0)
        flags = QItemSelectionModel.SelectionFlag
        chosen.setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
        self.view.scrollTo(index)

    def _open(self, index: QModelIndex) -> None:
        image = self.model.rows[index.row()].image
        if image != self._current:
            self._open_image(image)
        self.mark(self._current)
