"""All objects at once, by a model that tells objects apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, FloatSlider, SpinBox

from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._qt.annotate.complete_switch import CompleteSwitch
from napari_clickseg._qt.parts.controls import (
    action_button,
    button,
    choice,
    form,
    key_text,
    note,
    row,
)
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from napari_clickseg._qt.annotate.form_context import FormContext

_FIND = "Find all objects"
_HIGHEST, _LARGEST = 0.6, 1_000_000


class AllObjectsForm:
    """Has all objects of the displayed plane found, divided by the user's rules, and kept."""

    def __init__(self, context: FormContext) -> None:
        self._state = context.state
        self.find = button(
            _FIND,
            "A model that tells objects apart finds all objects of the displayed plane. They are "
            "shown first; what is labelled already stays as it is.",
            context.controller.find_all,
        )
        self.search_in = choice(
            "Search",
            "Where objects are looked for: on the whole displayed plane, or in the rectangle that "
            "is selected in a Shapes layer. Objects that lie mostly in it are found as a whole.",
            [("the whole plane", "plane"), ("a rectangle", "box")],
        )
        self._make_rules()
        self.new_objects = note(
            "What was found, and is shown until you keep it or give it up.", lines=2
        )
        self.keep = button(
            f"Keep ({key_text(Action.ACCEPT)})",
            "Makes what is shown objects of the annotation. Undo takes them back as one step.",
            context.controller.keep_new_objects,
        )
        self.give_up = button(
            f"Give up ({key_text(Action.CLEAR)})",
            "Shows them no longer; nothing is changed.",
            context.controller.give_up_new_objects,
        )
        do = context.controller.do
        self.next = action_button(Action.LEAST_CERTAIN, do)
        self.back = action_button(Action.LEAST_CERTAIN_BACK, do)
        self.by_score = CheckBox(
            label="",
            text="Colour by score",
            tooltip="Objects that a model found are coloured by how sure it is of them: from "
            "orange, the least certain, to blue. Objects without a score are grey.",
        )
        self.complete = CompleteSwitch(context)
        self.widget = form(
            form(self.search_in),
            self.find,
            form(self.height, self.smallest),
            self.new_objects,
            row(self.keep, self.give_up),
            row(self.next, self.back),
            self.by_score,
            self.complete.widget,
            labels=False,
        )
        self._connect(context)

    def _make_rules(self) -> None:
        self.height = FloatSlider(
            label="Seed height",
            min=0.01,
            max=_HIGHEST,
            step=0.01,
            tooltip="How far the land between two peaks must lie below the lower one for them to "
            "be two objects: the lower, the more is told apart. It begins with what was best on "
            "the images that the model was validated on.",
        )
        self.smallest = SpinBox(
            label="Smallest",
            min=1,
            max=_LARGEST,
            tooltip="Pixels of the smallest object; smaller ones are left out.",
        )

    def _connect(self, context: FormContext) -> None:
        ties = context.ties
        ties.tie(self.search_in, "search_in")
        ties.tie(self.height, "seed_height", drag=True)
        ties.tie(self.smallest, "smallest")
        ties.tie(self.by_score, "by_score")
        ties.show(self._show_finding, "finding")
        ties.show(self._show_new_objects, "new_objects")

    def _show_finding(self) -> None:
        self.find.text = "Cancel: looking for all objects" if self._state.finding else _FIND

    def _show_new_objects(self) -> None:
        new = self._state.new_objects
        for each in (self.height, self.smallest, self.keep, self.give_up):
            each.enabled = new is not None
        if new is None:
            self.new_objects.value = ""
        elif new.dividing:
            self.new_objects.value = "Dividing them anew …"
        else:
            beside = f", beside {counted(new.known, 'object')} that you have"
            self.new_objects.value = (
                f"{counted(new.new, 'new object')}{beside if new.known else ''}. Not kept yet."
            )
