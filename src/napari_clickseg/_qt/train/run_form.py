"""A run as it goes: where it is, its curves, whether it helped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QGridLayout, QLabel, QPlainTextEdit, QProgressBar, QVBoxLayout, QWidget

from napari_clickseg._napari.train.text import (
    figure_text,
    metric_text,
    shown_metrics,
    status_text,
)
from napari_clickseg._qt.parts.controls import (
    add_line,
    breakable,
    button,
    choice,
    form,
    keep_place,
    note,
    row,
    stack,
)
from napari_clickseg._qt.parts.curves import CurvePlot, Line
from napari_clickseg._qt.parts.folds import Fold
from napari_clickseg.crossfit.progress import parts_of
from napari_clickseg.training.progress import RESUMABLE, parted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_clickseg._qt.train.form_context import TrainFormContext
    from napari_clickseg.training.progress import HelpRow

_STEPS = 1000  # of the progress bar


class RunForm(QWidget):
    """Starts, stops and resumes; says where the run is."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._state, controller = context.state, context.controller
        self.train = button(
            "Train",
            "Looks through the images and begins to train, in a process of its own: napari stays "
            "free, and closing it does not end the training.",
            controller.start,
        )
        self.stop = button(
            "Stop", "Ends after the current batch. The best model so far is kept.", controller.stop
        )
        self.resume = button(
            "Resume", "Goes on with the run that is shown, where it ended.", controller.resume
        )
        self.status = note("Where the training is.", lines=3)
        self.warning = note("The last thing that the run warned of; all of it is under Messages.")
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.bar.setToolTip(
            "The share of the epochs, of all trainings together, that is done. It may end earlier."
        )
        keep_place(self.bar)
        stack(self, row(self.train, self.stop, self.resume), self.status, self.bar)
        context.ties.show(self._show, "run", "busy")

    def _show(self) -> None:
        run = self._state.run
        self.train.enabled = not run.alive and not self._state.busy
        self.resume.text = "Go on" if run.status == "paused" else "Resume"
        self.stop.enabled = run.alive and run.status != "stopping"
        self.resume.enabled = (
            run.status in RESUMABLE and run.path is not None and not self._state.busy
        )
        self.status.value = breakable(status_text(run))
        self.bar.setValue(round(_STEPS * run.done))
        self.bar.setVisible(run.status != "none")
        warnings = [message.text for message in run.messages if message.warning]
        self.warning.value = breakable(f"! {warnings[-1]}") if warnings else ""
        self.warning.visible = bool(warnings)


class CurvesForm(QWidget):
    """Loss and metrics by epoch."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._state = context.state
        self.loss = CurvePlot(
            "Loss",
            "How far off the network is: on the images it learns from, and on those kept for "
            "validation. If only the second one rises, it learns by heart. The dotted line is the "
            "epoch that is kept.",
        )
        self.metrics = CurvePlot(
            "Validation",
            "How good it is on the images kept for validation; 1 is perfect. The dotted line is "
            "the epoch that is kept. Where objects are told apart: PQ is the panoptic quality, "
            "AP50 and F1 count objects that are found with an IoU above 0.5; connected pieces are "
            "what one has without telling objects apart.",
            span=(0.0, 1.0),
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.loss)
        column.addWidget(self.metrics)
        context.ties.show(self._show, "run")

    def _show(self) -> None:
        curves = self._state.run.curves
        losses = (
            Line("", curves.batches),
            Line("training", _points(curves.loss)),
            Line("validation", _points(curves.validation_loss)),
        )
        metrics = [
            Line(metric_text(name), _points(curves.metrics[name]))
            for name in shown_metrics(list(curves.metrics))
        ]
        # The same epochs in both, one above the other.
        epochs = [x for line in (*losses, *metrics) for x, _ in line.points]
        spread = (min(epochs), max(epochs)) if epochs else None
        self.loss.show_lines(losses, curves.best, spread)
        self.metrics.show_lines(metrics, curves.best, spread)


class HelpForm(QWidget):
    """Says whether the training helped: in words, three rows, the rest folded; and what is next."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._state = context.state
        self.sentence = note("Whether the training helped, and how sure that is.")
        self.advice = note("What to do next, from the figures.")
        self.rows, self.others = HelpTable(), HelpTable()
        self.more = Fold("All figures", self.others, "What else was measured before and after.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.setSpacing(4)
        for part in (self.sentence.native, self.rows, self.advice.native, self.more):
            column.addWidget(part)
        context.ties.show(self._show, "run")

    def _show(self) -> None:
        run = self._state.run
        first, others = parted(run.table)
        self.rows.show_rows(first)
        self.others.show_rows(others)
        self.more.setVisible(bool(others))
        verdict = run.verdict
        self.sentence.visible = self.advice.visible = verdict is not None
        self.sentence.value = breakable(verdict.text) if verdict is not None else ""
        advice = verdict.advice if verdict is not None else ()
        self.advice.value = breakable("\n".join(f"→ {line}" for line in advice))
        self.setVisible(bool(run.table))


class HelpTable(QWidget):
    """Figures before and after."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(0, 1)
        self._labels: list[list[QLabel]] = []
        self.setToolTip(
            "On the validation images, before and after training. IoU and Dice: larger is better. "
            "NoC@85: the clicks that an object needs until the IoU is 0.85 (20 where it never "
            "is); fewer is better. Jittered clicks miss by some pixels, as those of a hand. AP, F1 "
            "and panoptic quality: how many objects are found, each as one; larger is better. "
            "Splits are objects found in several pieces, merges several taken for one; fewer is "
            "better."
        )

    def text(self) -> list[list[str]]:
        """Return what the table says, line by line, with its head."""
        return [[label.text() for label in line] for line in self._labels if not line[0].isHidden()]

    def show_rows(self, rows: Sequence[HelpRow]) -> None:
        """Show these rows under the head."""
        lines = [("Did it help?", "before", "after")]
        lines += [
            (one.text, figure_text(one.before), figure_text(one.after) + _arrow(one.better))
            for one in rows
        ]
        while len(self._labels) < len(lines):
            self._add_line()
        for number, line in enumerate(self._labels):
            for column, label in enumerate(line):
                label.setVisible(number < len(lines))
                if number < len(lines):
                    label.setText(lines[number][column])

    def _add_line(self) -> None:
        self._labels.append(add_line(self._grid, len(self._labels), 3))


class RunChoice:
    """The runs there are, and what to do with the one that is shown."""

    def __init__(self, context: TrainFormContext) -> None:
        self._context, self._state = context, context.state
        self.runs = choice(
            "Run", "The runs in the folder, the newest first. Choose one to see it.", self._runs
        )
        self.previews = button(
            "Show predictions",
            "Shows validation images beside what is open: their labels as outlines, and what the "
            "network finds, refreshed while it trains.",
            toggles=True,
        )
        self.use = button(
            "Use it in Annotate",
            "Copies the model to your models and has it answer your clicks.",
            context.controller.use_model,
        )
        self.report = button(
            "Open report", "Opens the run's report: plots, figures and settings.", self._open_report
        )
        self.folder = button("Open folder", "Opens the run's folder.", self._open_folder)
        self.widget = form(
            form(self.runs),
            row(self.previews, self.use),
            row(self.report, self.folder),
            labels=False,
        )
        self._connect()

    def _connect(self) -> None:
        self.runs.changed.connect(self._choose_run)
        self.previews.changed.connect(self._context.controller.show_previews)
        self._context.ties.show(self._show_runs, "runs")
        self._context.ties.show(self._show_run, "run", "show_previews")

    def _runs(self, _: object) -> list[tuple[str, Any]]:
        entries = [(entry.name, entry.path) for entry in self._state.runs]
        run = self._state.run
        if run.path is not None and run.path not in [path for _, path in entries]:
            entries.insert(0, (run.name, run.path))
        return entries or [("none yet", None)]

    def _show_runs(self) -> None:
        with self.runs.changed.blocked():
            self.runs.reset_choices()
            if self._state.run.path in self.runs.choices:
                self.runs.value = self._state.run.path

    def _show_run(self) -> None:
        run = self._state.run
        self.previews.visible = parts_of(run) is None
        if self.runs.value != run.path and run.path is not None:
            self._show_runs()
        with self.previews.changed.blocked():
            self.previews.value = self._state.show_previews
        self.runs.enabled = not run.alive
        self.previews.enabled = bool(run.previews)
        self.use.enabled = run.model is not None and not run.alive
        self.folder.enabled = run.path is not None
        self.report.enabled = run.path is not None and run.status in ("finished", "stopped")

    def _choose_run(self, path: Any) -> None:
        if path is not None:
            self._context.controller.choose_run(path)

    def _open_report(self) -> None:
        if (path := self._context.controller.report()) is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def _open_folder(self) -> None:
        if self._state.run.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._state.run.path)))


class Messages(QPlainTextEdit):
    """What the run said, the last line at the bottom."""

    def __init__(self, context: TrainFormContext) -> None:
        super().__init__()
        self._state = context.state
        self.setReadOnly(True)
        self.setAccessibleName("Messages of the run")
        self.setTabChangesFocus(True)
        self.setMaximumHeight(120)
        self.setPlaceholderText("The run has said nothing.")
        context.ties.show(self._show, "run")

    def _show(self) -> None:
        said = [
            f"Warning: {one.text}" if one.warning else one.text for one in self._state.run.messages
        ]
        text = "\n".join(said)
        if text != self.toPlainText():
            self.setPlainText(text)


def _points(by_epoch: Mapping[int, float]) -> tuple[tuple[float, float], ...]:
    return tuple((float(epoch), value) for epoch, value in sorted(by_epoch.items()))


def _arrow(better: bool | None) -> str:
    return "" if better is None else (" ✓" if better else " ✗")
