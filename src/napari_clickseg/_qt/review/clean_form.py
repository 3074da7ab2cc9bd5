"""How the prediction that is open is cleaned up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import Slider, SpinBox

from napari_clickseg._qt.parts.binding import throttled
from napari_clickseg._qt.parts.controls import button, form, note
from napari_clickseg.core.cleanup import LARGEST, WIDEST, CleanUp

if TYPE_CHECKING:
    from napari_clickseg._qt.review.form_context import ReviewFormContext

_STEP = 10  # pixels


class CleanForm:
    """Chooses how edges are smoothed, and which holes and pieces go."""

    def __init__(self, context: ReviewFormContext) -> None:
        self._state = context.state
        self.smooth = Slider(
            label="Smooth",
            min=0,
            max=WIDEST,
            tooltip="A pixel takes the label that more than half of the disk around it has: the "
            "disk's radius in pixels. 0 leaves edges as they are.",
        )
        self.holes = SpinBox(
            label="Holes below",
            max=LARGEST,
            step=_STEP,
            tooltip="Holes of fewer pixels are filled, where one label alone encloses them.",
        )
        self.smallest = SpinBox(
            label="Pieces below",
            max=LARGEST,
            step=_STEP,
            tooltip="Pieces of fewer pixels become background.",
        )
        self.as_found = button(
            "As found",
            "Shows what the model found, without any clean-up. What you corrected stays.",
            self._take_back,
        )
        self.said = note("What the clean-up came to. It is kept with the prediction.")
        self._fields = (self.smooth, self.holes, self.smallest)
        self.widget = form(form(*self._fields), self.as_found, self.said, labels=False)
        for field in self._fields:
            field.changed.connect(throttled(self._choose, field.native), max_args=0)
        context.ties.show(self._show_rules, "cleanup", "can_clean_up")
        context.ties.show(self._show_said, "cleaned")

    def _choose(self) -> None:
        if self._state.can_clean_up:  # else it comes too late: another image is open
            self._state.cleanup = CleanUp(*(field.value for field in self._fields))

    def _take_back(self) -> None:
        self._state.cleanup = CleanUp()

    def _show_rules(self) -> None:
        rules = self._state.cleanup
        values = (rules.smooth, rules.fill_holes, rules.smallest)
        for field, value in zip(self._fields, values, strict=True):
            with field.changed.blocked():
                field.value = value
            field.enabled = self._state.can_clean_up
        self.as_found.enabled = self._state.can_clean_up

    def _show_said(self) -> None:
        self.said.value = self._state.cleaned
