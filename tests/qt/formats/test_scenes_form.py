from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_clickseg._qt.formats.widget import FilesWidget
from tests.data.microscope_writers import DATA, write_lif

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.gui


def _files(viewer: Any) -> FilesWidget:
    (form,) = (
        dock.inner_widget()
        for dock in viewer.window._wrapped_dock_widgets.values()
        if isinstance(dock.inner_widget(), FilesWidget)
    )
    return form


def test_a_file_with_several_images_lists_them_and_opens_those_that_are_chosen(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    stacks = {"Series 1": DATA[:1, :1, :9, :9], "Series 2": DATA, "Series 3": DATA + 1}
    path = write_lif(tmp_path / "plate.lif", stacks)
    viewer.window._qt_viewer._qt_open([str(path)], stack=False)
    assert [one.name for one in viewer.layers] == [
        f"plate Series 2 [{c}]" for c in ("Green", "Red")
    ]
    widget = _files(viewer)
    form = widget.scenes
    qtbot.waitUntil(lambda: form.list.count() == 3 and form.list.isVisible())
    texts = [form.list.item(at).text() for at in range(3)]
    assert texts == ["Series 1, 9 × 9", *(f"Series {n}, 40 × 60, Z 3, C 2" for n in (2, 3))]
    assert [one.text() for one in form.list.selectedItems()] == texts[1:2], "what is open"

    def click(row: int, *, also: bool = False) -> None:
        place = form.list.visualItemRect(form.list.item(row)).center()
        key = Qt.KeyboardModifier.ControlModifier if also else Qt.KeyboardModifier.NoModifier
        qtbot.mouseClick(form.list.viewport(), Qt.MouseButton.LeftButton, key, place)

    def press_open() -> None:
        widget._scroll.ensureWidgetVisible(form.open.native)
        qtbot.mouseClick(form.open.native, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not widget.state.busy, timeout=30_000)

    click(0)
    click(2, also=True)
    press_open()
    names = [one.name for one in viewer.layers][2:]
    assert names == ["plate Series 1", "plate Series 3 [Green]", "plate Series 3 [Red]"]
    assert (np.asarray(viewer.layers[-1].data) == DATA[:, 1] + 1).all()
    click(1)
    form.channels.value = "1"
    assert form.channels.native.currentText() == "Only Red"
    press_open()
    assert viewer.layers[-1].name.startswith("plate Series 2 [Red]")
    assert len(viewer.layers) == 6
    assert "1 image opened from plate.lif" in widget.state.message
    form.file.value = str(tmp_path / "none.lif")
    qtbot.waitUntil(lambda: "There is no file" in widget.state.message)
    assert form.list.count() == 0
