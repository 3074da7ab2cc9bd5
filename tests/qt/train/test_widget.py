"""The whole way from annotated layers to a model, by mouse and keys in a real window."""

from __future__ import annotations

from statistics import median
from time import thread_time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QComboBox,
    QLineEdit,
    QWidget,
)

from napari_clickseg._napari.train.state import Check, RunEntry
from napari_clickseg.training.progress import Curves, HelpRow, Message, RunProgress
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.verdict import Verdict
from tests.qt.conftest import until_gone
from tests.qt.layout import tip, until_nothing_is_cut_off

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg._qt.train.widget import TrainWidget

    Open = Callable[..., tuple[Any, TrainWidget]]

pytestmark = pytest.mark.gui

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in napari's corner."""
    said: list[str] = []
    for name in ("show_error", "show_info"):
        monkeypatch.setattr(f"napari_clickseg._napari.train.controller.{name}", said.append)
    return said


def annotate(viewer: Any, *names: str) -> None:
    """Open images with labels."""
    rng = np.random.default_rng(0)
    for name in names:
        labels = np.zeros((64, 64), int)
        y, x = rng.integers(4, 40, 2)
        labels[y : y + 18, x : x + 18] = 1
        labels[2:6, 2:6] = 2
        image = (labels > 0) * 120 + rng.integers(0, 40, labels.shape)
        viewer.add_image(image.astype(np.uint8), name=name)
        viewer.add_labels(labels, name=f"{name} labels")


def click(button: Any) -> None:
    native = getattr(button, "native", button)
    assert native.isEnabled(), native.text()
    assert native.rect().isValid(), f"'{native.text()}' has no room yet: a click would miss it"
    QTest.mouseClick(native, LEFT)


def run_of(widget: TrainWidget) -> RunFolder:
    path = widget.context.state.run.path
    assert path is not None, widget.context.state.message
    return RunFolder(path)


def epochs(widget: TrainWidget, last: int, qtbot: Any) -> None:
    """Let the pretended training go on."""
    for epoch in range(1, last + 1):
        (run_of(widget).path / f"do-{epoch}").touch()
    curves = lambda: widget.context.state.run.curves  # noqa: E731
    qtbot.waitUntil(lambda: len(curves().loss) == last, timeout=30_000)


def status(widget: TrainWidget, wanted: str, qtbot: Any) -> None:
    def reached() -> None:
        state = widget.context.state
        assert state.run.status == wanted, (state.message, state.run)

    qtbot.waitUntil(reached, timeout=60_000)


def test_from_layers_to_a_model_that_answers_clicks(
    open_train: Open, training_child: Any, told: list[str], qtbot: Any
) -> None:
    viewer, widget = open_train()
    assert "No image with labels is open" in widget.source.nothing.value
    annotate(viewer, "a", "b", "c")
    qtbot.waitUntil(lambda: widget.source.pairs.topLevelItemCount() == 3)
    click(widget.source.check)
    qtbot.waitUntil(
        lambda: "Will train a click model" in widget.source.report.value, timeout=30_000
    )
    assert "3 annotated images" in widget.source.report.value
    click(widget.run.train)
    assert not widget.run.train.enabled
    status(widget, "running", qtbot)
    epochs(widget, 2, qtbot)
    assert [line.name for line in widget.curves.loss.lines] == ["", "training", "validation"]
    assert len(widget.curves.metrics.lines[0].points) == 2
    assert widget.helped.isHidden() and not widget.runs.use.enabled
    epochs(widget, 4, qtbot)
    status(widget, "finished", qtbot)
    assert widget.helped.rows.text()[1] == ["IoU", "0.400", "0.800 ✓"]
    assert "Done after 4 epochs" in widget.run.status.value
    assert not widget.run.stop.enabled and not widget.run.resume.enabled
    assert not widget._polling.isActive()
    click(widget.runs.use)
    qtbot.waitUntil(lambda: "Clicks are answered by a-" in widget.message.value, timeout=30_000)
    _, other = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    assert other.context.state.model == run_of(widget).path.name
    qtbot.waitUntil(lambda: other.context.state.model_status == "ready", timeout=30_000)


def test_a_pair_that_is_not_ticked_is_not_learned_from(
    open_train: Open, training_child: Any, qtbot: Any
) -> None:
    viewer, widget = open_train()
    annotate(viewer, "a", "b", "c")
    qtbot.waitUntil(lambda: widget.source.pairs.topLevelItemCount() == 3)
    listed = widget.source.pairs
    place = listed.visualItemRect(listed.topLevelItem(1))
    QTest.mouseClick(listed.viewport(), LEFT, pos=QPoint(place.left() + 10, place.center().y()))
    assert [offer.chosen for offer in widget.context.state.offers] == [True, False, True]
    click(widget.source.check)
    qtbot.waitUntil(lambda: "2 annotated images" in widget.source.report.value, timeout=30_000)


def test_what_has_no_labels_is_kept_where_that_is_ticked(
    open_train: Open, training_home: Path, qtbot: Any
) -> None:
    viewer, widget = open_train()
    assert not widget.source.rest.visible, "there is nothing yet"
    annotate(viewer, "a", "b", "c")
    viewer.layers["c labels"].data[:] = 0
    qtbot.waitUntil(lambda: widget.source.pairs.topLevelItemCount() == 3)
    assert widget.source.rest.visible and not widget.source.rest.value
    click(widget.source.rest)
    assert widget.context.state.rest
    click(widget.source.check)
    qtbot.waitUntil(lambda: "2 annotated images" in widget.source.report.value, timeout=30_000)
    (project,) = (training_home / "projects").iterdir()
    assert sorted(path.stem for path in (project / "images").iterdir()) == ["a", "b", "c"]
    assert sorted(path.stem for path in (project / "masks").iterdir()) == ["a", "b"]


def test_images_that_belong_together_are_given_the_same_group(
    open_train: Open, training_child: Any, qtbot: Any
) -> None:
    viewer, widget = open_train()
    annotate(viewer, "a", "b", "c")
    qtbot.waitUntil(lambda: widget.source.pairs.topLevelItemCount() == 3)
    listed = widget.source.pairs
    for index in (0, 1):
        place = listed.visualRect(listed.model().index(index, 1)).center()
        QTest.mouseClick(listed.viewport(), LEFT, pos=place)
        QTest.mouseDClick(listed.viewport(), LEFT, pos=place)
        editor = listed.viewport().findChildren(QLineEdit)[-1]
        QTest.keyClicks(editor, "field 1")
        QTest.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda index=index: widget.context.state.offers[index].group == "field 1")
    click(widget.source.check)
    qtbot.waitUntil(lambda: "in 2 groups" in widget.source.report.value, timeout=30_000)


def test_stop_and_resume(
    open_train: Open, training_child: Any, told: list[str], qtbot: Any
) -> None:
    viewer, widget = open_train()
    annotate(viewer, "a", "b")
    click(widget.run.train)
    status(widget, "running", qtbot)
    epochs(widget, 1, qtbot)
    click(widget.run.stop)
    assert not widget.run.stop.enabled
    status(widget, "stopped", qtbot)
    assert "The best model so far is kept" in widget.run.status.value
    click(widget.run.resume)
    status(widget, "running", qtbot)
    epochs(widget, 4, qtbot)
    status(widget, "finished", qtbot)
    assert training_child.asked[-1][1] == "--resume"


def test_a_failure_is_said_once_and_stays_readable(
    open_train: Open, training_child: Any, told: list[str], qtbot: Any
) -> None:
    viewer, widget = open_train()
    annotate(viewer, "a", "b")
    click(widget.run.train)
    status(widget, "running", qtbot)
    (run_of(widget).path / "fail").touch()
    status(widget, "failed", qtbot)
    qtbot.wait(1200)
    assert len(told) == 1 and "NaN" in told[0]
    assert "lower the learning rate" in widget.run.status.value
    assert widget.run.resume.enabled and widget.run.train.enabled


def test_closing_the_widget_does_not_end_a_training_and_it_is_found_again(
    open_train: Open, training_child: Any, told: list[str], qtbot: Any
) -> None:
    viewer, widget = open_train()
    annotate(viewer, "a", "b")
    click(widget.run.train)
    status(widget, "running", qtbot)
    path = run_of(widget).path
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    assert training_child.processes[0].poll() is None
    _, again = open_train(viewer)
    status(again, "running", qtbot)
    assert run_of(again).path == path and again.runs.runs.value == path
    epochs(again, 4, qtbot)
    status(again, "finished", qtbot)


def test_nothing_listens_after_closing(open_train: Open, qtbot: Any) -> None:
    viewer, widget = open_train()
    state, controller = widget.context.state, widget.context.controller
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    state.message = "Nobody shows this."
    annotate(viewer, "a")
    viewer.layers.clear()
    qtbot.wait(50)
    assert state.offers == ()
    assert all(each.join(10) for each in (controller.runner, controller.reader))


def test_fields_are_typed_and_nonsense_is_refused(open_train: Open, qtbot: Any) -> None:
    _, widget = open_train()
    click(widget.folds["Learning"].header)
    form = widget.specs["Learning"]
    qtbot.waitUntil(lambda: "seed" in form.fields, timeout=10_000)
    state = widget.context.state
    for name, text in (("epochs", "7"), ("learning_rate", "3e-4"), ("losses", "DiceLoss")):
        edit = form.fields[name].widget.native
        edit.setFocus()
        edit.selectAll()
        QTest.keyClicks(edit, text)
        QTest.keyClick(edit, Qt.Key.Key_Return)
    losses = [{"name": "DiceLoss"}]
    assert state.settings == {"epochs": 7, "learning_rate": 3e-4, "losses": losses}
    edit = form.fields["learning_rate"].widget.native
    edit.selectAll()
    QTest.keyClicks(edit, "-5")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert "learning_rate" in widget.message.value
    assert form.fields["learning_rate"].widget.value == "0.0003"
    widget.main.task.widget.value = "multiclass"
    assert state.settings["task"] == "multiclass"
    widget.folds["Folder"].expand(animate=False)
    qtbot.wait(50)
    widget.context.controller.reset_settings()
    assert form.fields["epochs"].widget.value == ""
    assert widget.main.task.widget.value == "click"


def test_a_project_is_chosen_by_its_path(
    open_train: Open, make_project: Callable[..., Path], tmp_path: Path, qtbot: Any
) -> None:
    _, widget = open_train()
    project = make_project(tmp_path / "cells", 3)
    widget.source.source.value = "project"
    assert widget.source.nothing.visible is False
    edit = widget.source.path.native
    edit.setFocus()
    QTest.keyClicks(edit, str(project))
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert widget.context.state.project == str(project)
    click(widget.source.check)
    qtbot.waitUntil(lambda: "3 annotated images" in widget.source.report.value, timeout=30_000)


def test_samples_are_shown_in_a_window(
    open_train: Open, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (60, 90, 3)).astype(np.uint8)
    monkeypatch.setattr(
        "napari_clickseg._napari.train.jobs.samples", lambda *_: picture, raising=True
    )
    viewer, widget = open_train()
    annotate(viewer, "a", "b")
    click(widget.source.samples)
    qtbot.waitUntil(lambda: hasattr(widget, "samples") and widget.samples.isVisible())
    shown = widget.samples.label.pixmap()
    assert shown.width() / shown.height() == pytest.approx(1.5, rel=0.02)
    widget.samples.resize(200, 200)
    widget.samples.close()


def test_predictions_are_toggled_by_a_button(
    open_train: Open, training_child: Any, told: list[str], qtbot: Any
) -> None:
    from napari_clickseg.data.masks import write_mask

    viewer, widget = open_train()
    annotate(viewer, "0", "1")
    click(widget.run.train)
    status(widget, "running", qtbot)
    write_mask(run_of(widget).path / "previews" / "0.png", np.ones((64, 64), np.uint8))
    epochs(widget, 1, qtbot)
    qtbot.waitUntil(lambda: widget.runs.previews.enabled)
    click(widget.runs.previews)
    qtbot.waitUntil(lambda: "validation predictions" in viewer.layers, timeout=10_000)
    click(widget.runs.previews)
    assert len(viewer.layers) == 4


BUSY_RUN = RunProgress(
    status="running", name="yeast", epoch=100, epochs=200, batch=3, batches=20, seconds_left=99,
    device="cpu", training=7, validation=2, model=None,
    curves=Curves(
        loss={i: 1 / i for i in range(1, 101)}, validation_loss={i: 2 / i for i in range(1, 101)},
        metrics={name: dict.fromkeys(range(1, 101), 0.5) for name in ("dice_macro", "iou_macro")},
        batches=tuple((i / 8, 1.0) for i in range(800)), best=50,
    ),
    table=(HelpRow("IoU", 0.4, 0.8), HelpRow("NoC@85, jittered clicks", 6.0, 2.0)),
    verdict=Verdict("better", "It helped: 2.0 clicks instead of 6.0.", ("Use it.",)),
    messages=tuple(Message(f"Something was said at some length, {i}.") for i in range(50)),
)  # fmt: skip
CHANGES: dict[str, Any] = {
    "run": BUSY_RUN, "message": "Something happened.", "busy": "Looking through the images …",
    "steps": (3, 9), "check": Check(("9 images",), ("Note.",), (), "Will train."), "name": "mine",
    "source": "project", "project": "/some/where", "settings": {"epochs": 3}, "home": "/else",
    "together": "image", "rest": True, "show_previews": True,
}  # fmt: skip


def test_showing_a_change_is_quick_and_changes_nothing_else(open_train: Open, qtbot: Any) -> None:
    _viewer, widget = open_train()
    for spec in widget.specs.values():
        spec.make()
    qtbot.wait(200)
    state = widget.context.state
    before = {name: getattr(state, name) for name in CHANGES}
    told: list[str] = []
    for name in CHANGES:
        getattr(state.events, name).connect(lambda *_, name=name: told.append(name))
    times: dict[str, list[float]] = {}
    others: dict[str, set[str]] = {}
    for field, choice in CHANGES.items():
        for _ in range(10):
            for value in (choice, before[field]):
                start = thread_time()
                setattr(state, field, value)
                times.setdefault(field, []).append(thread_time() - start)
        others[field] = set(told) - {field}
        told.clear()
        assert {name: getattr(state, name) for name in CHANGES} == before, field
    assert {field: names for field, names in others.items() if names} == {}
    assert {field: median(took) for field, took in times.items() if median(took) >= 0.020} == {}


def test_what_is_being_done_is_said_where_it_is_always_in_sight(open_train: Open) -> None:
    _, widget = open_train()
    state = widget.context.state
    state.message = ""
    state.busy, state.steps = "Drawing samples …", (3, 9)
    assert widget.message.value == "Drawing samples … 3 of 9"
    state.message = "It can't be read."
    assert widget.message.value == state.message
    state.message = state.busy = ""
    assert not widget.message.value


def test_every_control_has_a_tooltip(open_train: Open, qtbot: Any) -> None:
    _, widget = open_train()
    show_everything(widget, qtbot)
    kinds = (QAbstractButton, QAbstractSlider, QComboBox)
    own = [
        control
        for control in widget.findChildren(QWidget)
        if isinstance(control, kinds)
        and control.parent() is not None
        and not control.objectName().startswith("qt_")
        and not control.isHidden()
        and "Scroll" not in type(control).__name__
    ]
    assert len(own) > 25
    assert not [control for control in own if not tip(control)]


def show_everything(widget: TrainWidget, qtbot: Any) -> None:
    state = widget.context.state
    for fold in widget.folds.values():
        fold.expand(animate=False)
    state.message = "This says at length what went wrong and what to do next. " * 3
    state.check = CHANGES["check"]
    state.runs = (RunEntry(widget.context.controller.viewer and _path(), "x" * 40, "finished"),)
    state.run = BUSY_RUN
    form = widget.specs["Learning"]
    qtbot.waitUntil(lambda: "seed" in form.fields, timeout=120_000)


def _path() -> Any:
    from pathlib import Path

    return Path("/a/long/path/to/some/folder/of/runs")


def test_no_text_is_cut_off_in_a_narrow_dock(open_train: Open, qtbot: Any) -> None:
    viewer, widget = open_train()
    viewer.window._qt_window.resize(900, 700)
    annotate(viewer, "an image with a rather long name that nobody can read")
    show_everything(widget, qtbot)
    dock = widget.parentWidget()
    for theme in ("light", "dark"):
        viewer.theme = theme
        viewer.window._qt_window.resizeDocks([dock], [200], Qt.Orientation.Horizontal)
        qtbot.wait(300)
        qtbot.waitUntil(lambda: widget.width() <= 340)
        until_nothing_is_cut_off(qtbot, widget)


def test_the_folder_is_remembered(
    open_train: Open, training_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    viewer, widget = open_train()
    assert widget.context.state.home == str(training_home)
    widget.context.controller.choose_home(str(tmp_path / "other"))
    viewer.window.remove_dock_widget(widget)
    widget._end()
    _, again = open_train()
    assert again.context.state.home == str(tmp_path / "other")


def test_files_and_folders_are_chosen_in_dialogs(
    open_train: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot: Any
) -> None:
    from qtpy.QtWidgets import QFileDialog

    answers = {"folder": "", "file": ""}
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: answers["folder"])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (answers["file"], ""))
    _, widget = open_train()
    state, home = widget.context.state, widget.context.state.home
    widget.source.source.value = "project"
    widget.folds["Folder"].expand(animate=False)
    qtbot.waitUntil(lambda: widget.choose.native.rect().isValid())
    click(widget.source.folder), click(widget.source.table), click(widget.choose)
    widget.main.box.value = widget.main.box.choices[-1]
    assert (state.project, state.home, state.settings) == ("", home, {}), "dialogs were cancelled"
    assert widget.main.box.value == "default"
    answers |= {"folder": str(tmp_path / "here"), "file": str(tmp_path / "mine.safetensors")}
    click(widget.source.folder)
    assert state.project == str(tmp_path / "here") == widget.source.path.value
    click(widget.source.table)
    assert state.project == str(tmp_path / "mine.safetensors")
    click(widget.choose)
    assert state.home == str(tmp_path / "here") == widget.home.value
    widget.main.box.value = widget.main.box.choices[-1]
    assert state.settings == {"start": str(tmp_path / "mine.safetensors")}
    assert widget.main.box.current_choice == "mine.safetensors"
    widget.home.native.setFocus()
    widget.home.native.selectAll()
    QTest.keyClicks(widget.home.native, str(tmp_path / "typed"))
    QTest.keyClick(widget.home.native, Qt.Key.Key_Return)
    assert state.home == str(tmp_path / "typed")


def test_report_and_folder_are_opened_by_the_system(
    open_train: Open, training_home: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    from qtpy.QtGui import QDesktopServices

    from napari_clickseg.training.spec import read_spec

    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    runs = [RunFolder(training_home / "runs" / name) for name in ("one", "other")]
    for run in runs:
        run.create(read_spec(None, project="p"))
        run.add("started", pid=0, epochs=1, resumed=False)
    _, widget = open_train()
    qtbot.waitUntil(lambda: widget.context.state.run.status == "stopped", timeout=10_000)
    click(widget.runs.report)
    assert "no report" in widget.message.value and opened == []
    path = run_of(widget).path
    (path / "report.md").touch()
    click(widget.runs.report), click(widget.runs.folder)
    assert opened == [str(path / "report.md"), str(path)]
    other = next(run.path for run in runs if run.path != path)
    widget.runs.runs.value = other
    qtbot.waitUntil(lambda: run_of(widget).path == other)


def test_names_of_networks_are_offered_while_typing(
    open_train: Open, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    names = {
        "architecture": ("unet", "fpn", "unetplusplus"),
        "encoder": ("tu-tf_efficientnet_lite0", "resnet18"),
    }
    monkeypatch.setattr("napari_clickseg._napari.train.jobs.list_names", lambda _: names)
    _, widget = open_train()
    click(widget.folds["Network"].header)
    form = widget.specs["Network"]
    qtbot.waitUntil(lambda: "dropout" in form.fields, timeout=20_000)
    qtbot.waitUntil(lambda: widget.context.state.names == names, timeout=10_000)
    encoders = form.fields["encoder"].widget.native.completer().model()
    bold = [encoders.item(i).font().bold() for i in range(encoders.rowCount())]
    assert bold == [True, False], "those are bold whose ImageNet weights are installed"
    completer = form.fields["architecture"].widget.native.completer()
    completer.setCompletionPrefix("UNET")
    completions = [completer.setCurrentRow(i) and completer.currentCompletion() for i in range(2)]
    assert completions == ["unet", "unetplusplus"]


def test_hiding_what_was_found_leaves_no_gap(open_train: Open, qtbot: Any) -> None:
    _, widget = open_train()
    state, source = widget.context.state, widget.source
    state.check = Check(("Many words about what there is. " * 9,), (), (), "A plan. " * 9)
    qtbot.wait(100)
    state.check = None
    qtbot.waitUntil(lambda: source.height() <= source.sizeHint().height() + 2, timeout=10_000)


# ---- without pretence


@pytest.mark.slow
def test_a_real_training_of_a_tiny_network(
    open_train: Open, told: list[str], tmp_path: Path, qtbot: Any
) -> None:
    """Trained, stopped, killed and resumed; the model answers clicks in the end."""
    import os
    import signal

    viewer, widget = open_train()
    annotate(viewer, "a", "b", "c", "d")
    state = widget.context.state
    state.settings = {
        "start": "scratch", "architecture": "unet", "encoder": "tu-resnet10t", "epochs": 2,
        "options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}, "windows": 8,
        "size": 64, "batch": 4, "device": "cpu", "patience": 0,
    }  # fmt: skip
    click(widget.run.train)
    qtbot.waitUntil(lambda: state.run.status == "running", timeout=180_000)
    click(widget.run.stop)
    qtbot.waitUntil(lambda: not state.run.alive, timeout=180_000)
    assert state.run.status == "stopped", (state.run, state.message)
    click(widget.run.resume)
    qtbot.waitUntil(lambda: state.run.status == "running", timeout=180_000)
    os.kill(state.run.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: not state.run.alive, timeout=60_000)
    assert "ended unexpectedly" in widget.message.value
    click(widget.run.resume)
    qtbot.waitUntil(lambda: state.run.alive, timeout=60_000)
    qtbot.waitUntil(lambda: not state.run.alive, timeout=300_000)
    assert state.run.status == "finished", (state.run, state.message)
    assert len(state.run.curves.loss) == 2
    assert state.run.table and widget.helped.isVisibleTo(widget)
    assert widget.helped.sentence.value == state.run.verdict.text
    assert widget.context.controller.report() is not None
    click(widget.runs.previews)
    qtbot.waitUntil(lambda: "validation predictions" in viewer.layers, timeout=10_000)
    assert state.run.model is not None and state.run.model.is_file()
