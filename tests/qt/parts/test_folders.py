"""A folder that is asked for may be chosen, or be named and made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QLineEdit

from napari_clickseg._qt.parts.folders import choose_or_make_folder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.gui


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("by", ["key", "mouse", "cancel"])
def test_a_folder_whose_name_is_typed_is_made_if_it_is_not_there(
    qtbot: Any, tmp_path: Path, there: bool, by: str
) -> None:
    folder = tmp_path / "my cells"
    if there:
        folder.mkdir()

    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        assert dialog is not None
        field, box = dialog.findChild(QLineEdit), dialog.findChild(QDialogButtonBox)
        QTest.keyClicks(field, str(folder))
        name = "Cancel" if by == "cancel" else "Open"
        button = box.button(getattr(QDialogButtonBox.StandardButton, name))
        if by == "key":
            QTest.keyClick(field, Qt.Key.Key_Return)
        else:
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        if dialog.isVisible():
            dialog.reject()  # rather than wait for ever

    QTimer.singleShot(500, answer)
    chosen = choose_or_make_folder(None, "Where?")
    assert chosen == ("" if by == "cancel" else str(folder))
    assert folder.is_dir() == (there or by != "cancel")
