from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from napari_clickseg.core.clicks import Click, ClickError
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.prompts import Prompt, PromptHistory

POSITIONS = st.floats(-1e4, 1e4)
CLICKS = st.builds(Click, POSITIONS, POSITIONS, st.booleans())
PATCHES = st.builds(
    lambda n, y, x: Patch.of(np.ones((n, n + 1), bool), offset=(y, x)),
    st.integers(1, 4),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(st.integers(0, 40_000), st.floats(-0.499, 0.499))
def test_a_click_belongs_to_the_pixel_whose_centre_is_nearest(index: int, off: float) -> None:
    assert Click(index + off, index - off).pixel == (index, index)


@pytest.mark.parametrize(
    ("y", "x", "inside"),
    [
        (-0.5, -0.5, True),
        (3.49, 6.49, True),
        (-0.51, 0, False),
        (0, -0.51, False),
        (3.5, 0, False),
        (0, 6.5, False),
        (1e300, 0, False),
    ],
)
def test_the_image_reaches_half_a_pixel_beyond_its_outer_centres(
    y: float, x: float, inside: bool
) -> None:
    assert Click(y, x).inside((4, 7)) is inside


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_click_is_a_pair_of_numbers(bad: float) -> None:
    with pytest.raises(ClickError, match="is not a position; give numbers"):
        Click(bad, 0)
    with pytest.raises(ClickError, match="is not a position; give numbers"):
        Click(0, bad)


def test_a_prompt_is_true_once_it_says_something() -> None:
    assert not Prompt()
    assert Prompt((Click(0, 0, False),))
    assert Prompt(start=Patch.of(np.ones((1, 1), bool)))


@given(st.lists(CLICKS, max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_the_first_clicks_of_a_prompt_are_the_prompt_as_it_was(
    clicks: list[Click], settled: int, n: int
) -> None:
    prompt = Prompt(tuple(clicks), None, min(settled, len(clicks)))
    first = prompt.first(n)
    assert first.clicks == tuple(clicks[:n])
    assert first.settled == min(prompt.settled, n)
    assert first.has_positive == any(click.positive for click in clicks[:n])


def test_what_changes_nothing_is_no_step() -> None:
    """So undo always does something, and redo is not lost to a step that did nothing."""
    history = PromptHistory().add(Click(0, 0)).undo()
    assert history.clear() is history
    assert history.add() is history
    assert history.start_from(None) is history
    assert history.can_redo


@pytest.mark.parametrize(
    ("change", "settled"),
    [
        (lambda h: h.add(Click(5, 5)), 2),
        (lambda h: h.clear().undo(), 2),
        (lambda h: h.clear(), 0),
    ],
)
def test_a_starting_mask_answers_its_clicks_whatever_is_clicked_later(
    change: object, settled: int
) -> None:
    taken_up = PromptHistory().start_from(Patch.of(np.ones((2, 2))), (Click(0, 0), Click(1, 1)))
    assert taken_up.present.settled == 2
    assert change(taken_up).present.settled == settled  # type: ignore[operator]


class Histories(RuleBasedStateMachine):
    """A history does what a plain list of all states with a cursor does."""

    def __init__(self) -> None:
        super().__init__()
        self.history = PromptHistory()
        self.states = [Prompt()]
        self.at = 0

    def step(self, history: PromptHistory) -> None:
        if history.present != self.states[self.at]:
            self.states = [*self.states[: self.at + 1], history.present]
            self.at += 1
        self.history = history

    @rule(clicks=st.lists(CLICKS, max_size=3))
    def add(self, clicks: list[Click]) -> None:
        before = self.history.clicks
        self.step(self.history.add(*clicks))
        assert self.history.clicks == (*before, *clicks)

    @rule()
    def clear(self) -> None:
        self.step(self.history.clear())
        assert not self.history.present

    @rule(patch=PATCHES, clicks=st.lists(CLICKS, max_size=2))
    def start_from(self, patch: Patch, clicks: list[Click]) -> None:
        self.step(self.history.start_from(patch, tuple(clicks)))
        assert self.history.present.start == patch

    @rule()
    def undo(self) -> None:
        assert self.history.can_undo == (self.at > 0)
        if self.history.can_undo:
            assert self.history.undo().redo() == self.history
        self.history = self.history.undo()
        self.at = max(0, self.at - 1)

    @rule()
    def redo(self) -> None:
        assert self.history.can_redo == (self.at < len(self.states) - 1)
        if self.history.can_redo:
            assert self.history.redo().undo() == self.history
        self.history = self.history.redo()
        self.at = min(len(self.states) - 1, self.at + 1)

    @invariant()
    def presents_the_state_at_the_cursor(self) -> None:
        assert self.history.present == self.states[self.at]
        assert self.history.past == tuple(self.states[: self.at])
        assert self.history.future == tuple(reversed(self.states[self.at + 1 :]))


TestHistories = Histories.TestCase
