"""All objects at once, by a model that tells objects apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg._qt.annotate.complete_switch import CompleteSwitch
from napari_clickseg._qt.parts.controls import button, form

if TYPE_CHECKING:
    from napari_clickseg._qt.annotate.form_context import FormContext

_FIND = "Find all objects"


class AllObjectsForm:
    """Has all objects of the displayed plane found.

    Parameters
    ----------
    context : FormContext
    """

    def __init__(self, context: FormContext) -> None:
        self._state = context.state
        self.find = button(
            _FIND,
            "A model that tells objects apart finds all objects of the displayed plane. What is "
            "labelled already stays as it is; undo takes what was found back as one step.",
            context.controller.find_all,
        )
        self.complete = CompleteSwitch(context)
        self.widget = form(self.find, self.complete.widget, labels=False)
        context.ties.show(self._show, "finding")

    def _show(self) -> None:
        self.find.text = "Cancel: looking for all objects" if self._state.finding else _FIND
