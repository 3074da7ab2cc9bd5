"""Looking at the regions and clicks of a cross-fitting, image by image."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_clickseg._qt.parts.controls import breakable, button, choice, form, note, row, stack
from napari_clickseg.crossfit.progress import parts_of

if TYPE_CHECKING:
    from napari_clickseg._napari.train.state import ShownRegions
    from napari_clickseg._qt.train.form_context import TrainFormContext

_COLOURS = "Blue: found rightly. Vermilion: too much. Yellow: missed."
_HOW = (
    "To edit, select the layer of positive or of negative clicks; with napari's tools, key 2 adds "
    "clicks, 3 selects some to drag, Delete removes them. Edits are saved at once."
)
_LEARNED = "Clicks that are learned from, or were, can't be edited any more."


class ClicksForm(QWidget):
    """Shows regions and clicks of an image as layers, and goes to other images."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._context, self._state, clicks = context, context.state, context.controller.clicks
        self.show_them = button(
            "Show regions and clicks",
            "Shows an image with what its baseline found rightly, wrongly and not at all, and the "
            "clicks that were put there, as layers. What else is open is hidden meanwhile.",
            toggles=True,
        )
        self.back = button("◀ Previous", "Shows the image before.", lambda: clicks.step(-1))
        self.on = button("Next ▶", "Shows the next image.", lambda: clicks.step(1))
        self.image = choice("Image", "The image that is shown.", self._images)
        self.said = note("What is on this image.")
        self.how = note("What the colours mean, and how clicks are edited.")
        self.undo = button(
            "Undo",
            "Takes the last edit of this image's clicks back (Ctrl+Z).",
            lambda: clicks.walk(False),
        )
        self.redo = button(
            "Redo", "Does again what was taken back (Ctrl+Shift+Z).", lambda: clicks.walk(True)
        )
        self.restore = button(
            "As placed",
            "Goes back to the clicks that were placed on this image by themselves.",
            clicks.restore,
        )
        self.copy = button(
            "Edit a copy",
            "Makes another cross-fitting with the same baselines and clicks, which can then be "
            "edited and learned from; this one stays as it is.",
            context.controller.copy_crossfit,
        )
        self._edits = row(self.undo, self.redo, self.restore)
        self._walk = row(self.back, self.on)
        self._which = form(self.image)
        them = self.show_them, self._which, self._walk
        stack(self, *them, self.said, self._edits, self.how, self.copy)
        self.show_them.changed.connect(self._toggle)
        self.image.changed.connect(self._choose)
        context.ties.show(self._show, "run", "looked", "busy")

    def _images(self, _: object) -> list[tuple[str, Any]]:
        looked = self._state.looked
        names = looked.images if looked is not None else ()
        return [(PurePath(name).name, index) for index, name in enumerate(names)] or [("", None)]

    def _toggle(self, on: bool) -> None:
        if on:
            self._context.controller.clicks.open()
        else:
            self._context.controller.clicks.close()

    def _choose(self, index: Any) -> None:
        if index is not None:
            self._context.controller.clicks.open(index)

    def _show(self) -> None:
        run, looked = self._state.run, self._state.looked
        crossfit = parts_of(run)
        self.setVisible(crossfit is not None and crossfit.placed)
        with self.show_them.changed.blocked():
            self.show_them.value = looked is not None
        for part in (self._which, self._walk, self.said, self.how):
            part.visible = looked is not None
        self._edits.visible = looked is not None and looked.editable
        learned = crossfit is not None and crossfit.placed and not crossfit.editable
        self.copy.visible = learned and not run.alive
        self.copy.enabled = not self._state.busy
        if looked is not None:
            self._show_image(looked)

    def _show_image(self, looked: ShownRegions) -> None:
        with self.image.changed.blocked():
            if len(self.image.choices) != len(looked.images) or None in self.image.choices:
                self.image.reset_choices()
            self.image.value = looked.index
        right, much, missed = (f"{share:.1%}" for share in looked.shares)
        self.said.value = breakable(
            f"Image {looked.index + 1} of {len(looked.images)}: {looked.positive} positive and "
            f"{looked.negative} negative clicks. Of the image, {right} is found rightly, {much} is "
            f"too much, {missed} was missed."
        )
        self.how.value = f"{_COLOURS} {_HOW if looked.editable else _LEARNED}"
        several = len(looked.images) > 1 and not looked.loading
        self.back.enabled = self.on.enabled = several
        self.undo.enabled, self.redo.enabled = looked.can_undo, looked.can_redo
