"""A clean-up is chosen by mouse in a real window, which is never held up by it."""

from __future__ import annotations

from time import thread_time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractButton

from napari_clickseg._napari.annotate.controller import AnnotateController
from napari_clickseg._napari.review.controller import ReviewController
from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._qt.review.clean_form import CleanForm
from napari_clickseg.core.cleanup import CleanUp, cleaned
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.engine.slides.cleaning import kept_rules
from tests.core.test_cleanup import speckled
from tests.qt.layout import until_still
from tests.qt.review.test_widget import Hand, click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg._qt.review.widget import ReviewWidget

    Open = Callable[..., tuple[Any, ReviewWidget]]

pytestmark = pytest.mark.gui

SIDE = 2048


def test_it_is_chosen_live_holds_nothing_up_and_takes_neither_keys_nor_place(
    open_review: Open, project: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = watched(monkeypatch)
    found = np.tile(speckled(3, (256, 256)), (SIDE // 256, SIDE // 256))
    ProjectWriter(project).add("large", np.tile(np.arange(SIDE) // 8, (SIDE, 1)).astype(np.uint8))
    ReviewQueue(project).propose("images/large.png", found, model="m", uncertainty=1.0)
    viewer, widget = open_review(project=project)
    hand, state, clean = Hand(viewer, widget, qtbot), widget.context.state, widget.clean

    def until_cleaned(rules: CleanUp) -> None:
        wanted = cleaned(found, rules)
        qtbot.waitUntil(lambda: np.array_equal(hand.labels, wanted), timeout=60_000)
        hand.settle()

    assert not clean.smooth.enabled and not clean.as_found.enabled
    hand.press(Action.NEXT_IMAGE)
    assert state.current == "images/large.png"
    widget.clean_up.expand(animate=False)
    hand.canvas.setFocus()
    before, slots[:] = until_still(qtbot, lambda: places(widget)), []
    clean.smooth.value = 1
    until_cleaned(CleanUp(1))
    clean.holes.value, clean.smallest.value = 20, 30
    until_cleaned(CleanUp(1, 20, 30))
    assert "pixels changed" in clean.said.value
    assert kept_rules(prediction_of(project)) == CleanUp(1, 20, 30)
    click(clean.as_found)
    hand.settle()
    np.testing.assert_array_equal(hand.labels, found)
    assert [one.value for one in (clean.smooth, clean.holes, clean.smallest)] == [0, 0, 0]
    assert kept_rules(prediction_of(project)) == CleanUp()
    assert hand.canvas.hasFocus() and places(widget) == before
    assert len(slots) > 20
    assert np.percentile(slots, 95) <= 0.020, np.percentile(slots, [50, 95, 100])
    hand.press(Action.NEXT_IMAGE)
    assert state.current == "images/first.png", "the keys are the image's"


def watched(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the processor time of all of ours that runs in the window's thread meanwhile."""
    slots: list[float] = []
    for kind, name in (
        (ReviewController, "deliver"),
        (AnnotateController, "deliver"),
        (CleanForm, "_choose"),
        (CleanForm, "_take_back"),
    ):
        inner = getattr(kind, name)

        def timed(self: Any, inner: Callable[[Any], None] = inner) -> None:
            start = thread_time()
            inner(self)
            slots.append(thread_time() - start)

        monkeypatch.setattr(kind, name, timed)
    return slots


def places(widget: ReviewWidget) -> list[Any]:
    """Return where all buttons are."""
    buttons = [each for each in widget.findChildren(QAbstractButton) if each.isVisible()]
    return [(each.text(), each.mapTo(widget, each.rect().topLeft())) for each in buttons]


def prediction_of(project: Path) -> Path:
    return project / ReviewQueue(project).reviews()["images/large.png"].prediction
