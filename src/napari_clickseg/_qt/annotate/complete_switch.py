"""Whether every object of the displayed plane is labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QCheckBox

if TYPE_CHECKING:
    from napari_clickseg._qt.annotate.form_context import FormContext


class CompleteSwitch:
    """Shows whether the displayed plane is complete, and lets the user say it.

    Where nobody said it, it stands between on and off.
    """

    def __init__(self, context: FormContext) -> None:
        self._state, self._controller = context.state, context.controller
        self.widget = CheckBox(
            label="",
            text="This image is complete",
            tooltip="Every object of the displayed plane is labelled, so the rest is background to "
            "a model that learns to tell objects apart. Where you don't say it, labels that came "
            "without clicks count as complete, and others don't. It is saved with the masks.",
        )
        box = self.widget.native
        assert isinstance(box, QCheckBox)
        self._box = box
        box.clicked.connect(self._choose)
        context.ties.show(self._show, "complete")

    def _choose(self) -> None:
        self._controller.mark_complete(self._state.complete is not True)
        self._show()

    def _show(self) -> None:
        said = self._state.complete
        with QSignalBlocker(self._box):
            if said is None:
                self._box.setCheckState(Qt.CheckState.PartiallyChecked)
            else:
                self._box.setTristate(False)
                self._box.setChecked(said)
