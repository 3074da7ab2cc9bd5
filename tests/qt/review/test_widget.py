"""From a project to reviewed masks, by mouse and keys in a real window."""

from __future__ import annotations

import os
import signal
from statistics import median
from time import thread_time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton

from napari_clickseg._napari.review.drafts import place_of
from napari_clickseg._napari.review.state import Predicting, QueueCounts, QueueRow
from napari_clickseg._napari.review.text import without_model_text
from napari_clickseg._napari.viewer.actions import SHORTCUTS, Action
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import ACCEPTED, REJECTED
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.models.trained_models import ModelOffer
from tests.qt.conftest import picture, prediction, until_gone
from tests.qt.layout import tip, until_nothing_is_cut_off

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg._qt.review.widget import ReviewWidget
    from napari_clickseg.models.card import ModelCard

    Open = Callable[..., tuple[Any, ReviewWidget]]

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("told")]

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
SHIFT = Qt.KeyboardModifier.ShiftModifier
ON, OTHER, MISSED, WRONG = (26, 32), (26, 96), (70, 32), (50, 64)  # pixels of the first image
KEYS = {"PageDown": Qt.Key.Key_PageDown, "PageUp": Qt.Key.Key_PageUp}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in napari's corner."""
    said: list[str] = []
    for name in ("show_error", "show_info"):
        monkeypatch.setattr(f"napari_clickseg._napari.review.controller.{name}", said.append)
    return said


class Hand:
    """Moves the mouse over the image, and types."""

    def __init__(self, viewer: Any, widget: ReviewWidget, qtbot: Any) -> None:
        self.viewer, self.widget, self.qtbot = viewer, widget, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native

    @property
    def labels(self) -> np.ndarray:
        image_layers = self.widget.context.controller.images.image_layers
        assert image_layers is not None, self.widget.context.state.message
        return np.asarray(image_layers.labels.data)

    @property
    def annotate(self) -> Any:
        assert self.widget._lease is not None
        return self.widget._lease.controller

    def at(self, pixel: tuple[int, int]) -> QPoint:
        camera = self.viewer.scene.camera
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = middle + (np.array(pixel) - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(self, pixel: tuple[int, int], button: Any = LEFT) -> None:
        QTest.mouseMove(self.canvas, self.at(pixel))
        QTest.mouseClick(self.canvas, button, pos=self.at(pixel))
        self.settle()

    def press(self, action: Action) -> None:
        *held, key = SHORTCUTS[action].key.split("-")
        modifier = SHIFT if held else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.canvas, KEYS.get(key, key), modifier)
        self.settle()

    def settle(self) -> None:
        controller = self.widget.context.controller
        self.qtbot.wait(20)
        self.qtbot.waitUntil(
            lambda: controller.runner.idle and controller.looker.idle, timeout=60_000
        )
        if self.widget._lease is not None:
            state = self.annotate.state
            self.qtbot.waitUntil(lambda: state.model_status == "ready", timeout=60_000)
            self.qtbot.waitUntil(lambda: self.annotate.runner.idle, timeout=60_000)
            self.qtbot.waitUntil(lambda: controller.runner.idle, timeout=60_000)
        self.qtbot.wait(20)


def click(button: Any) -> None:
    native = getattr(button, "native", button)
    assert native.isEnabled(), native.text()
    QTest.mouseClick(native, LEFT)


def mask(project: Path, name: str) -> np.ndarray | None:
    records = read_project(project).records
    record = next((one for one in records if one.name == f"images/{name}.png"), None)
    return None if record is None else np.asarray(read_labels(record.mask))


def test_a_queue_is_reviewed_by_mouse_and_keys(
    open_review: Open, project: Path, qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    state, hand = widget.context.state, Hand(viewer, widget, qtbot)
    assert "3 images: 1 annotated, 0 accepted, 2 to review" in widget.project.counts.value
    hand.press(Action.NEXT_IMAGE)
    assert state.current == "images/first.png"
    hand.click(WRONG)
    assert hand.annotate.state.editing
    hand.press(Action.DELETE)
    hand.click(MISSED)
    assert hand.annotate.state.object_id == 4 and not hand.annotate.state.editing
    hand.press(Action.ACCEPT)
    made = hand.labels.copy()
    assert (made[WRONG], made[MISSED], made[ON], made[OTHER]) == (0, 4, 1, 2)
    hand.press(Action.ACCEPT_IMAGE)
    assert np.array_equal(mask(project, "first"), made)
    assert state.current == "images/second.png" and (hand.labels == prediction()).all()
    hand.press(Action.REJECT_IMAGE)
    assert mask(project, "second") is None
    assert "All is reviewed" in widget.message.value
    assert "1 annotated, 1 accepted, 0 to review, 1 rejected" in widget.project.counts.value
    hand.press(Action.PREVIOUS_IMAGE)
    assert state.current == "images/first.png" and (hand.labels == made).all()


def test_the_list_is_ordered_shows_states_and_opens_images(
    open_review: Open, project: Path, qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    hand, view, model = Hand(viewer, widget, qtbot), widget.queue.view, widget.queue.model
    shown = lambda: [  # noqa: E731
        [model.data(model.index(row, column)) for column in range(3)]
        for row in range(model.rowCount())
    ]
    assert shown() == [["first", "64 %", "to review"], ["second", "21 %", "to review"]]
    QTest.mouseClick(view.viewport(), LEFT, pos=view.visualRect(model.index(1, 0)).center())
    hand.settle()
    assert widget.context.state.current == "images/second.png"
    assert [index.row() for index in view.selectionModel().selectedRows()] == [1]
    click(widget.accept)
    hand.settle()
    assert widget.context.state.current == "images/first.png"
    assert shown() == [["first", "64 %", "to review"]]
    widget.queue.listed.value = "reviewed"
    assert shown() == [["second", "21 %", "accepted"]]
    hand.press(Action.NEXT_IMAGE)
    assert widget.context.state.message == "This is the only image that is to be reviewed."


def test_what_was_painted_with_the_brush_outlives_the_widget(
    open_review: Open, project: Path, training_home: Path, qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    hand = Hand(viewer, widget, qtbot)
    click(widget.next)
    hand.settle()
    image_layers = widget.context.controller.images.image_layers
    assert image_layers is not None and viewer.layers.selection.active == image_layers.labels
    image_layers.labels.mode, image_layers.labels.selected_label = "paint", 7
    assert not hand.annotate.state.tool, "the brush has the mouse"
    hand.click((80, 100))
    painted = hand.labels.copy()
    assert painted[80, 100] == 7
    hand.press(Action.NEXT_IMAGE)
    assert widget.queue.model.data(widget.queue.model.index(0, 2)) == "begun"
    hand.press(Action.PREVIOUS_IMAGE)
    assert (hand.labels == painted).all()
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    assert len(viewer.layers) == 0 and not viewer.keymap
    assert mask(project, "first") is None
    assert len(list(place_of(training_home, project).glob("*.npz"))) == 1
    _, again = open_review(viewer)
    assert again.context.state.project == str(project), "remembered"
    hand = Hand(viewer, again, qtbot)
    hand.press(Action.NEXT_IMAGE)
    assert (hand.labels == painted).all()
    hand.press(Action.ACCEPT_IMAGE)
    assert np.array_equal(mask(project, "first"), painted)


def test_closing_napari_keeps_what_was_begun(
    open_review: Open, project: Path, training_home: Path, qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    hand = Hand(viewer, widget, qtbot)
    hand.press(Action.NEXT_IMAGE)
    hand.click(MISSED)
    viewer.close()
    drafts = place_of(training_home, project)
    qtbot.waitUntil(lambda: len(list(drafts.glob("*.npz"))) == 1, timeout=30_000)
    viewer, again = open_review(project=project)
    hand = Hand(viewer, again, qtbot)
    hand.press(Action.NEXT_IMAGE)
    assert hand.annotate.state.n_positive == 1
    hand.press(Action.ACCEPT_IMAGE)
    made = mask(project, "first")
    assert made is not None and made[MISSED] == 4


def test_a_write_error_is_said_and_nothing_is_lost(
    open_review: Open, project: Path, told: list[str], qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    hand = Hand(viewer, widget, qtbot)
    hand.press(Action.NEXT_IMAGE)
    hand.click(MISSED)
    hand.press(Action.ACCEPT)
    made = hand.labels.copy()
    (project / "masks").rename(project / "elsewhere")
    (project / "masks").write_bytes(b"in the way")
    hand.press(Action.ACCEPT_IMAGE)
    assert "What you corrected is kept" in widget.message.value and len(told) == 1
    assert (hand.labels == made).all()
    (project / "masks").unlink()
    (project / "elsewhere").rename(project / "masks")
    hand.press(Action.ACCEPT_IMAGE)
    assert np.array_equal(mask(project, "first"), made)


@pytest.mark.skipif(os.geteuid() == 0, reason="this user may write everywhere")
def test_a_read_only_project_is_said_and_nothing_is_lost(
    open_review: Open, project: Path, qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    hand = Hand(viewer, widget, qtbot)
    hand.press(Action.NEXT_IMAGE)
    hand.click(MISSED)
    for folder in (project, project / "masks", project / "predictions"):
        folder.chmod(0o500)
    hand.press(Action.ACCEPT_IMAGE)
    assert "cannot be written" in widget.message.value
    assert hand.labels[MISSED] == 4


def test_a_model_that_comes_along_is_named_and_for_the_user_to_choose(
    open_review: Open, project: Path, qtbot: Any
) -> None:
    _, widget = open_review(project=project)
    form = widget.predict
    assert not form.predict.enabled and not widget.context.state.model
    assert "Choose “nuclei”, which comes along, or train one" in form.status.value
    names = [form.model.native.itemText(n) for n in range(form.model.native.count())]
    assert names[:3] == ["none chosen", "nuclei", "default (needs clicks)"]
    form.model.native.setCurrentIndex(1)
    qtbot.waitUntil(lambda: form.predict.enabled, timeout=30_000)
    assert "“nuclei” was not trained on this project" in form.status.value


def test_where_every_model_waits_for_clicks_it_is_said_how_to_train_another() -> None:
    waits = ModelOffer(
        "clicks", "clicks.safetensors", refusal="It needs clicks.", needs_clicks=True
    )
    assert without_model_text([waits]).startswith("No model finds things by itself yet. Train one")


# ---- the process that predicts


@pytest.fixture(scope="module")
def semantic_model(
    tmp_path_factory: pytest.TempPathFactory, make_card: Callable[..., ModelCard]
) -> Path:
    """A tiny network that has learned, in some seconds, to find what is bright."""
    from napari_clickseg.models._torch import keep_triton_out

    keep_triton_out()  # a window was there before
    import torch

    from napari_clickseg.models.checkpoint import save_model
    from napari_clickseg.models.network import build_network

    fields: dict[str, Any] = {"encoding": "image", "automatic": True, "image_channels": 1}
    card = make_card(window={"size": 64, "zoom": 1.0}, **fields)
    torch.manual_seed(0)
    network = build_network(card)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    whole = torch.as_tensor(picture() / 220, dtype=torch.float32)
    corners = [(0, 0), (16, 40), (32, 0), (10, 64)]
    inputs = torch.stack([whole[y : y + 64, x : x + 64] for y, x in corners])[:, None]
    for step in range(60):
        network.train(step < 30)  # then with the normalisation that it will have
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            network(inputs), (inputs > 0.5).float()
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    path = tmp_path_factory.mktemp("model") / "bright.safetensors"
    save_model(path, network.eval().state_dict(), card)
    return path


@pytest.mark.slow
def test_the_rest_is_predicted_killed_and_gone_on_with(
    open_review: Open, tmp_path: Path, training_home: Path, semantic_model: Path,
    told: list[str], qtbot: Any,
) -> None:  # fmt: skip
    count = 40
    run = training_home / "runs" / "bright"
    run.mkdir(parents=True)
    (run / "best.safetensors").write_bytes(semantic_model.read_bytes())
    writer = ProjectWriter(tmp_path / "many")
    writer.set_classes(ProjectClasses(scheme="instances"))
    writer.add("known", picture(), prediction())
    for seed in range(count):
        writer.add(f"{seed:02d}", picture(seed))
    before = mask(tmp_path / "many", "known")
    viewer, widget = open_review()
    state = widget.context.state
    widget.context.controller.choose_project(str(tmp_path / "many"))
    qtbot.waitUntil(lambda: state.counts.left == count, timeout=30_000)
    assert widget.predict.model.current_choice == "bright", "the last trained one"
    click(widget.predict.predict)
    assert not widget.predict.predict.enabled and widget.predict.stop.enabled
    qtbot.waitUntil(lambda: state.predicting.done > 0, timeout=240_000)
    predicting = widget.context.controller._predicting
    assert predicting is not None
    os.kill(predicting._process[0], signal.SIGKILL)
    qtbot.waitUntil(lambda: not state.predicting.alive, timeout=60_000)
    assert "ended unexpectedly" in widget.message.value
    qtbot.waitUntil(lambda: len(state.queue) > 0, timeout=30_000)
    first = len(state.queue)
    assert first < count, "killed in the middle"
    click(widget.predict.predict)
    qtbot.waitUntil(lambda: state.predicting.status == "running", timeout=240_000)
    hand = Hand(viewer, widget, qtbot)
    click(widget.next)
    qtbot.waitUntil(lambda: bool(state.current), timeout=60_000)
    qtbot.waitUntil(lambda: state.predicting.status == "finished", timeout=240_000)
    assert state.predicting.predicted <= count - first + 1
    qtbot.waitUntil(lambda: state.counts.waiting == count, timeout=30_000)
    unsure = [row.uncertainty for row in state.queue]
    assert unsure == sorted(unsure, reverse=True)
    labels = hand.labels
    assert labels[ON] and labels[OTHER] and labels[MISSED] and not labels[5, 5]
    assert len(np.unique(labels)) >= 4, "objects of their own"
    assert np.array_equal(mask(tmp_path / "many", "known"), before)


def test_stopping_ends_after_the_image_and_closing_ends_nothing(
    open_review: Open, project: Path, training_home: Path, monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:  # fmt: skip
    """The process only pretends to predict, so that it can be stopped between two images."""
    import subprocess
    import sys
    import time

    from napari_clickseg.runs.process import Launch

    text = (
        "import os, sys, time; from pathlib import Path\n"
        "from napari_clickseg.training.run_folder import RunFolder\n"
        "log = RunFolder(Path(sys.argv[1])); log.add('started', pid=os.getpid())\n"
        "for n in range(2000):\n"
        "    log.add('image', done=n, total=2000); time.sleep(0.05)\n"
        "    if log.stop_requested(): break\n"
        "log.add('finished', reason='stopped', predicted=n, problems=['a is no image.'])\n"
    )
    processes: list[subprocess.Popen[bytes]] = []

    def launch(arguments: list[str], folder: Path) -> Launch:
        processes.append(subprocess.Popen([sys.executable, "-c", text, str(folder)]))
        return Launch(processes[-1].pid, time.time())

    monkeypatch.setattr("napari_clickseg._napari.review.predicting.launch", launch)
    viewer, widget = open_review(project=project)
    state = widget.context.state
    state.models, state.model = (ModelOffer("m", "m.safetensors"),), "m.safetensors"
    click(widget.predict.predict)
    qtbot.waitUntil(lambda: state.predicting.done > 0, timeout=60_000)
    assert "of 2000 predicted" in widget.predict.status.value
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    assert processes[0].poll() is None
    _, again = open_review(viewer)
    state = again.context.state
    qtbot.waitUntil(lambda: state.predicting.status == "running", timeout=30_000)
    click(again.predict.stop)
    assert not again.predict.stop.enabled
    qtbot.waitUntil(lambda: state.predicting.status == "stopped", timeout=30_000)
    assert "Stopped after" in again.predict.status.value
    assert "a is no image" in again.message.value
    assert processes[0].wait(30) == 0


# ---- how it looks


MANY = tuple(QueueRow(f"images/{n:05d} of a series.png", 1 - n / 6000) for n in range(5000))
CHANGES: dict[str, Any] = {
    "queue": MANY, "counts": QueueCounts(3, 4, 5000, 1, 9), "message": "Something happened.",
    "predicting": Predicting("running", 3, 9, 99.0), "busy": "Opening images/a.png …",
    "project": "/some/where", "projects": ("/some/where", "/else/where"), "listed": "reviewed",
    "models": (ModelOffer("m", "m.safetensors"),), "again": True,
}  # fmt: skip


def test_showing_a_change_is_quick(open_review: Open, qtbot: Any) -> None:
    _, widget = open_review()
    state = widget.context.state
    widget._looking.stop()
    state.projects = ("/some/where",)
    times: dict[str, list[float]] = {}
    for field, choice in CHANGES.items():
        before = getattr(state, field)
        for _ in range(6):
            for value in (choice, before):
                start = thread_time()
                setattr(state, field, value)
                times.setdefault(field, []).append(thread_time() - start)
                qtbot.wait(1)
    assert {field: median(took) for field, took in times.items() if median(took) >= 0.020} == {}
    state.project = ""


def show_everything(widget: ReviewWidget, qtbot: Any) -> None:
    state = widget.context.state
    widget._looking.stop()
    qtbot.waitUntil(lambda: widget.context.controller.looker.idle, timeout=30_000)
    widget.from_labels.expand(animate=False)
    widget.clean_up.expand(animate=False)
    state.cleaned = "Kept: 1,234,567 pixels changed, 12,345 ids left."
    state.message = "This says at length what went wrong and what to do next. " * 3
    state.counts = QueueCounts(30, 41, 520, 12, 900)
    state.queue = (
        *state.queue,
        *(QueueRow(f"images/another {n}.png", 0.5 - n / 20) for n in range(4)),
        QueueRow("images/a picture with a rather long name.png", 0.04, begun=True),
        QueueRow("images/x.png", 0.3, ACCEPTED, begun=True),
        QueueRow("images/y.png", 0.3, REJECTED),
    )
    state.predicting = Predicting("running", 14, 1503, 4000.0)


def test_nothing_is_cut_off_in_a_narrow_dock(open_review: Open, project: Path, qtbot: Any) -> None:
    viewer, widget = open_review(project=project)
    viewer.window._qt_window.resize(1100, 1000)
    hand = Hand(viewer, widget, qtbot)
    hand.press(Action.NEXT_IMAGE)
    hand.click(ON)
    show_everything(widget, qtbot)
    pictures, dock = _folder(), widget.parentWidget()
    for theme in ("light", "dark"):
        viewer.theme = theme
        qtbot.wait(300)
        viewer.screenshot(str(pictures / f"review-{theme}.png"), canvas_only=False, flash=False)
        viewer.window._qt_window.resizeDocks([dock], [200], Qt.Orientation.Horizontal)
        qtbot.wait(300)
        qtbot.waitUntil(lambda: widget.width() <= 360)
        until_nothing_is_cut_off(qtbot, widget)
        buttons = [each for each in widget.findChildren(QAbstractButton) if each.isVisible()]
        assert len(buttons) > 15 and not [each.text() for each in buttons if not tip(each)]


def _folder() -> Path:
    from pathlib import Path

    folder = Path(__file__).parents[2] / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder
