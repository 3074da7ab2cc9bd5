"""The queue as a list: however long it is, only what is seen of it is drawn."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, QRectF, QSize, Qt
from qtpy.QtGui import QPainter, QPalette
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from napari_clickseg._napari.review.state import LISTED
from napari_clickseg._napari.review.text import row_text
from napari_clickseg._qt.parts.controls import choice, form

if TYPE_CHECKING:
    from napari_clickseg._napari.review.state import QueueRow
    from napari_clickseg._qt.review.form_context import ReviewFormContext

_NAME, _UNCERTAINTY, _STATE = range(3)
_HEADS = ("Image", "Unsure", "State")
_TIPS = (
    "Click on an image to open it.",
    "How unsure the model is: 0 % is certain, 100 % is a coin toss.",
    "“begun”: you corrected something that is not accepted yet.",
)
_ROWS = 6  # that are seen at least
_ROOM = 6  # pixels between two lines
_Role = Qt.ItemDataRole


class QueueModel(QAbstractTableModel):
    """The rows of a queue that are listed."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.rows: tuple[QueueRow, ...] = ()
        self.high = 0  # pixels of a row

    def show_rows(self, rows: tuple[QueueRow, ...]) -> None:
        """List other rows."""
        same = [row.image for row in rows] == [row.image for row in self.rows]
        if rows == self.rows:
            return
        if same:
            self.rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, _STATE))
        else:
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many images are listed."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns: image, uncertainty, state."""
        return 0 if parent is not None and parent.isValid() else len(_HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Return a column's title."""
        if orientation == Qt.Orientation.Horizontal:
            if role == _Role.DisplayRole:
                return _HEADS[section]
            if role == _Role.ToolTipRole:
                return _TIPS[section]
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what is shown of an image."""
        row, column = self.rows[index.row()], index.column()
        if role == _Role.ToolTipRole:
            return row.image if column == _NAME else _TIPS[column]
        if role == _Role.UserRole:
            return row.uncertainty
        if role == _Role.SizeHintRole:
            return QSize(0, self.high)
        if role == _Role.DisplayRole:
            name = PurePosixPath(row.image).stem
            return (name, f"{row.uncertainty:.0%}".replace("%", " %"), row_text(row))[column]
        return None


class _UncertaintyBar(QStyledItemDelegate):
    """Draws an uncertainty as a bar over its percentage."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw a cell."""
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


class QueueList(QWidget):
    """Lists what is to be reviewed, or what was reviewed; a click opens an image.

    Parameters
    ----------
    context : ReviewFormContext
    """

    def __init__(self, context: ReviewFormContext) -> None:
        super().__init__()
        self._state, self._controller = context.state, context.controller
        self.listed = choice(
            "List",
            "What is to be reviewed, the most uncertain first; or what was, the last first.",
            [(name, name) for name in LISTED],
        )
        self.view = QTreeView()
        self.model = QueueModel(self.view)
        self._make_view()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(form(self.listed).native)
        column.addWidget(self.view, 1)
        context.ties.tie(self.listed, "listed")
        context.ties.show(self._show_rows, "queue", "listed")
        context.ties.show(self._show_current, "current")

    def _make_view(self) -> None:
        view = self.view
        view.setModel(self.model)
        view.setRootIsDecorated(False)
        view.setUniformRowHeights(True)
        view.setItemDelegateForColumn(_UNCERTAINTY, _UncertaintyBar(view))
        view.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # keys go on working after a click
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setToolTip(_TIPS[_NAME])
        head = view.header()
        assert head is not None
        head.setStretchLastSection(False)
        head.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        head.setSectionResizeMode(_UNCERTAINTY, QHeaderView.ResizeMode.Fixed)
        head.setSectionResizeMode(_STATE, QHeaderView.ResizeMode.Fixed)
        view.clicked.connect(self._open)
        view.activated.connect(self._open)
        self.fit()

    def fit(self) -> None:
        """Leave room for what the list is to show; needs the theme's font."""
        view, head = self.view, self.view.header()
        assert head is not None
        words = view.fontMetrics()
        head.resizeSection(_UNCERTAINTY, words.horizontalAdvance("100 %") + 30)
        head.resizeSection(_STATE, words.horizontalAdvance("accepted, begun") + 16)
        self.model.high = words.lineSpacing() + _ROOM
        high = self.model.high * _ROWS + head.sizeHint().height()
        view.setMinimumHeight(high + 2 * view.frameWidth())

    def _show_rows(self) -> None:
        states = LISTED[self._state.listed]
        self.model.show_rows(tuple(row for row in self._state.queue if row.state in states))
        self._show_current()

    def _show_current(self) -> None:
        """Mark the image that is open."""
        chosen = self.view.selectionModel()
        assert chosen is not None
        images = [row.image for row in self.model.rows]
        if self._state.current not in images:
            chosen.clear()
            return
        index = self.model.index(images.index(self._state.current), 0)
        flags = QItemSelectionModel.SelectionFlag
        chosen.setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
        self.view.scrollTo(index)

    def _open(self, index: QModelIndex) -> None:
        image = self.model.rows[index.row()].image
        if image != self._state.current:
            self._controller.images.open(image)
        self._show_current()
