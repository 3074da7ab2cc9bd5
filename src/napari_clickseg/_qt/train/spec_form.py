"""The fields of a TrainingSpec, made when they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, LineEdit, SpinBox
from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QAbstractSpinBox, QCompleter, QFileDialog, QVBoxLayout, QWidget

from napari_clickseg._napari.train.fields import NAMED, NOT_CROSSFIT, settings_of, text_of
from napari_clickseg._qt.parts.controls import choice, form, looking_anew, stack, timer
from napari_clickseg._qt.parts.focus_and_wheel import leave_to_image
from napari_clickseg.models.pretrained import packaged_encoders
from napari_clickseg.models.registry import list_models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg._napari.train.fields import Setting
    from napari_clickseg._qt.train.form_context import TrainFormContext

_CROSSFIT = "crossfit"
_OPEN = object()  # stands for "Open a file…" among the models


class SpecForm(QWidget):
    """A group of fields, each made from what the spec says of it.

    They are made one after the other once the form is seen: all at once would hold the window.

    Parameters
    ----------
    group : str
        One of `training_settings.GROUPS`.
    made : callable
        Called when all fields are there, before they are shown.
    shown : callable
        Called when they are shown.
    """

    def __init__(
        self,
        context: TrainFormContext,
        group: str,
        made: Callable[[], object],
        shown: Callable[[], object],
    ) -> None:
        super().__init__()
        self._context, self._made, self._shown = context, made, shown
        self._waiting = list(settings_of(group))
        self.fields: dict[str, Any] = {}
        self._lines: dict[str, Any] = {}
        self._all = QWidget()  # shown when it is whole: what is below moves once
        self._all.hide()
        self._column = QVBoxLayout(self._all)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        stack(self, self._all)
        self._making = timer(self, self._make_next, 0, once=True)
        context.ties.show(self._show_values, "settings")
        context.ties.show(self._show_way, "way")

    def make(self) -> None:
        """Have the fields made, if they are not yet."""
        if self._waiting:
            self._making.start()
            if any(setting.name in NAMED for setting in self._waiting):
                self._context.controller.list_names()

    def _make_next(self) -> None:
        setting = self._waiting.pop(0)
        field = _FIELDS[setting.kind](self._context, setting)
        self.fields[setting.name] = field
        self._lines[setting.name] = form(field.widget)
        leave_to_image(self._lines[setting.name].native)
        self._column.addWidget(self._lines[setting.name].native)
        self._show(setting.name)
        self._show_way()
        if self._waiting:
            self._making.start()
        else:
            self._made()
            self._all.show()
            self._shown()

    def _show_values(self) -> None:
        for name in self.fields:
            self._show(name)

    def _show_way(self) -> None:
        """Leave out what a cross-fitting decides."""
        for name in NOT_CROSSFIT:
            if name in self._lines:
                self._lines[name].visible = self._context.state.way == "train"

    def _show(self, name: str) -> None:
        field = self.fields[name]
        field.show(self._context.state.settings.get(name, field.setting.default))


class _Field:
    """A field: shows a value of the spec and has the controller change it."""

    def __init__(self, context: TrainFormContext, setting: Setting) -> None:
        self._context, self.setting = context, setting
        self.widget = self._make()
        self._connect()

    def _make(self) -> Any:
        raise NotImplementedError

    def _connect(self) -> None:
        self.widget.changed.connect(self._write)

    def _write(self, value: Any) -> None:
        if not self._context.controller.set_value(self.setting, value):
            self.show(self._context.state.settings.get(self.setting.name, self.setting.default))

    def show(self, value: Any) -> None:
        with self.widget.changed.blocked():
            if self.widget.value != value:
                self.widget.value = value


class _Choice(_Field):
    def _make(self) -> Any:
        return choice(self.setting.label, self.setting.tip, list(self.setting.choices))


class _Switch(_Field):
    def _make(self) -> Any:
        return CheckBox(label=self.setting.label, text="", tooltip=self.setting.tip)


class IntegerField(_Field):
    """A field for a whole number."""

    def _make(self) -> Any:
        setting = self.setting
        made = SpinBox(
            label=setting.label,
            tooltip=setting.tip,
            min=setting.low,
            max=setting.high,
            step=32 if setting.name == "size" else 1,
        )
        made.native.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.UpDownArrows)
        return made


class _Text(_Field):
    def _make(self) -> Any:
        made = LineEdit(label=self.setting.label, tooltip=self.setting.tip)
        made.native.setPlaceholderText(self.setting.automatic)
        return made

    def _connect(self) -> None:
        self.widget.native.editingFinished.connect(self._typed)
        if self.setting.name in NAMED:
            self._context.ties.show(self._suggest, "names")

    def _suggest(self) -> None:
        """Offer the names that contain what is typed; all of them while nothing is."""
        names = self._context.state.names.get(self.setting.name, ())
        completer = QCompleter(self.widget.native)
        completer.setModel(_listed(names, completer))
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setMaxVisibleItems(12)
        self.widget.native.setCompleter(completer)

    def _typed(self) -> None:
        setting, state = self.setting, self._context.state
        before = state.settings.get(setting.name, setting.default)
        if self.widget.value == text_of(setting, before):
            return
        if not self._context.controller.set_text(setting, self.widget.value):
            self.show(before)

    def show(self, value: Any) -> None:
        text = text_of(self.setting, value)
        if self.widget.value != text:
            self.widget.value = text


def _listed(names: Sequence[str], owner: QCompleter) -> QStandardItemModel:
    """Return names as a list to complete from; bold where ImageNet's weights are installed."""
    at_hand = set(packaged_encoders())
    listed = QStandardItemModel(owner)  # a completer does not keep its model alive
    for name in names:
        item = QStandardItem(name)
        if name in at_hand:
            font = item.font()
            font.setBold(True)
            item.setFont(font)
            item.setToolTip(
                "ImageNet's weights are installed: Start from ImageNet needs no network."
            )
        listed.appendRow(item)
    return listed


class _Task(_Choice):
    """What is learned; a cross-fitting is one of the ways to learn to click."""

    def _make(self) -> Any:
        setting = self.setting
        tip = (
            f"{setting.tip} click-train by cross-fitting: finds one kind of thing without a click, "
            "and obeys clicks where that is wrong; learned from clicks on such errors."
        )
        choices = list(setting.choices)
        choices.insert(1, ("click-train by cross-fitting", _CROSSFIT))
        return choice(setting.label, tip, choices)

    def _write(self, value: Any) -> None:
        controller = self._context.controller
        controller.choose_way("crossfit" if value == _CROSSFIT else "train")
        if value != _CROSSFIT:
            super()._write(value)

    def show(self, value: Any) -> None:
        super().show(_CROSSFIT if self._context.state.way == "crossfit" else value)


_FIELDS: dict[str, Callable[[TrainFormContext, Setting], _Field]] = {
    "choice": _Choice,
    "switch": _Switch,
    "integer": IntegerField,
    "text": _Text,
}


class MainForm:
    """Chooses what is learned, and the weights that training starts from."""

    def __init__(self, context: TrainFormContext) -> None:
        self._context = context
        task, self.setting = settings_of("Main")
        self.task = _Task(context, task)
        self.box = looking_anew(choice(self.setting.label, self.setting.tip, self._choices))
        self.widget = form(self.task.widget, self.box)
        context.ties.show(self._show, "settings", "way")
        self.box.changed.connect(self._choose)

    @property
    def _value(self) -> str:
        return str(self._context.state.settings.get("start", self.setting.default))

    def _choices(self, _: object) -> list[tuple[str, Any]]:
        names = [entry.name for entry in list_models()]
        choices: list[tuple[str, Any]] = [
            (f"{name} model" if name == "default" else name, name) for name in names
        ]
        choices += [("ImageNet's encoder", "imagenet"), ("scratch", "scratch")]
        if self._value not in [value for _, value in choices]:
            choices.append((Path(self._value).name, self._value))
        return [*choices, ("Open a file…", _OPEN)]

    def _show(self) -> None:
        with self.box.changed.blocked():
            self.box.reset_choices()
            self.box.value = self._value
        task = self.task.setting
        self.task.show(self._context.state.settings.get(task.name, task.default))

    def _choose(self, value: Any) -> None:
        if value is _OPEN:
            value, _ = QFileDialog.getOpenFileName(
                self.box.native, "Open a model", "", "Models (*.safetensors);;All files (*)"
            )
        if value:
            self._context.controller.set_value(self.setting, value)
        self._show()
