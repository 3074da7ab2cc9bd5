"""All objects at once, with the mouse and the keyboard, in a real window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from default_model.crowds import crowd
from napari_clickseg._napari.viewer.colours import BY_SCORE
from napari_clickseg.core.instances.distances import object_distances
from tests.qt.layout import until_still

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.segmenter import Segmenter

pytestmark = pytest.mark.gui


def press(control: Any) -> None:
    assert control.native.isEnabled()
    control.native.click()


def test_found_objects_are_shown_divided_kept_and_said_to_be_all(
    open_annotate: Callable[..., Any],
    make_teller: Callable[..., Segmenter],
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    name = "napari_clickseg.engine.segmenter.load_segmenter"
    monkeypatch.setattr(name, lambda *_, **__: make_teller("cell"))
    viewer, widget = open_annotate()
    truth = crowd(3, 160)
    planes = [(truth > 0) * 0.5, *object_distances(truth)]
    viewer.add_image((255 * np.stack(planes, -1)).round().astype(np.uint8), rgb=True)
    qtbot.waitUntil(lambda: widget.images.start.enabled)
    press(widget.images.start)
    state, form = widget.context.state, widget.all_objects
    qtbot.waitUntil(lambda: state.image is not None)
    widget.folds["All objects"].header.click()
    place = until_still(qtbot, form.keep.native.pos)
    assert not (form.keep.enabled or form.height.enabled)
    assert form.complete.widget.native.checkState() == Qt.CheckState.PartiallyChecked

    press(form.find)
    qtbot.waitUntil(lambda: not state.finding, timeout=240_000)
    assert state.new_objects is not None, state.message
    first = state.new_objects.new
    assert (
        f"{first} new objects" in form.new_objects.value
        and "Not kept yet" in form.new_objects.value
    )
    qtbot.wait(100)
    assert form.keep.native.pos() == place, "the button's other text moves nothing"
    form.height.value = 0.6  # as the slider's handle does
    qtbot.waitUntil(lambda: state.new_objects.new < first, timeout=240_000)
    assert f"{state.new_objects.new} new objects" in form.new_objects.value
    assert form.keep.native.pos() == place, "nothing moves under the pointer"
    form.by_score.value = True
    shown = viewer.layers[-1]
    assert shown.name.endswith(" found") and shown.colormap.name == BY_SCORE

    canvas = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, "G")
    qtbot.waitUntil(lambda: state.new_objects is None, timeout=240_000)
    assert state.n_objects > 0 and state.annotation.colormap.name == BY_SCORE
    form.by_score.value = False
    assert state.annotation.colormap.name != BY_SCORE
    press(form.complete.widget)
    assert state.complete is True
    assert form.complete.widget.native.checkState() == Qt.CheckState.Checked
    press(form.complete.widget)
    assert state.complete is False
