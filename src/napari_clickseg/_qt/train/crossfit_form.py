"""Click training by cross-fitting: what is chosen for it, how far it is, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_clickseg._napari.train.crossfit_text import (
    STAGE_NAMES,
    figures_lines,
    obedience_text,
    part_text,
    part_tip,
)
from napari_clickseg._napari.train.fields import settings_of
from napari_clickseg._qt.parts.controls import add_line, choice, form, note, stack
from napari_clickseg._qt.train.spec_form import IntegerField
from napari_clickseg.crossfit.progress import parts_of

if TYPE_CHECKING:
    from napari_clickseg._qt.train.form_context import TrainFormContext
    from napari_clickseg.crossfit.progress import CrossfitProgress

_Place = tuple[int, int, int]  # row, column, columns that it takes
_AS_FOUND, _WHOLE = "as found", "whole"
_MOST_FOLDS = 10  # that are told apart in the table


class CrossfitForm(QWidget):
    """The few things that matter: what is found, in how many folds, and whether it pauses."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._context, self._state = context, context.state
        self.thing = choice(
            "Find",
            "Which of the classes is found; the model knows one kind of thing. Press Check to "
            "have the classes listed.",
            self._choices,
        )
        (setting,) = settings_of("Crossfit")
        self.folds = IntegerField(context, setting)
        self.pause = CheckBox(
            text="Pause to look at the clicks",
            tooltip="Ends when the clicks are placed, so that you can look at them, and edit them, "
            "before anything is learned from them. Without it, it goes on by itself.",
        )
        self._find = form(self.thing)
        stack(self, self._find, form(self.folds.widget), self.pause)
        self.thing.changed.connect(self._chosen)
        context.ties.tie(self.pause, "pauses")
        context.ties.show(self._show, "way", "settings", "classes")

    def _choices(self, _: object) -> list[tuple[str, Any]]:
        known = self._state.classes
        names = dict(known)
        choices: list[tuple[str, Any]] = [("as found", _AS_FOUND)]
        choices += [(f"{name} ({number})", (number,)) for number, name in known]
        choices.append(("all classes together", _WHOLE))
        value = self._value()
        if value not in [one for _, one in choices]:
            choices.append((", ".join(names.get(n, str(n)) for n in value), value))
        return choices

    def _value(self) -> Any:
        settings = self._state.settings
        if settings.get("whole"):
            return _WHOLE
        return tuple(settings.get("classes", ())) or _AS_FOUND

    def _chosen(self, value: Any) -> None:
        classes = () if value in (_AS_FOUND, _WHOLE) else value
        self._context.controller.choose_classes(classes, whole=value == _WHOLE)

    def _show(self) -> None:
        self.setVisible(self._state.way == "crossfit")
        with self.thing.changed.blocked():
            self.thing.reset_choices()
            self.thing.value = self._value()
        self._find.visible = len(self._state.classes) > 1 or self._value() != _AS_FOUND
        self.folds.show(self._state.settings.get(self.folds.setting.name, 5))


class StagesTable(QWidget):
    """Folds and stages: what is done, what goes on, what failed."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._state = context.state
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 4, 0, 4)
        self._grid.setHorizontalSpacing(4)
        self._grid.setVerticalSpacing(2)
        self._labels: dict[_Place, QLabel] = {}
        self.setToolTip(
            "Each column is a fold: its baseline learns from the other folds and predicts this "
            "one; clicks are put on the errors; a second training learns from them, and is "
            "measured on this fold. Last, a final model learns from all images."
        )
        context.ties.show(self._show, "run")

    def text(self) -> list[list[str]]:
        """Return what the table says, line by line, with its head."""
        lines: dict[int, list[str]] = {}
        for place, label in sorted(self._labels.items(), key=lambda one: one[0]):
            if not label.isHidden():
                lines.setdefault(place[0], []).append(label.text())
        return list(lines.values())

    def _show(self) -> None:
        crossfit = parts_of(self._state.run)
        self.setVisible(crossfit is not None and bool(crossfit.parts))
        if crossfit is None:
            return
        cells = _cells(crossfit)
        for place, label in self._labels.items():
            label.setVisible(place in cells)
        for place, (text, tip) in cells.items():
            label = self._labels.get(place) or self._add(place)
            label.setVisible(True)
            if label.text() != text:
                label.setText(text)
            label.setToolTip(tip)

    def _add(self, place: _Place) -> QLabel:
        label = QLabel()
        row, column, wide = place
        left = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignHCenter
        label.setAlignment(left | Qt.AlignmentFlag.AlignVCenter)
        self._grid.addWidget(label, row, column, 1, wide)
        self._grid.setColumnStretch(column, 0 if column == 0 else 1)
        self._labels[place] = label
        return label


def _cells(crossfit: CrossfitProgress) -> dict[_Place, tuple[str, str]]:
    """Return text and tooltip of each cell."""
    apart = crossfit.folds <= _MOST_FOLDS
    columns = crossfit.folds if apart else 1
    head = "Fold" if apart else f"{crossfit.folds} folds"
    cells = {(0, 0, 1): (head, "")}
    if apart:
        cells |= {(0, k, 1): (str(k), f"Fold {k}") for k in range(1, columns + 1)}
    stages = list(dict.fromkeys(stage for stage, _ in crossfit.parts))
    for row, stage in enumerate(stages, 1):
        cells[row, 0, 1] = STAGE_NAMES[stage], ""
        own = {step: part for step, part in crossfit.parts.items() if step[0] == stage}
        if not apart and len(own) > 1:
            done = sum(part.state == "done" for part in own.values())
            cells[row, 1, 1] = f"{done} of {len(own)}", STAGE_NAMES[stage]
            continue
        for step, part in own.items():
            place = (row, step[1], 1) if step[1] else (row, 1, columns)
            cells[place] = part_text(part), part_tip(step, part)
    return cells


class FiguresTable(QWidget):
    """The report's main figures."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._state = context.state
        self.setToolTip(
            "Means over all images, each predicted by models that were not trained on it. IoU and "
            "Dice: larger is better. A click is obeyed where at least half of its region is put "
            "right. More is in the report."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        self._grid = QGridLayout()
        self._grid.setColumnStretch(0, 1)
        column.addLayout(self._grid)
        self.obeyed = note("How many clicks were obeyed.")
        column.addWidget(self.obeyed.native)
        self._lines: list[list[QLabel]] = []
        context.ties.show(self._show, "run")

    def text(self) -> list[list[str]]:
        """Return what the table says, line by line, with its head."""
        return [[label.text() for label in line] for line in self._lines]

    def _show(self) -> None:
        crossfit = parts_of(self._state.run)
        figures = crossfit.figures if crossfit is not None else None
        self.setVisible(figures is not None)
        if figures is None:
            return
        lines = figures_lines(figures)
        while len(self._lines) < len(lines):
            self._add_line()
        for line, texts in zip(self._lines, lines, strict=True):
            for label, text in zip(line, texts, strict=True):
                label.setText(text)
        self.obeyed.value = obedience_text(figures)
        self.obeyed.visible = bool(self.obeyed.value)

    def _add_line(self) -> None:
        self._lines.append(add_line(self._grid, len(self._lines), 3))
