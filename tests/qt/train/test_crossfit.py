"""Click training by cross-fitting in the Train widget, by mouse and keys in a real window."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from time import thread_time
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
from matplotlib.colors import to_hex
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton

from napari_clickseg.crossfit.editing import KINDS
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.progress import parts_of
from napari_clickseg.data.click_table import read_click_table
from napari_clickseg.pictures.outcomes import COLOURS, PixelOutcome
from tests.crossfit.conftest import NETWORK, write_project
from tests.crossfit.paused import paused
from tests.qt.conftest import until_gone
from tests.qt.layout import tip, until_nothing_is_cut_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._qt.train.widget import TrainWidget

    Open = Callable[..., tuple[Any, TrainWidget]]

pytestmark = pytest.mark.gui

LEFT = Qt.MouseButton.LeftButton
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
PATIENCE = 600_000  # ms: other things may be running on the machine
PICTURES = Path(__file__).parents[2] / "screenshots"


@pytest.fixture
def open_train(open_viewer: Any, training_home: Path, qtbot: Any) -> Open:
    """Open a viewer with the widget docked, as napari does it."""

    def make(viewer: Any = None) -> tuple[Any, TrainWidget]:
        viewer = viewer or open_viewer()
        viewer.window._qt_window.resize(1200, 1000)
        _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Train")
        qtbot.waitUntil(lambda: widget.context.controller.reader.idle, timeout=30_000)
        return viewer, widget

    return make


@pytest.fixture
def waiting(training_home: Path, tmp_path: Path) -> CrossfitFolder:
    """A cross-fitting that is paused, among the runs."""
    return paused(training_home / "runs" / "lesions", tmp_path / "project")


class Hand:
    """Moves the mouse over the image, and types."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native
        qtbot.wait(100)

    def at(self, pixel: tuple[float, float]) -> QPoint:
        camera = self.viewer.scene.camera
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = middle + (np.array(pixel) - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(self, pixel: tuple[float, float]) -> None:
        QTest.mouseMove(self.canvas, self.at(pixel))
        QTest.mouseClick(self.canvas, LEFT, pos=self.at(pixel))
        self.qtbot.wait(20)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        QTest.mouseMove(self.canvas, self.at(start))
        QTest.mousePress(self.canvas, LEFT, pos=self.at(start))
        for share in (0.3, 0.7, 1.0):
            QTest.mouseMove(
                self.canvas, self.at(np.array(start) * (1 - share) + np.array(end) * share)
            )
            self.qtbot.wait(20)
        QTest.mouseRelease(self.canvas, LEFT, pos=self.at(end))
        self.qtbot.wait(20)

    def key(self, key: Any, held: Any = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.canvas, key, held)
        self.qtbot.wait(20)

    def choose(self, layer: str, mode: str) -> None:
        """Select a layer and one of its tools, by key."""
        self.viewer.layers.selection.active = self.viewer.layers[layer]
        self.key(mode)


def click(button: Any) -> None:
    native = getattr(button, "native", button)
    assert native.isEnabled(), native.text()
    QTest.mouseClick(native, LEFT)


def look(widget: TrainWidget, qtbot: Any, index: int = 0) -> None:
    """Press the button that shows regions and clicks, or the one that goes on."""
    looked = widget.context.state.looked
    click(widget.clicks.show_them if looked is None else widget.clicks.on)

    def there() -> None:
        shown = widget.context.state.looked
        assert shown is not None and shown.index == index and not shown.loading

    qtbot.waitUntil(there, timeout=30_000)


def saved(folder: CrossfitFolder, image: str) -> list[tuple[float, float, bool]]:
    clicks = read_click_table(folder.clicks).by_image.get(image, ())
    return sorted((one.y, one.x, one.positive) for one in clicks)


def clicks_on(viewer: Any) -> list[tuple[float, float, bool]]:
    layers = {True: viewer.layers["positive clicks"], False: viewer.layers["negative clicks"]}
    return sorted((float(y), float(x), sign) for sign, one in layers.items() for y, x in one.data)


def until_saved(folder: CrossfitFolder, image: str, viewer: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: saved(folder, image) == clicks_on(viewer), timeout=10_000)


def test_regions_and_clicks_are_layers_and_what_was_open_comes_back(
    open_train: Open, waiting: CrossfitFolder, qtbot: Any
) -> None:
    viewer, widget = open_train()
    other = viewer.add_image(np.zeros((40, 40)), name="mine")
    assert widget.run.resume.text == "Go on" and "Paused" in widget.run.status.value
    look(widget, qtbot)
    image = waiting.rows[0].image
    assert not other.visible and Path(image).name in viewer.layers
    regions = viewer.layers["regions: TP, FP, FN"]
    assert set(np.unique(regions.data)) == {0, 1, 2, 3} and not regions.editable
    right, much, missed = (
        to_hex(regions.get_color(value)).upper() for value in range(1, len(KINDS) + 1)
    )
    assert KINDS == ("tp", "fp", "fn")
    assert right == COLOURS[PixelOutcome.TRUE_POSITIVE]
    assert much == COLOURS[PixelOutcome.FALSE_POSITIVE]
    assert missed == COLOURS[PixelOutcome.FALSE_NEGATIVE]
    assert clicks_on(viewer) == saved(waiting, image) != []
    look(widget, qtbot, 1)
    assert clicks_on(viewer) == saved(waiting, waiting.rows[1].image)
    click(widget.clicks.show_them)
    assert other.visible and not any(one.visible for one in viewer.layers if one != other)
    look(widget, qtbot)
    assert not other.visible and len(viewer.layers) == 5


def test_clicks_are_added_moved_and_removed_by_hand_and_saved_at_once(
    open_train: Open, waiting: CrossfitFolder, qtbot: Any
) -> None:
    viewer, widget = open_train()
    look(widget, qtbot)
    image, hand, state = waiting.rows[0].image, Hand(viewer, qtbot), widget.context.state
    before = saved(waiting, image)
    hand.choose("positive clicks", "2")
    hand.click((3, 4))
    qtbot.waitUntil(lambda: len(saved(waiting, image)) == len(before) + 1, timeout=10_000)
    (added,) = set(saved(waiting, image)) - set(before)
    assert np.allclose(added[:2], (3, 4), atol=0.5) and added[2]
    hand.choose("negative clicks", "3")
    y, x, _ = next(one for one in before if not one[2])
    hand.drag((y, x), (y + 8, x))
    until_saved(waiting, image, viewer, qtbot)
    (moved,) = [one for one in saved(waiting, image) if one not in (*before, added)]
    assert np.allclose(moved[:2], (y + 8, x), atol=0.5) and not moved[2]
    hand.key(Qt.Key.Key_Delete)  # what was dragged is still selected
    qtbot.waitUntil(lambda: moved not in saved(waiting, image), timeout=10_000)
    kept = saved(waiting, image)
    assert kept == clicks_on(viewer)
    # Kept through going to another image and back, and undone after that.
    look(widget, qtbot, 1)
    assert not state.looked.can_undo
    click(widget.clicks.back)
    qtbot.waitUntil(lambda: state.looked.index == 0, timeout=10_000)
    assert clicks_on(viewer) == kept
    viewer.layers.selection.active = viewer.layers["positive clicks"]
    hand.key(Qt.Key.Key_Z, CONTROL)
    assert moved in clicks_on(viewer)
    hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert clicks_on(viewer) == kept
    for _ in range(3):
        click(widget.clicks.undo)
    assert clicks_on(viewer) == before and not state.looked.can_undo
    click(widget.clicks.redo)
    click(widget.clicks.restore)
    until_saved(waiting, image, viewer, qtbot)
    assert saved(waiting, image) == before
    click(widget.clicks.undo)
    until_saved(waiting, image, viewer, qtbot)
    assert len(saved(waiting, image)) == len(before) + 1


def test_edits_survive_the_widget_and_are_read_again(
    open_train: Open, waiting: CrossfitFolder, qtbot: Any
) -> None:
    viewer, widget = open_train()
    look(widget, qtbot)
    image = waiting.rows[0].image
    viewer.layers["negative clicks"].add([[60.0, 60.0]])
    with until_gone(qtbot, widget):  # at once, before any worker can have written it
        viewer.window.remove_dock_widget(widget)
    assert (60.0, 60.0, False) in saved(waiting, image)
    assert not viewer.layers["negative clicks"].editable
    viewer.layers.clear()
    viewer, widget = open_train(viewer)
    look(widget, qtbot)
    assert (60.0, 60.0, False) in clicks_on(viewer)


def test_a_click_beside_the_image_is_taken_away_again(
    open_train: Open, waiting: CrossfitFolder, qtbot: Any
) -> None:
    viewer, widget = open_train()
    look(widget, qtbot)
    hand = Hand(viewer, qtbot)
    before = clicks_on(viewer)
    hand.choose("positive clicks", "2")
    hand.click((30, 66))
    qtbot.waitUntil(lambda: clicks_on(viewer) == before, timeout=10_000)
    assert "has to lie on the image" in widget.message.value


def test_a_layer_that_is_removed_ends_it_and_loses_no_click(
    open_train: Open, waiting: CrossfitFolder, qtbot: Any
) -> None:
    viewer, widget = open_train()
    look(widget, qtbot)
    before = saved(waiting, waiting.rows[0].image)
    viewer.layers.remove(viewer.layers["positive clicks"])
    qtbot.waitUntil(lambda: widget.context.state.looked is None, timeout=10_000)
    look(widget, qtbot)
    assert saved(waiting, waiting.rows[0].image) == before == clicks_on(viewer)


def test_clicks_that_were_learned_from_are_locked_and_a_copy_is_not(
    open_train: Open, waiting: CrossfitFolder, training_home: Path, qtbot: Any
) -> None:
    run = waiting.run(1, "clicked")
    run.path.mkdir(parents=True)
    run.add("started", pid=0)
    viewer, widget = open_train()
    look(widget, qtbot)
    assert not viewer.layers["positive clicks"].editable
    assert widget.clicks._edits.visible is False and "can't be edited" in widget.clicks.how.value
    click(widget.clicks.copy)
    state = widget.context.state
    qtbot.waitUntil(
        lambda: state.run.path != waiting.path and parts_of(state.run) is not None, timeout=10_000
    )
    assert parts_of(state.run).editable and state.looked is None
    assert widget.stages.text()[2:4] == [["Prediction", "✓", "✓"], ["Clicks", "✓"]]
    look(widget, qtbot)
    assert viewer.layers["positive clicks"].editable
    assert len(list((training_home / "runs").iterdir())) == 2


def test_going_through_images_holds_the_window_no_longer_than_a_moment(
    open_train: Open,
    waiting: CrossfitFolder,
    longest_slot: Callable[[Any], float],
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    viewer, widget = open_train()
    bound = longest_slot(viewer)
    look(widget, qtbot)
    controller, times = widget.context.controller, []
    arrived = controller.clicks._arrived

    def timed(seen: Any) -> None:
        start = thread_time()
        arrived(seen)
        times.append(thread_time() - start)

    monkeypatch.setattr(controller.clicks, "_arrived", timed)
    for index in (1, 2, 3, 0, 1):
        look(widget, qtbot, index)
    assert len(times) == 10, "pictures and clicks, one after the other"
    assert median(times) < bound


def test_nothing_is_cut_off_in_a_narrow_dock(
    open_train: Open, waiting: CrossfitFolder, qtbot: Any
) -> None:
    viewer, widget = open_train()
    widget.main.task.widget.value = "crossfit"
    assert widget.context.state.way == "crossfit"
    look(widget, qtbot)
    widget.folds["Click training"].expand(animate=False)
    qtbot.waitUntil(lambda: "crossfit.noc_clicks" in widget.specs["Click training"].fields)
    dock = widget.parentWidget()
    parts = (
        widget.crossfit, widget.specs["Click training"], widget.run, widget.stages, widget.clicks,
    )  # fmt: skip
    PICTURES.mkdir(exist_ok=True)
    for theme in ("light", "dark"):
        viewer.theme = theme
        viewer.window._qt_window.resizeDocks([dock], [200], Qt.Orientation.Horizontal)
        qtbot.wait(300)
        widget._scroll.ensureWidgetVisible(widget.clicks)
        path = str(PICTURES / f"crossfit-{theme}.png")
        viewer.screenshot(path, canvas_only=False, flash=False)
        qtbot.waitUntil(lambda: widget.width() <= 340)
        until_nothing_is_cut_off(qtbot, widget, parts)
    buttons = [one for part in parts for one in part.findChildren(QAbstractButton)]
    assert not [one.text() for one in buttons if one.isVisible() and not tip(one)]


def test_several_classes_are_refused_and_one_is_chosen(
    open_train: Open, tmp_path: Path, training_home: Path, qtbot: Any
) -> None:
    project = write_project(tmp_path / "two", 4, per_group=1)
    for path in (project / "masks").iterdir():
        mask = iio.imread(path)
        mask[:6, :6], mask[50:58, 4:9] = 2, 2
        iio.imwrite(path, mask)
    _, widget = open_train()
    state = widget.context.state
    widget.main.task.widget.value = "crossfit"
    widget.context.controller.choose_project(str(project))
    state.settings = {"scheme": "classes"}
    click(widget.run.train)
    qtbot.waitUntil(lambda: "several classes" in widget.message.value, timeout=30_000)
    assert not (training_home / "runs").exists()
    assert [text for text, _ in widget.crossfit._choices(None)] == [
        "as found", "1 (1)", "2 (2)", "all classes together",
    ]  # fmt: skip
    widget.crossfit.thing.value = (2,)
    assert state.settings == {"scheme": "classes", "classes": (2,)}
    click(widget.source.check)
    qtbot.waitUntil(lambda: "4 images into 4 folds" in widget.source.report.value, timeout=30_000)


def test_open_layers_are_cut_into_folds(open_train: Open, qtbot: Any) -> None:
    viewer, widget = open_train()
    widget.main.task.widget.value = "crossfit"
    for number in range(4):
        labels = np.zeros((64, 64), int)
        labels[10 : 20 + number, 8:30] = 1
        viewer.add_image((labels * 90).astype(np.uint8), name=f"scan {number}")
        viewer.add_labels(labels, name=f"scan {number} labels")
    qtbot.waitUntil(lambda: widget.source.pairs.topLevelItemCount() == 4)
    click(widget.source.check)
    qtbot.waitUntil(lambda: "4 images into 4 folds" in widget.source.report.value, timeout=30_000)
    widget.crossfit.folds.widget.value = 3
    assert (
        widget.context.state.settings == {"crossfit.folds": 3} and not widget.source.report.visible
    )
    widget.main.task.widget.value = "click"
    assert widget.context.state.way == "train" and not widget.crossfit.isVisible()


@pytest.mark.slow
def test_from_a_project_to_a_model_that_finds_things_and_obeys(
    open_train: Open, training_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    """Trained in earnest, if hardly: paused, edited, stopped, gone on with, used in Annotate."""
    project = write_project(tmp_path / "lesions", 4, per_group=1)
    viewer, widget = open_train()
    state = widget.context.state
    widget.main.task.widget.value = "crossfit"
    widget.source.source.value = "project"
    widget.context.controller.choose_project(str(project))
    widget.crossfit.folds.widget.value = 2
    state.settings = {**state.settings, **NETWORK, "crossfit.noc_clicks": 1}
    assert widget.crossfit.pause.value

    def ended(status: str) -> None:
        qtbot.waitUntil(lambda: not state.run.alive, timeout=PATIENCE)
        assert state.run.status == status, (state.run, state.message)

    click(widget.run.train)
    qtbot.waitUntil(
        lambda: parts_of(state.run) is not None and parts_of(state.run).current is not None,
        timeout=PATIENCE,
    )
    assert "training the baseline" in widget.run.status.value
    ended("paused")
    folder = CrossfitFolder(state.run.path)
    assert widget.stages.text()[:4] == [
        ["Fold", "1", "2"], ["Baseline", "✓", "✓"], ["Prediction", "✓", "✓"], ["Clicks", "✓"],
    ]  # fmt: skip
    look(widget, qtbot)
    image, hand = folder.rows[0].image, Hand(viewer, qtbot)
    hand.choose("positive clicks", "2")
    hand.click((62, 2))
    click(widget.run.resume)  # at once: what was edited is written before it goes on
    qtbot.waitUntil(
        lambda: not viewer.layers["positive clicks"].editable and state.run.status == "running",
        timeout=PATIENCE,
    )
    edited = saved(folder, image)
    assert edited == clicks_on(viewer) and (62, 2) in [(round(y), round(x)) for y, x, _ in edited]
    click(widget.run.stop)
    ended("stopped")
    assert read_click_table(folder.clicks).by_image
    click(widget.run.resume)
    qtbot.waitUntil(lambda: state.run.status == "running", timeout=PATIENCE)
    ended("finished")
    assert [one for line in widget.stages.text()[1:] for one in line[1:]] == ["✓"] * 11
    heads = [line[0] for line in widget.figures.text()]
    assert heads[1] == "baseline" and heads[2] == "click-trained, no clicks"
    assert "clicks were obeyed" in widget.figures.obeyed.value
    assert widget.context.controller.report() == folder.report
    assert widget.curves.loss.lines[1].points, "of the last training"
    click(widget.clicks.show_them)
    viewer.add_image(iio.imread(project / "images" / "0.png"), name="new")
    click(widget.runs.use)
    qtbot.waitUntil(lambda: "Clicks are answered by" in widget.message.value, timeout=PATIENCE)
    _, annotate = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    shown = annotate.context.state
    qtbot.waitUntil(lambda: shown.model_status == "ready", timeout=PATIENCE)
    annotate.images.start.native.click()
    answers = annotate.context.controller
    qtbot.waitUntil(lambda: answers.pairing.display.prediction is not None, timeout=PATIENCE)
    assert shown.n_positive == 0
    probability = answers.pairing.display.prediction.probability
    assert probability.max() > 0
    hand = Hand(viewer, qtbot)
    hand.click((32, 32))
    qtbot.waitUntil(
        lambda: shown.n_positive == 1 and not shown.busy and shown.prediction.data[32, 32] == 1,
        timeout=PATIENCE,
    )
