"""The object that is being made: clicking on it, accepting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import SpinBox

from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._qt.annotate.class_list import class_choices
from napari_clickseg._qt.parts.controls import (
    action_button,
    button,
    choice,
    form,
    key_text,
    note,
    row,
)

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg._qt.annotate.form_context import FormContext

_NUMBER = "The id that this object gets in the annotation layer."
_MOST = 2**31 - 1  # that Qt's field can show


class ObjectForm:
    """Shows the current object and has it accepted, skipped, cleared."""

    def __init__(self, context: FormContext) -> None:
        self._state, self._controller = context.state, context.controller
        do = context.controller.do
        self.tool = action_button(Action.TOOL, do, text="Click", toggles=True)
        self.swap = action_button(Action.SWAP, do, text="Swap ± buttons", toggles=True)
        self.number = SpinBox(
            label="Object",
            min=1,
            max=_MOST,
            tooltip=_NUMBER,
        )
        self.kind = choice(
            "Class",
            f"The class of this object.\nKey for the next one: {key_text(Action.NEXT_CLASS)}",
            lambda _: class_choices(self._state.classes),
        )
        self.add = button("Add a class", "Adds a class with the next free id.", self._add)
        self.accept = action_button(Action.ACCEPT, do)
        self.skip = action_button(Action.SKIP, do)
        self.clear = action_button(Action.CLEAR, do)
        self.undo = action_button(Action.UNDO, do)
        self.redo = action_button(Action.REDO, do)
        self.delete = action_button(Action.DELETE, do, text="Delete")
        self.merge = action_button(Action.MERGE, do)
        self.split = action_button(Action.SPLIT, do)
        self.reading = action_button(Action.READING, do)
        self.save = action_button(Action.SAVE, do)
        self.counts = note("Clicks on this object, and objects accepted on this image.", lines=2)
        self.widget = form(
            row(self.tool, self.swap),
            form(self.number, self.kind),
            self.add,
            row(self.accept, self.skip, self.clear),
            row(self.undo, self.redo),
            row(self.delete, self.reading),
            row(self.merge, self.split),
            self.save,
            self.counts,
            labels=False,
        )
        self._connect(context)

    def _connect(self, context: FormContext) -> None:
        ties = context.ties
        ties.tie(self.tool, "tool")
        ties.tie(self.swap, "swapped")
        ties.show(self._show_number, "object_id", "scheme")
        self.number.changed.connect(self._choose_number)
        ties.show(self._show_kind, "classes", "class_index", "scheme")
        self.kind.changed.connect(self._choose_kind)
        ties.show(self._show_undo, "can_undo", "can_redo")
        ties.show(self._show_begun, "begun")
        ties.show(self._show_editing, "editing", "also", "n_positive")
        ties.show(self._show_readings, "readings")
        ties.show(
            self._show_counts,
            *("object_id", "editing", "n_positive", "n_negative", "n_objects", "image"),
            *("reading", "readings"),
        )

    def _show_kind(self) -> None:
        state = self._state
        with self.kind.changed.blocked():
            self.kind.reset_choices()
            self.kind.value = min(state.class_index, len(state.classes) - 1)

    def _show_number(self) -> None:
        state = self._state
        fits = state.object_id <= _MOST
        with self.number.changed.blocked():  # or the largest one would be taken for a choice
            self.number.value = min(state.object_id, _MOST)
        self.number.enabled = fits and state.scheme == "instances"
        self.number.tooltip = (
            _NUMBER if fits else f"The id is {state.object_id}, too large to be changed here."
        )

    def _choose_number(self, value: int) -> None:
        self._state.object_id = value

    def _add(self) -> None:
        names = {spec.name for spec in self._state.classes}
        number = len(names) + 1
        while f"class {number}" in names:
            number += 1
        self._controller.add_class(f"class {number}")

    def _choose_kind(self, index: int | None) -> None:
        if index is not None:
            self._state.class_index = index

    def _show_undo(self) -> None:
        self.undo.enabled = self._state.can_undo
        self.redo.enabled = self._state.can_redo

    def _show_begun(self) -> None:
        for each in (self.accept, self.skip, self.clear):
            each.enabled = self._state.begun

    def _show_editing(self) -> None:
        state = self._state
        self.delete.enabled = state.editing
        self.merge.enabled = state.also is not None
        self.split.enabled = state.n_positive > 1 or (state.editing and state.n_positive > 0)

    def _show_readings(self) -> None:
        self.reading.enabled = self._state.readings > 1

    def _show_counts(self) -> None:
        state = self._state
        clicks = f"{state.n_positive} positive, {state.n_negative} negative"
        doing = f"Correcting object {state.object_id}: " if state.editing else ""
        several = (
            f" · reading\N{NO-BREAK SPACE}{state.reading + 1}\N{NO-BREAK SPACE}of {state.readings}"
        )
        read = several if state.readings > 1 else ""
        self.counts.value = f"{doing}{clicks} · {state.n_objects} accepted{read}"


def hint(state: AnnotateState, images_open: bool) -> str:
    """Return what the user should do next, for when the state has no message.

    Parameters
    ----------
    images_open : bool
        Whether there is an image to annotate.

    Returns
    -------
    str
        A line or two.
    """
    if not images_open:
        return "Open an image first: File ▸ Open, or drop one onto the window."
    if state.image is None:
        return "Choose an image and press “Annotate this image”."
    if not state.tool:
        return "Press “Click” and then click on an object."
    if state.crosshair and state.drawing is not None:
        return "The arrows draw; Enter finishes, Escape gives up."
    if state.crosshair and state.model_status == "ready":
        return "Arrows move the crosshair, Enter clicks, Shift+Enter is negative, Escape leaves."
    if state.model_status == "loading" and state.n_positive + state.n_negative:
        return "The model is loading; your clicks are answered as soon as it is there."
    if state.model_status == "failed":
        return "There is no model; choose one under “Model”."
    if not state.n_positive:
        return "Click on an object or drag a box around it; right click what is wrong."
    accept = key_text(Action.ACCEPT)
    return f"{accept} accepts it; click what is missing, right click what is wrong."
