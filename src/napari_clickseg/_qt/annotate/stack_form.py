"""Going through a stack, plane by plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import ProgressBar, SpinBox

from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._qt.parts.controls import action_button, button, form, keep_place, note, row

if TYPE_CHECKING:
    from napari_clickseg._qt.annotate.form_context import FormContext


class StackForm:
    """Carries the mask through the planes of a stack."""

    def __init__(self, context: FormContext) -> None:
        self._context, self._state = context, context.state
        self.position = note("The displayed plane, along the axis that is gone through.")
        self.next = action_button(Action.PROPAGATE, context.controller.do)
        self.fill_in = action_button(Action.FILL_IN, context.controller.do)
        self.last = SpinBox(label="To plane", min=0, max=0, tooltip="The last plane to go to.")
        self.run = button(
            "Propagate",
            "Carries the mask on from the displayed plane to the one above, and accepts it on "
            "every plane on the way. It stops where the mask changes a lot.",
            self._propagate,
        )
        self.bar = ProgressBar(min=0, max=1, value=0, tooltip="Planes done.")
        self.cancel = button(
            "Cancel", "Stops; what was accepted so far stays.", context.controller.cancel
        )
        self.running = row(self.bar, self.cancel)
        keep_place(self.running.native)
        self.widget = form(
            self.position,
            self.next,
            self.fill_in,
            form(self.last),
            self.run,
            self.running,
            labels=False,
        )
        context.ties.show(self._show_planes, "planes", "plane")
        context.ties.show(self._show_progress, "progress")

    def _propagate(self) -> None:
        self._context.controller.propagate(int(self.last.value))

    def _show_planes(self) -> None:
        state = self._state
        if self.last.max != state.planes - 1:
            self.last.max = max(state.planes - 1, 0)
            self.last.value = state.planes - 1
        self.position.value = f"Plane {state.plane} (0 to {state.planes - 1})"

    def _show_progress(self) -> None:
        done, wanted = self._state.progress
        going = wanted > 0
        self.bar.max = max(wanted, 1)
        self.bar.value = done
        self.running.visible = going
        self.run.enabled = self.next.enabled = not going
