"""What is said of a training that is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg.training.progress import HelpRow
from tests.qt.train.test_widget import BUSY_RUN

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., tuple[Any, Any]]

pytestmark = pytest.mark.gui


def test_whether_it_helped_is_said_first_in_words_then_three_rows_then_what_to_do(
    open_train: Open,
) -> None:
    _, widget = open_train()
    helped, state = widget.helped, widget.context.state
    metrics = ["IoU after a click", "Dice after a click", "NoC@90", "NoC@85"]
    metrics += [f"{name}, jittered clicks" for name in metrics]
    table = tuple(HelpRow(name, 6.0, 2.0) for name in metrics)
    state.run = replace(BUSY_RUN, status="finished", table=table)
    assert helped.sentence.value == "It helped: 2.0 clicks instead of 6.0."
    assert [line[0] for line in helped.rows.text()[1:]] == [
        "NoC@85", "NoC@85, jittered clicks", "IoU after a click",
    ]  # fmt: skip
    assert helped.advice.value == "→ Use it."
    assert not helped.more.isExpanded() and len(helped.others.text()) == 6
    state.run = replace(state.run, verdict=None)  # of an earlier version
    assert not helped.sentence.visible and not helped.isHidden()
    state.run = replace(state.run, table=())
    assert helped.isHidden()
