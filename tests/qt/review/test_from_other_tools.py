"""Labels that another tool made are put into the review by hand, corrected there and accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import ReviewQueue
from tests.qt.conftest import picture, prediction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.gui


def test_labels_of_another_tool_become_a_prediction_of_the_project_that_is_reviewed(
    open_review: Callable[..., Any], project: Path, qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    _, annotate = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate", tabify=True)
    state, form = widget.context.state, widget.labels
    viewer.add_image(picture(5), name="fifth")
    viewer.add_labels(prediction(), name="fifth_cp_masks")
    widget.from_labels.header.click()
    qtbot.waitUntil(
        lambda: "fifth_cp_masks" in [one.name for one in form.labels.box.choices if one]
    )
    assert not form.put.enabled
    form.labels.layer = viewer.layers["fifth_cp_masks"]
    assert form.put.enabled
    form.put.native.click()
    qtbot.waitUntil(lambda: len(state.queue) == 3 and not state.busy, timeout=60_000)
    assert "1 image can be reviewed" in state.message
    assert state.row("images/fifth.png").uncertainty == 0.5
    widget.context.controller.images.open("images/fifth.png")
    qtbot.waitUntil(lambda: state.current == "images/fifth.png", timeout=60_000)
    qtbot.waitUntil(lambda: annotate.images.image.layer is annotate.context.state.image)
    assert annotate.images.image.layer is not viewer.layers["fifth"], "the one that Review opened"
    widget.accept.native.click()
    qtbot.waitUntil(lambda: state.row("images/fifth.png").state == "accepted", timeout=60_000)
    masks = {one.name: one.mask for one in read_project(project).records}
    assert np.array_equal(read_labels(masks["images/fifth.png"]), prediction())
    assert len(ReviewQueue(project).waiting()) == 2


def test_where_no_project_is_chosen_a_folder_is_asked_for_and_giving_up_changes_nothing(
    open_review: Callable[..., Any], tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, widget = open_review()
    state, form = widget.context.state, widget.labels
    viewer.add_image(picture(5), name="fifth")
    viewer.add_labels(prediction(), name="masks")
    qtbot.waitUntil(lambda: len(form.labels.box.choices) == 2)
    form.labels.layer = viewer.layers["masks"]
    answers = ["", str(tmp_path / "new")]
    asked = "napari_clickseg._qt.parts.folders.choose_or_make_folder"
    monkeypatch.setattr(asked, lambda *_: answers.pop(0))
    form.put.native.click()
    assert not state.project and not state.busy
    form.put.native.click()
    qtbot.waitUntil(lambda: len(state.queue) == 1, timeout=60_000)
    assert state.project == str(tmp_path / "new")
