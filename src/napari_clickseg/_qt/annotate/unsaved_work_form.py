"""Unsaved work on an image, left when napari ended, offered at the foot of the widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_clickseg._qt.parts.controls import breakable, button, note, row

if TYPE_CHECKING:
    from napari_clickseg._qt.annotate.form_context import FormContext


class UnsavedWorkForm(QWidget):
    """Says that something was left, with buttons that take it up and forget it.

    It is there only while something is offered. Being at the foot, it moves nothing above it.
    """

    def __init__(self, context: FormContext) -> None:
        super().__init__()
        self._state = context.state
        autosave = context.controller.autosave
        self.text = note("What was made of this image and saved nowhere else.", lines=2)
        self.take_up = button(
            "Take it up",
            "Brings back labels, objects, classes and clicks, with undo. Where labels have been "
            "changed since, they stay as they are.",
            autosave.take_up,
        )
        self.forget = button(
            "Forget it",
            "Offers it never again. Its file stays for a month where unsaved work is kept.",
            autosave.forget,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.addWidget(self.text.native)
        layout.addWidget(row(self.take_up, self.forget).native)
        context.ties.show(self._show, "unsaved_work", "kept_in")

    def _show(self) -> None:
        state = self._state
        self.text.value = breakable(state.unsaved_work)
        self.text.native.setToolTip(
            f"What was made of this image and saved nowhere else. Unsaved work is kept in "
            f"{state.kept_in}."
        )
        self.setVisible(bool(state.unsaved_work))
