"""The classes: their names and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, LineEdit, PushButton
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QColorDialog, QLineEdit, QSizePolicy

from napari_clickseg._qt.parts.controls import button, form
from napari_clickseg._qt.parts.focus_and_wheel import leave_to_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg._napari.annotate.state import ClassSpec
    from napari_clickseg._qt.annotate.form_context import FormContext

_SWATCH = 14  # pixels


class ClassList:
    """A line for each class: its id in its colour, its name, and a button to remove it."""

    def __init__(self, context: FormContext) -> None:
        self._context, self._state = context, context.state
        self.rows: list[_ClassRow] = []
        self._box: Container[Any] = form(labels=False)
        self.widget = self._box
        context.ties.show(self._show, "classes")

    def _show(self) -> None:
        classes = self._state.classes
        while len(self.rows) < len(classes):
            self.rows.append(_ClassRow(self._context, len(self.rows)))
            self._box.append(self.rows[-1].widget)
        for row in self.rows[len(classes) :]:
            row.widget.visible = False  # and is used again for the next class
        for row, spec in zip(self.rows, classes, strict=False):
            row.show(spec, removable=len(classes) > 1)
            row.widget.visible = True


class _ClassRow:
    """Id and colour, name, and a button to remove the class."""

    def __init__(self, context: FormContext, index: int) -> None:
        self._context, self._index = context, index
        self.colour: PushButton = button("", "The colour of this class.", self._ask_colour)
        self.name = LineEdit(tooltip="The name of this class; its id stays the same.")
        self.remove: PushButton = button(
            "✕", "Removes the class from the list; what is labelled with it stays.", self._remove
        )
        self.widget: Container[Any] = Container(
            widgets=(self.colour, self.name, self.remove), layout="horizontal", labels=False
        )
        self.widget.margins = (0, 0, 0, 0)
        for each in (self.colour, self.remove):
            each.native.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        edit = self.name.native
        assert isinstance(edit, QLineEdit)
        edit.editingFinished.connect(self._rename)
        leave_to_image(self.widget.native)

    @property
    def _spec(self) -> ClassSpec:
        return self._context.state.classes[self._index]

    def show(self, spec: ClassSpec, *, removable: bool) -> None:
        """Show a class."""
        if self.name.value != spec.name:
            self.name.value = spec.name
        swatch = QPixmap(_SWATCH, _SWATCH)
        swatch.fill(QColor(spec.colour))
        self.colour.native.setIcon(QIcon(swatch))
        self.colour.text = str(spec.identifier)
        parts = ((self.colour, "Colour of"), (self.name, "Name of"), (self.remove, "Remove"))
        for part, what in parts:
            part.native.setAccessibleName(f"{what} class {spec.identifier}")
        self.remove.enabled = removable

    def _rename(self) -> None:
        name, spec = self.name.value.strip(), self._spec
        if not name:
            self.name.value = spec.name
        elif name != spec.name:
            self._context.controller.rename_class(self._index, name, spec.colour)

    def _ask_colour(self) -> None:
        spec = self._spec
        colour = QColorDialog.getColor(
            QColor(spec.colour), self.widget.native, f"Colour of “{spec.name}”"
        )
        if colour.isValid():
            self.set_colour(colour.name())

    def set_colour(self, colour: str) -> None:
        """Give the class another colour, ``#rrggbb``."""
        self._context.controller.rename_class(self._index, self._spec.name, colour.upper())

    def _remove(self) -> None:
        self._context.controller.remove_class(self._index)


def class_choices(classes: Sequence[ClassSpec]) -> list[tuple[str, int]]:
    """Return classes as choices, each with its place among them."""
    return [(f"{one.identifier}: {one.name}", n) for n, one in enumerate(classes)]
