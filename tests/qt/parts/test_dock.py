"""What the dock widgets have in common: a form as wide as what is seen of it."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QWidget

from napari_clickseg._qt.parts.dock import _Scroll

pytestmark = pytest.mark.gui


@pytest.mark.parametrize("shown", [False, True])
def test_the_form_is_as_wide_as_what_is_seen_whether_it_has_to_be_scrolled_or_not(
    shown: bool, qtbot: Any
) -> None:
    """Else it would move at the next press of a button, under the pointer."""
    scroll, form = _Scroll(), QWidget()
    qtbot.addWidget(scroll)
    scroll.resize(300, 200)
    scroll.setWidget(form)
    scroll.keep_room()
    if shown:
        scroll.show()
        qtbot.waitExposed(scroll)
    widths = set()
    for height in (100, 400, 120, 500, 90):
        form.setMinimumHeight(height)
        scroll.keep_room()
        assert form.width() == scroll.viewport().width(), height
        qtbot.wait(20)
        assert form.width() == scroll.viewport().width(), height
        widths.add(form.width())
    assert len(widths) == 1, "The bar comes and goes beside it."
