"""Which model runs where, and what it does at the moment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from napari_clickseg._qt.parts.busy import BusyMark
from napari_clickseg._qt.parts.controls import button, choice, form, looking_anew, note
from napari_clickseg.models.registry import list_models
from napari_clickseg.models.trained_models import model_name

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_clickseg._qt.annotate.form_context import FormContext

_BESIDE = 8  # pixels that a label keeps free of its text
_OPEN = object()  # stands for "Open a file…" among the models


class StatusLine(QWidget):
    """The model in one line, with a mark that turns while it is at work."""

    def __init__(self, context: FormContext) -> None:
        super().__init__()
        self._state = context.state
        self.mark = BusyMark()
        self.text = note("The model in use and the device it runs on.")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.mark, alignment=Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.text.native, 1)
        context.ties.show(self._show_text, "model_text", "model_status")
        context.ties.show(self._show_busy, "busy", "model_status")

    def _show_text(self) -> None:
        state = self._state
        text = state.model_text or "No model is loaded."
        self.text.native.setToolTip(text)
        # One line, or all that is below would move while a model with a long name is loaded; why
        # there is no model is said below, where there is room.
        if state.model_status == "failed":
            text = "There is no model."
        label = self.text.native
        room = label.contentsRect().width() - _BESIDE
        self.text.value = label.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, room)

    def resizeEvent(self, a0: QResizeEvent | None) -> None:
        """Shorten the text to what there is room for now."""
        super().resizeEvent(a0)
        self._show_text()

    def _show_busy(self) -> None:
        self.mark.set_busy(self._state.busy or self._state.model_status == "loading")


class ModelForm:
    """Chooses the model and the device."""

    def __init__(self, context: FormContext) -> None:
        self._context = context
        self._state = context.state
        self.model = looking_anew(
            choice("Model", "The model that answers your clicks.", self._models)
        )
        self.device = choice(
            "Device",
            "Where the model runs. auto takes a graphics card where there is one.",
            [(name, name) for name in ("auto", "cpu", "cuda", "mps")],
        )
        self.half = CheckBox(
            text="Half precision",
            tooltip="About twice as fast on graphics cards (CUDA) and newer processors; has no "
            "effect on other devices.",
        )
        self.contrast = CheckBox(
            text="Contrast as displayed",
            tooltip="The model sees the image with the contrast limits of its layer, instead of "
            "with limits measured on the whole image.",
        )
        seen = button(
            "Show what the model sees",
            "Adds the displayed plane, as the model gets it, as a layer.",
            context.controller.show_seen,
        )
        self.widget = form(self.model, self.device, self.half, self.contrast, seen)
        for field, box in (("device", self.device), ("half", self.half)):
            context.ties.tie(box, field)
            box.changed.connect(context.controller.load_model, max_args=0)
        context.ties.tie(self.contrast, "contrast_from_layer")
        context.ties.show(self._show_model, "model", "fitting")
        self.model.changed.connect(self._choose)

    def _models(self, _: object) -> list[tuple[str, Any]]:
        names = [entry.name for entry in list_models()]
        models: list[tuple[str, Any]] = [(name, name) for name in names]
        models += [(name, model) for name, model in self._state.fitting if model not in names]
        current = self._state.model
        if current not in [model for _, model in models]:
            models.append((model_name(Path(current)), current))
        return [*models, ("Open a file…", _OPEN)]

    def _show_model(self) -> None:
        with self.model.changed.blocked():
            self.model.reset_choices()
            self.model.value = self._state.model
        self.model.tooltip = f"The model that answers your clicks: {self._state.model}"

    def _choose(self, model: object) -> None:
        if model is _OPEN:
            model = self._ask()
            if model is None:
                self._show_model()
                return
        if isinstance(model, str):
            self._context.controller.choose_model(model)

    def _ask(self) -> str | None:
        path, _ = QFileDialog.getOpenFileName(
            self.widget.native, "Open a model", "", "Models (*.safetensors);;All files (*)"
        )
        return path or None
