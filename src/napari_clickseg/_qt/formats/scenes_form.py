"""The images in a file of a microscope: which are opened, and what becomes of their channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import LineEdit
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_clickseg._napari.formats.scans import EACH, SLIDER
from napari_clickseg._qt.parts.controls import button, choice, form

if TYPE_CHECKING:
    from napari_clickseg._napari.formats.exchange import ExchangeController
    from napari_clickseg._napari.formats.exchange_state import ExchangeState
    from napari_clickseg._qt.parts.binding import Ties

_ROWS = 6  # that are seen at once


class ScenesForm(QWidget):
    """Lists the images in a file, and opens those that are chosen.

    Parameters
    ----------
    ties : Ties
        Cut by who made this.
    """

    def __init__(self, state: ExchangeState, controller: ExchangeController, ties: Ties) -> None:
        super().__init__()
        self._state = state
        self.file = LineEdit(
            label="File", tooltip="Of a microscope, or another with several images."
        )
        self.list = QListWidget()
        self.list.setToolTip("The images in the file; choose several with Ctrl or Shift.")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.list.setFixedHeight((_ROWS + 1) * self.list.fontMetrics().lineSpacing())
        self.list.itemSelectionChanged.connect(self._choose)
        self.channels = choice(
            "Channels",
            "A layer each to see them over one another; one layer for a model that sees them all.",
            self._channel_choices,
        )
        self.open = button("Open", "Open the chosen images as layers.", controller.open_scenes)
        above = form(self.file, button("File…", "Choose a file.", self._ask))
        below = form(self.channels, self.open)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (above.native, self.list, below.native):
            column.addWidget(part)
        ties.tie(self.file, "scan")
        ties.tie(self.channels, "channels")
        ties.show(controller.look_into_scan, "scan")
        ties.show(self._show, "scenes", "chosen_scenes")
        ties.show(self.channels.reset_choices, "scan_channels")

    def _channel_choices(self, _: Any) -> list[tuple[str, str]]:
        several = [("A layer each", EACH), ("One layer, with a slider", SLIDER)]
        names = self._state.scan_channels
        only = [(f"Only {name}", str(at)) for at, name in enumerate(names)]
        return several + (only if len(names) > 1 else [])

    def _ask(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "A file with several images")
        self.file.value = chosen or self.file.value

    def _choose(self) -> None:
        self._state.chosen_scenes = tuple(sorted(one.row() for one in self.list.selectedIndexes()))

    def _show(self) -> None:
        self.list.blockSignals(True)
        if [one.text() for one in self._rows()] != list(self._state.scenes):
            self.list.clear()
            self.list.addItems(list(self._state.scenes))
        for at, one in enumerate(self._rows()):
            one.setSelected(at in self._state.chosen_scenes)
        self.list.blockSignals(False)

    def _rows(self) -> list[QListWidgetItem]:
        every = (self.list.item(at) for at in range(self.list.count()))
        return [one for one in every if one is not None]
