"""Asks whether a model that was dropped, or chosen, is to be added, and says what it is."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_clickseg._qt.parts.accessible import name_controls
from napari_clickseg.models.sharing.foreign_network import VALUES

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.models.sharing.offered import OfferedModel

_WIDTH = 420
_VALUES = {
    "0-1": "0 to 1",
    "0-255": "0 to 255",
    "imagenet": "statistics of ImageNet's images",
    "standardised": "mean 0, deviation 1",
}


class ModelDialog(QDialog):
    """Shows a model's name, task and licence, and has it added if the user wishes.

    Parameters
    ----------
    add : callable
        Called with the name and what is said of a foreign network, if it is to be added.
    """

    def __init__(
        self,
        parent: QWidget | None,
        offered: OfferedModel,
        add: Callable[[str, dict[str, Any]], object],
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Add a model")
        self._offered, self._add = offered, add
        self._lay_out()
        self._look()

    def said(self) -> dict[str, Any]:
        """Return what the user says of a foreign network."""
        if not self._offered.foreign:
            return {}
        classes = tuple(part.strip() for part in self.classes.text().split(",") if part.strip())
        return {"classes": classes, "values": self.values.currentData()}

    def accept(self) -> None:
        """Have it added."""
        name, said = self.name.text().strip(), self.said()
        super().accept()
        self._add(name, said)

    def _lay_out(self) -> None:
        facts = "".join(
            f"<tr><td><b>{escape(word)}&nbsp;&nbsp;</b></td><td>{escape(text)}</td></tr>"
            for word, text in self._offered.facts
        )
        self.facts = QLabel(f"<table>{facts}</table>")
        self.facts.setWordWrap(True)
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.name = QLineEdit(self._offered.name)
        self.name.setToolTip("What the model is called in every list of models.")
        self.name.textChanged.connect(self._look)
        fields = QFormLayout()
        fields.addRow("Name", self.name)
        if self._offered.foreign:
            self._add_foreign(fields)
        self.wrong = QLabel(" ")
        self.buttons = QDialogButtonBox()
        self.yes = self.buttons.addButton("Add", QDialogButtonBox.ButtonRole.AcceptRole)
        self.no = self.buttons.addButton("Cancel", QDialogButtonBox.ButtonRole.RejectRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(QLabel(f"Add <b>{escape(self._offered.path.name)}</b> to your models?"))
        column.addWidget(self.facts)
        column.addLayout(fields)
        column.addWidget(self.wrong)
        column.addWidget(self.buttons)
        self.setMinimumWidth(_WIDTH)
        name_controls(self)

    def _add_foreign(self, fields: QFormLayout) -> None:
        self.classes = QLineEdit()
        self.classes.setPlaceholderText("nucleus, cytoplasm")
        self.classes.setToolTip("Without the background, in the order of its channels.")
        self.values = QComboBox()
        self.values.setToolTip("What values it takes an image's for; its documentation says so.")
        for each in VALUES:
            self.values.addItem(_VALUES[each], each)
        fields.addRow("Classes", self.classes)
        fields.addRow("Values", self.values)

    def _look(self) -> None:
        """Say what is wrong with the name, in a line that is always there."""
        why = self._offered.refusal(self.name.text())
        self.wrong.setText(why or " ")
        if self.yes is not None:
            self.yes.setEnabled(not why)
