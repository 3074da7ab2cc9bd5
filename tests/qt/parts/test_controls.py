from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from magicgui.widgets import CheckBox, FloatSlider, Label
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtWidgets import QLabel, QWidget

from napari_clickseg._napari.annotate.state import AnnotateState
from napari_clickseg._qt.annotate.object_form import hint
from napari_clickseg._qt.parts.binding import Ties
from napari_clickseg._qt.parts.busy import BusyMark
from napari_clickseg._qt.parts.controls import breakable, choice, form, note
from napari_clickseg._qt.parts.folds import Fold
from napari_clickseg._qt.parts.layer_choice import LayerChoice
from napari_clickseg._qt.parts.wakeup import Wakeup

pytestmark = pytest.mark.gui


def test_a_ring_from_a_worker_is_answered_on_the_main_thread(qtbot: Any) -> None:
    threads: list[threading.Thread] = []
    wakeup = Wakeup(lambda: threads.append(threading.current_thread()))
    worker = threading.Thread(target=lambda: [wakeup.ring() for _ in range(100)])
    worker.start()
    worker.join()
    assert threads == [], "nothing runs before the event loop"
    qtbot.waitUntil(lambda: bool(threads))
    qtbot.wait(20)
    assert threads == [threading.main_thread()], "a hundred rings are one call"


def test_a_ring_during_the_answer_is_answered_too(qtbot: Any) -> None:
    answers: list[int] = []

    def answer() -> None:
        answers.append(len(answers))
        if len(answers) < 3:
            wakeup.ring()

    wakeup = Wakeup(answer)
    wakeup.ring()
    qtbot.waitUntil(lambda: len(answers) == 3)


def test_a_silenced_wakeup_never_answers(qtbot: Any) -> None:
    answers: list[int] = []
    wakeup = Wakeup(lambda: answers.append(1))
    wakeup.ring()
    wakeup.silence()
    wakeup.ring()
    qtbot.wait(20)
    assert answers == []


def test_a_tie_goes_both_ways_until_it_is_cut() -> None:
    state = AnnotateState()
    ties, box = Ties(state), CheckBox()
    ties.tie(box, "fill_holes")
    state.fill_holes = True
    assert box.value is True
    box.value = False
    assert state.fill_holes is False
    ties.cut()
    ties.cut()
    state.fill_holes = True
    assert box.value is False


def test_showing_a_value_never_writes_it_back(qtbot: Any) -> None:
    """A slider rounds; its rounded value must not replace what the state says."""
    state = AnnotateState()
    ties, slider = Ties(state), FloatSlider(min=0, max=10, step=0.25)
    ties.tie(slider, "smooth", drag=True)
    state.smooth = 1.3333333
    qtbot.wait(60)
    assert state.smooth == 1.3333333


def test_the_busy_mark_appears_only_when_work_lasts_and_never_changes_its_size(
    qtbot: Any,
) -> None:
    mark = BusyMark()
    qtbot.addWidget(mark)
    size = mark.sizeHint()
    mark.set_busy(True)
    qtbot.wait(60)
    mark.set_busy(False)
    qtbot.wait(200)
    assert not mark.turning, "quick work"
    mark.set_busy(True)
    qtbot.waitUntil(lambda: mark.turning)
    assert mark.sizeHint() == mark.minimumSize() == size


def test_the_busy_mark_does_not_flicker_between_two_pieces_of_work(qtbot: Any) -> None:
    mark = BusyMark()
    qtbot.addWidget(mark)
    mark.set_busy(True)
    qtbot.waitUntil(lambda: mark.turning)
    mark.set_busy(False)
    qtbot.wait(30)
    mark.set_busy(True)
    qtbot.wait(300)
    assert mark.turning
    mark.set_busy(False)
    qtbot.waitUntil(lambda: not mark.turning)


def test_a_fold_opens_by_its_title_and_grows_with_its_content(qtbot: Any) -> None:
    rows = form(Label(value="one"), labels=False)
    fold = Fold("Title", rows.native, "What is in it.")
    qtbot.addWidget(fold)
    fold.show()
    assert fold.header.toolTip() == "What is in it."
    assert not fold.isExpanded()
    fold.header.click()
    qtbot.waitUntil(lambda: rows.native.height() > 5)
    qtbot.wait(200)
    before = fold.content().maximumHeight()
    for number in range(5):
        rows.append(Label(value=f"row {number}"))
    qtbot.waitUntil(lambda: fold.content().maximumHeight() > before + 40)
    fold.header.click()
    qtbot.waitUntil(lambda: fold.content().maximumHeight() == 0)


def test_a_long_note_wraps_even_within_a_path(qtbot: Any) -> None:
    text = note("")
    text.value = breakable("The file /data/somebody/folder/of_models/that-is/deep.safetensors is")
    native = text.native
    assert isinstance(native, QLabel)
    qtbot.addWidget(native)
    assert native.minimumSizeHint().width() < 200
    assert breakable("default on cpu-1") == "default on cpu-1"


def test_choices_stand_in_their_order_whenever_they_came(qtbot: Any) -> None:
    offered = [("a", 1), ("Open a file…", 9)]
    box = choice("Model", "", lambda _: offered)
    qtbot.addWidget(box.native)
    changes: list[int] = []
    box.changed.connect(changes.append)
    box.value = 9
    offered[1:1] = [("b", 2), ("c", 3)]
    box.reset_choices()
    assert [box.native.itemText(i) for i in range(4)] == ["a", "b", "c", "Open a file…"]
    assert (box.value, box.native.currentText(), changes) == (9, "Open a file…", [9])
    del offered[3]
    box.reset_choices()
    assert box.value == 1 and changes == [9, 1], "what can't be chosen any more"


def test_no_choice_is_lost_because_another_one_reads_the_same(qtbot: Any) -> None:
    """A model that came from a run is called as the run is, whose model is there, too."""
    offered: list[tuple[str, Any]] = [
        ("cells", "cells"),
        ("cells", "/data/runs/cells/best.safetensors"),
        ("cells", "/old/runs/cells/best.safetensors"),
        ("cells", 1),
        ("cells", 2),
    ]
    made = choice("Model", "", lambda _: offered)
    for _, value in offered:
        made.value = value
        assert made.value == value
    texts = [made.native.itemText(n) for n in range(made.native.count())]
    assert texts == ["cells", "cells (runs)", "cells (old)", "cells (2)", "cells (3)"]


def test_choices_too_long_for_their_box_can_be_told_apart(qtbot: Any) -> None:
    """Runs of one project differ at the end of their names, which Qt cuts off."""
    names = [f"{project} project-2026-11-30-{run}" for project in "ab" for run in (1130, 1145)]
    made = choice("Run", "", [(name, name) for name in names])
    qtbot.addWidget(made.native)
    seen = []
    for width in (160, 400):
        made.native.resize(width, 24)
        for name in names:
            made.value = name
            seen.append(made.native.grab().toImage())
    assert all(one != other for n, one in enumerate(seen) for other in seen[:n])


def test_a_layer_choice_keeps_its_layer_through_renaming_and_other_changes(qtbot: Any) -> None:
    viewer = ViewerModel()
    one, two = (viewer.add_labels(np.zeros((4, 4), int), name=n) for n in ("one", "two"))
    owner = QWidget()
    qtbot.addWidget(owner)
    choice = LayerChoice(viewer, Labels, "Labels", "", none="none")
    choice.layer = two
    changes: list[object] = []
    choice.box.changed.connect(changes.append)
    two.name = "renamed"
    viewer.layers.move(0, 2)
    viewer.add_labels(np.zeros((4, 4), int), name="three")
    qtbot.waitUntil(lambda: choice.box.current_choice == "renamed")
    assert choice.layer == two
    assert changes == []
    viewer.layers.remove(two)
    qtbot.waitUntil(lambda: two not in choice.box.choices)
    assert choice.layer is None
    assert changes == [None]
    assert one in choice.box.choices
    choice.release()
    viewer.layers.clear()
    qtbot.wait(20)
    assert one in choice.box.choices, "it no longer listens"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, "Annotate this image"),
        ({"image": object()}, "Press “Click”"),
        ({"image": object(), "tool": True, "model_status": "ready"}, "Click on an object"),
        ({"image": object(), "tool": True, "model_status": "loading", "n_positive": 1}, "loading"),
        ({"image": object(), "tool": True, "model_status": "failed"}, "no model"),
        ({"image": object(), "tool": True, "model_status": "ready", "n_positive": 1}, "G accepts"),
    ],
)
def test_the_hint_is_the_next_step(known: dict[str, Any], said: str) -> None:
    assert said in hint(AnnotateState(**known), images_open=True)


def test_the_first_hint_is_to_open_an_image() -> None:
    assert "Open an image" in hint(AnnotateState(), images_open=False)
