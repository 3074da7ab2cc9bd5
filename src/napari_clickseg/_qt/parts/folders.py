"""Asking for a folder that need not be there yet."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDialogButtonBox, QFileDialog, QLineEdit

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


class _FolderDialog(QFileDialog):
    """Chooses a folder; one whose name is typed and that is not there is made.

    Qt's own dialog would say that there is none. Those of other systems have a button for it.
    """

    def __init__(self, parent: QWidget | None, title: str) -> None:
        super().__init__(parent, title)
        self.setFileMode(QFileDialog.FileMode.Directory)
        self.setOption(QFileDialog.Option.ShowDirsOnly)
        field, buttons = self.findChild(QLineEdit), self.findChild(QDialogButtonBox)
        choose = buttons.button(QDialogButtonBox.StandardButton.Open) if buttons else None
        if field is not None and choose is not None:  # Qt has it only for folders that are there
            field.textChanged.connect(lambda text: choose.setEnabled(bool(text)))

    def accept(self) -> None:
        """Make the folder, if that can be done, before Qt looks whether it is there."""
        for name in self.selectedFiles():
            with suppress(OSError):
                Path(name).mkdir(exist_ok=True)
        super().accept()


def choose_or_make_folder(parent: QWidget | None, title: str) -> str:
    """Have the user choose a folder, or name a new one; empty if the user cancels."""
    dialog = _FolderDialog(parent, title)
    chosen = dialog.selectedFiles() if dialog.exec() else []
    dialog.deleteLater()
    return chosen[0] if chosen else ""
