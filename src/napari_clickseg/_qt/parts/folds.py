"""Groups that fold away, and come into view when they are unfolded."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import (
    QApplication,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_clickseg._qt.parts.controls import set_margins

_ROUNDS = 8  # in which layouts ask one another; more than they need


class Fold(QCollapsible):
    """A group that folds away.

    Its title is a plain line with an arrow: the base class's own is drawn like a button that is
    on, which draws the eye away from the click tool.

    Parameters
    ----------
    tip : str
        Tooltip of the title.
    """

    def __init__(self, title: str, content: QWidget, tip: str) -> None:
        super().__init__(title)
        self.toggleButton().hide()
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setToolTip(tip)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setAutoRaise(True)
        self.header.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.header.clicked.connect(self._turn)
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(0, self.header)
        self.addWidget(content)
        set_margins(self.content(), 10, 0, 0, 4)
        set_margins(self, 0, 0, 0, 0, spacing=0)
        self.toggled.connect(self._show_arrow)
        self._show_arrow()

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:
        """Grow with what is inside; the base class does so for changes of size only."""
        if a0 is None or a1 is None:
            return False
        if a1.type() == QEvent.Type.LayoutRequest and self.isExpanded():
            self.content().setMaximumHeight(self.content().sizeHint().height() + 10)
        return super().eventFilter(a0, a1)

    def _turn(self) -> None:
        # At once: while it grows bit by bit, all that is around it is squeezed, and moves.
        if self.isExpanded():
            self.collapse(animate=False)
        else:
            self.expand(animate=False)
            self._lay_out_anew()
            self.come_into_view()

    def come_into_view(self) -> None:
        """Scroll what is around as far as this group needs to be seen whole, its title at least."""
        area: QWidget | None = self.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        form = area.widget() if area is not None else None
        if area is None or form is None or not self.isExpanded() or not self.isVisible():
            return
        for _ in range(_ROUNDS):
            QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
        bar, view = area.verticalScrollBar(), area.viewport()
        assert bar is not None and view is not None
        top, before = self.mapTo(form, QPoint()).y(), bar.value()
        bar.setValue(min(top, max(before, top + self.height() - view.height())))
        if bar.value() != before:
            _ignore_second_click(form)

    def _lay_out_anew(self) -> None:
        """Have buttons as high as their style has them; else they shift what is below them later.

        Qt remembers how high they want to be, from before they had a style, until they get another
        text or icon.
        """
        for part in self.content().findChildren(QPushButton):
            part.ensurePolished()
            part.setIcon(part.icon())

    def _show_arrow(self) -> None:
        arrow = Qt.ArrowType.DownArrow if self.isExpanded() else Qt.ArrowType.RightArrow
        self.header.setArrowType(arrow)


class _NoPress(QObject):
    """Keeps presses of the mouse from a control."""

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:
        """Take what would press it."""
        presses = (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick)
        return a1 is not None and a1.type() in presses


def _ignore_second_click(form: QWidget) -> None:
    """Have what came under the pointer not take the second half of a double click."""
    under = form.childAt(form.mapFromGlobal(QCursor.pos()))
    if under is not None:
        guard = _NoPress(under)
        under.installEventFilter(guard)
        QTimer.singleShot(QApplication.doubleClickInterval(), guard.deleteLater)
