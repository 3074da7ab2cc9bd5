"""A hand that does anything at all in Annotate, and a ledger of what it accepted.

The ledger knows nothing of the program but what is seen: the shown mask, the shown id, and which
key was pressed. By that it says what the labels may be after each action, undo and redo included.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_clickseg._napari.viewer.actions import SHORTCUTS, Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image, Labels

    from tests.napari.conftest import FakeModel

    Array = np.ndarray
    Law = Callable[[Array, Array], bool]

PATIENCE = 60.0  # seconds
IMAGES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plane": ((120, 160), {}),
    "stack": ((5, 80, 96), {"scale": (2, 0.5, 0.5), "translate": (1, -3, 4)}),
    "colour": ((90, 110, 3), {"rgb": True}),
}


def same(before: Array, after: Array) -> bool:
    return np.array_equal(before, after)


def same_pixels(before: Array, after: Array) -> bool:
    """Ids may be others, but whatever was labelled is, and nothing else."""
    return np.array_equal(before > 0, after > 0)


def only_taken_out(before: Array, after: Array) -> bool:
    return not after[before != after].any()


@dataclass
class Ledger:
    """What an annotation layer holds, and held.

    Parameters
    ----------
    layer : Labels
    name : str
        Of its image.
    labels : array
    past, future : list of array
        Labels that undo, and redo, may bring back; the next one is last.
    taken_up : bool
        There are steps from an earlier time, of which nothing was seen.
    given_away : array, optional
        Labels whose journal was forgotten, or gone on with in another layer, while these stayed
        open without their image: as long as they are the same, nothing is left of them.
    """

    layer: Labels
    name: str
    labels: Array
    past: list[Array] = field(default_factory=list)
    future: list[Array] = field(default_factory=list)
    taken_up: bool = False
    given_away: Array | None = None

    @property
    def leaves(self) -> bool:
        """Whether something is left of them when the layer is removed."""
        given = self.given_away is not None and same(self.labels, self.given_away)
        return bool(self.labels.any()) and not given

    def undone(self, before: Array, after: Array) -> bool:
        return same(before, after) or self._next(self.past, after)

    def redone(self, before: Array, after: Array) -> bool:
        return same(before, after) or self._next(self.future, after)

    def _next(self, known: list[Array], after: Array) -> bool:
        return same(known[-1], after) if known else self.taken_up

    def note(self, after: Array, how: str) -> None:
        """Take over what the labels are by now."""
        if same(self.labels, after):
            return
        if how == "undo":
            del self.past[-1:]
            self.future.append(self.labels)
        elif how == "redo":
            del self.future[-1:]
            self.past.append(self.labels)
        else:
            self.past.append(self.labels)
            self.future.clear()
        self.labels = after.copy()


class Fuzzer:
    """Does one thing after the other in a viewer with the Annotate widget, and looks each time.

    Parameters
    ----------
    viewer : Viewer
    widget : AnnotateWidget
    model : FakeModel
        Answers.
    exceptions : list
        Where those of Qt's slots go.
    told : list of str
        Where errors go that napari's corner shows.
    seed : int
    """

    def __init__(
        self,
        viewer: Any,
        widget: Any,
        model: FakeModel,
        exceptions: list[Any],
        told: list[str],
        seed: int,
    ) -> None:
        self.viewer, self.widget, self.model = viewer, widget, model
        self.exceptions, self.told = exceptions, told
        self.rng = random.Random(seed)
        self.controller = widget.context.controller
        self.state = widget.context.state
        self.canvas = viewer.window._qt_viewer.canvas.native
        self.ledgers: dict[Labels, Ledger] = {}
        self.left: dict[str, list[Array]] = {name: [] for name in IMAGES}
        self.ever: dict[str, list[Array]] = {name: [] for name in IMAGES}  # forgotten ones, too
        self.done: list[str] = []
        self.accepted = 0  # masks that were written
        pixels = np.random.default_rng(seed)
        self.pixels = {
            name: pixels.integers(0, 255, shape).astype(np.uint8)
            for name, (shape, _) in IMAGES.items()
        }
        self._weights = {name: weight for name, weight in _WEIGHTS.items() if weight}
        self._how, self._law = "", same

    def run(self, count: int) -> None:
        self.open_image()
        for _ in range(count):
            (name,) = self.rng.choices([*self._weights], [*self._weights.values()])
            self.act(name)

    def act(self, name: str) -> None:
        """Do one thing, wait until all is still, and look."""
        self._come_back()
        self.done.append(name)
        self._how, self._law = "", same
        about = self.state.annotation
        try:
            getattr(self, name)()
            self.settle()
            self.look(about)
        except Exception as error:
            last = ", ".join(self.done[-25:])
            raise AssertionError(f"After {len(self.done)} actions ({last}): {error}") from error

    def _come_back(self) -> None:
        """Don't stay for long where little can be done."""
        if self.rng.random() < 0.5:
            self.viewer.dims.ndisplay = 2
            if self.state.image is None:
                self.set_up_again() if self._images() else self.open_image()
            self.state.tool = True
            self.settle()
            self.look(None)

    # ---- looking

    def settle(self) -> None:
        """Have all that is asked for done."""
        end, controller = time.monotonic() + PATIENCE, self.controller
        still = 0
        while still < 2:
            QApplication.processEvents()
            # Widgets that are no longer needed, as napari's of a layer that was removed, which hold
            # the layer: only a loop that runs deletes them by itself.
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
            still = still + 1 if self._idle() else 0
            assert time.monotonic() < end, "It never comes to rest."
        assert controller.state.model_status != "loading"

    def _idle(self) -> bool:
        c = self.controller
        return bool(c.runner.idle and c.models.idle and c.listing.idle)

    def look(self, about: Labels | None) -> None:
        assert not self.exceptions, self.exceptions
        # What a user did that can't be done is said, too; that something broke is not to be.
        assert not [text for text in self.told if text.startswith("The model failed")], self.told
        state, layers = self.state, self.viewer.layers
        assert "\n" not in state.message
        assert not state.busy, "It waits for nothing."
        for layer in (state.image, state.annotation, state.prediction):
            assert layer is None or layer in layers
        if state.prediction is not None and not state.begun:
            assert not np.asarray(state.prediction.data).any(), "A mask of nothing is shown."
        self._look_at_labels(about)

    def _look_at_labels(self, about: Labels | None) -> None:
        for layer, ledger in self.ledgers.items():
            after = np.asarray(layer.data)
            law = self._law if layer is about else same
            assert law(ledger.labels, after), (
                f"{layer.name} has other labels than it may have: "
                f"{np.count_nonzero(ledger.labels != after)} pixels from "
                f"{np.unique(ledger.labels[ledger.labels != after])} to "
                f"{np.unique(after[ledger.labels != after])}; “{self.state.message}”"
            )
            ledger.note(after, self._how)
        self._note_journals()
        for layer in [one for one in self.ledgers if one not in self.viewer.layers]:
            gone = self.ledgers.pop(layer)
            if gone.leaves:
                self.left[gone.name].append(gone.labels)
                self.ever[gone.name].append(gone.labels)
        now, image = self.state.annotation, self.state.image
        if now is not None and now not in self.ledgers:
            steps = self.state.can_undo or self.state.can_redo
            self.ledgers[now] = Ledger(now, self._name(image), np.array(now.data), taken_up=steps)

    def _note_journals(self) -> None:
        """Note labels whose image was closed, or lacks layers, while they stay: a journal ends.

        It comes back when the newer one of the same labels is forgotten.
        """
        pairings = [self.controller.pairings.get(image) for image in self._images()]
        annotated = [one.annotation for one in pairings if one is not None]
        for layer, ledger in self.ledgers.items():
            known = self.ever[ledger.name]
            if layer not in annotated and not any(same(one, ledger.labels) for one in known):
                known.append(ledger.labels)

    def _name(self, image: Image) -> str:
        """Return which of the images it is, whatever it is called by now."""
        return next(n for n, pixels in self.pixels.items() if pixels.shape == image.data.shape)

    def shown(self) -> Array | None:
        """Return the mask that is seen, in the annotation's shape; None where none is."""
        state = self.state
        if state.prediction is None or state.annotation is None:
            return None
        mask = np.asarray(state.prediction.data) > 0
        return mask.copy() if mask.any() else None

    def value(self) -> int:
        """Return the id that an accepted object gets, as the widget says it."""
        state = self.state
        classed = state.scheme == "classes" and not state.editing
        return state.current_class.identifier if classed else state.object_id

    def walk(self) -> None:
        """Undo all that can be undone, and redo as much: the labels are what they were."""
        self.press(Action.CLEAR)
        self.settle()
        before = {layer: np.array(layer.data) for layer in self.ledgers}
        steps = 0
        while self.state.can_undo:
            self.controller.do(Action.UNDO)
            self.settle()
            steps += 1
            assert steps < 10_000
        for _ in range(steps):
            self.controller.do(Action.REDO)
            self.settle()
        for layer, labels in before.items():
            assert same(labels, np.asarray(layer.data)), "Undo and redo of all is not the same."

    # ---- hands

    def somewhere(self) -> QPoint:
        """Return a place on the canvas, its middle rather than its edge."""
        w, h = self.canvas.width(), self.canvas.height()
        return QPoint(
            int(self.rng.triangular(0, w - 1, w / 2)), int(self.rng.triangular(0, h - 1, h / 2))
        )

    def press(self, action: Action) -> None:
        *held, key = SHORTCUTS[action].key.split("-")
        modifier = Qt.KeyboardModifier.NoModifier
        for each in held:
            modifier |= getattr(Qt.KeyboardModifier, f"{each}Modifier")
        QTest.keyClick(self.canvas, key, modifier)

    def click_at(self, at: QPoint, *, right: bool = False, held: str = "No") -> None:
        button = Qt.MouseButton.RightButton if right else Qt.MouseButton.LeftButton
        QTest.mouseMove(self.canvas, at)
        QTest.mouseClick(self.canvas, button, getattr(Qt.KeyboardModifier, f"{held}Modifier"), at)

    def drag(self, *held: str, right: bool = False, steps: int = 4) -> None:
        modifier = Qt.KeyboardModifier.NoModifier
        for each in held:
            modifier |= getattr(Qt.KeyboardModifier, f"{each}Modifier")
        button = Qt.MouseButton.RightButton if right else Qt.MouseButton.LeftButton
        at = self.somewhere()
        QTest.mousePress(self.canvas, button, modifier, at)
        for _ in range(steps):
            at = at + QPoint(self.rng.randint(-60, 60), self.rng.randint(-60, 60))
            place = QPointF(at), QPointF(self.canvas.mapToGlobal(at))
            event = QMouseEvent(QEvent.Type.MouseMove, *place, button, button, modifier)
            QApplication.sendEvent(self.canvas, event)
        QTest.mouseRelease(self.canvas, button, modifier, at)

    def change(self, what: str, choices: list[Any]) -> None:
        """Choose something in the widget, as a form does."""
        setattr(self.state, what, self.rng.choice(choices))

    # ---- objects

    def click(self) -> None:
        self.click_at(self.somewhere(), right=self.rng.random() < 0.25)

    def double_click(self) -> None:
        at = self.somewhere()
        self.click_at(at)
        QTest.mouseDClick(self.canvas, Qt.MouseButton.LeftButton, pos=at)

    def box(self) -> None:
        self.drag(right=self.rng.random() < 0.2)

    def scribble(self) -> None:
        self.drag("Shift", right=self.rng.random() < 0.2)

    def lasso(self) -> None:
        self.drag("Control", "Shift", steps=8)

    def crosshair(self) -> None:
        """Point without a mouse: move, click and draw by keys, and leave it now and then."""
        self.press(Action.CROSSHAIR)
        names = ("Left", "Right", "Up", "Down", "Return", "B", "S", "L", "Equal", "Minus", "Escape")
        for name in self.rng.choices(names, k=self.rng.randint(2, 8)):
            shift = name in names[:5] and self.rng.random() < 0.4
            held = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
            QTest.keyClick(self.canvas, getattr(Qt.Key, f"Key_{name}"), held)
            QApplication.processEvents()
        for _ in range(self.rng.choice((0, 2, 2))):
            QTest.keyClick(self.canvas, Qt.Key.Key_Escape)

    def accept(self) -> None:
        if self.shown() is None and self.rng.random() < 0.8:
            self.click_at(self.somewhere())
            self.settle()
        self._expect_accept()
        self.press(Action.ACCEPT)

    def hurried_accept(self) -> None:
        """Click, and accept before the answer has come; then go on without waiting for anything."""
        self.press(Action.SKIP)
        self.settle()
        self._law = self._one_new_object()
        self.click_at(self.somewhere())
        self.press(Action.ACCEPT)
        for _ in range(self.rng.randint(0, 3)):
            self.rng.choice((self.click, self.next_class, self.plane, self.select, self.three_d))()

    def _expect_accept(self) -> None:
        """Say what may become of the labels: all of the shown mask is in them, or nothing."""
        shown, state = self.shown(), self.state
        if shown is None:
            return
        value = self.value()
        editing, rule = state.editing, state.rule

        def law(before: Array, after: Array) -> bool:
            changed = before != after
            if not changed.any():
                wanted = shown if rule == "overwrite" else shown & (before == 0)
                return bool((before[wanted] == value).all() or state.message)
            self.accepted += 1
            free = shown if rule == "overwrite" else shown & (before <= 0)
            inside = bool((after[free] == value).all())
            taken = changed & ~shown  # what an object that is corrected no longer has
            others = changed & shown
            return (
                inside
                and bool((after[others] == value).all())
                and (editing or not taken.any())
                and bool((before[taken] == value).all() and not after[taken].any())
            )

        self._law = law

    def _one_new_object(self) -> Law:
        rule = self.state.rule

        def law(before: Array, after: Array) -> bool:
            changed = before != after
            covered = rule == "overwrite" or not before[changed].any()
            return covered and len(np.unique(after[changed])) <= 1

        return law

    def skip(self) -> None:
        self.press(Action.SKIP)

    def clear(self) -> None:
        self.press(Action.CLEAR)

    def undo(self) -> None:
        self._walk("undo")
        self.press(Action.UNDO)

    def redo(self) -> None:
        self._walk("redo")
        self.press(Action.REDO)

    def _walk(self, how: str) -> None:
        ledger = self.ledgers.get(self.state.annotation)
        if ledger is not None:
            self._how = how
            self._law = ledger.undone if how == "undo" else ledger.redone

    def napari_undo(self) -> None:
        """Ctrl+Z, or Shift+Ctrl+Z, with the annotation selected."""
        layer = self.state.annotation
        if layer is None:
            return
        how = self.rng.choice(("undo", "undo", "redo"))
        self._walk(how)
        getattr(layer, how)()

    def take_up(self) -> None:
        self.click_at(self.somewhere(), held="Shift")

    def delete(self) -> None:
        QTest.mouseMove(self.canvas, self.somewhere())
        self._law = only_taken_out
        self.press(Action.DELETE)

    def merge(self) -> None:
        for _ in range(2):
            self.take_up()
            self.settle()
        self._law = same_pixels
        self.press(Action.MERGE)

    def split(self) -> None:
        self.take_up()
        self.settle()
        for _ in range(2):
            self.click_at(self.somewhere())
            self.settle()
        self._law = same_pixels
        self.press(Action.SPLIT)

    def carry_on(self) -> None:
        self._expect_accept()
        self.press(Action.PROPAGATE)

    def propagate(self) -> None:
        """Go through planes; each gets the object, and nothing else."""
        value, rule = self.value(), self.state.rule
        if self.state.editing or self.shown() is None:
            return

        def law(before: Array, after: Array) -> bool:
            changed = before != after
            covered = rule == "overwrite" or not before[changed].any()
            return covered and bool((after[changed] == value).all())

        self._law = law
        self.widget.stack.last.value = self.rng.randint(0, self.widget.stack.last.max)
        self.widget.stack.run.native.click()

    def fill_in(self) -> None:
        """Fill in planes: what is labelled stays so, whatever its id."""

        def law(before: Array, after: Array) -> bool:
            return bool((after[before > 0] > 0).all())

        self._law = law
        self.press(Action.FILL_IN)

    def reading(self) -> None:
        self.press(self.rng.choice((Action.READING, Action.READING_BACK)))

    # ---- napari's own tools

    def paint(self) -> None:
        self._with_napari("paint", lambda layer: int(layer.selected_label))

    def erase(self) -> None:
        self._with_napari("erase", lambda _: 0)

    def fill(self) -> None:
        self._with_napari("fill", lambda layer: int(layer.selected_label))

    def _with_napari(self, mode: str, value_of: Callable[[Labels], int]) -> None:
        layer = self.state.annotation
        if layer is None or self.controller.displayed() is None:
            return  # beside a layer's planes napari's own tools raise
        self.viewer.layers.selection.active = layer
        layer.brush_size = self.rng.randint(1, 20)
        layer.mode = mode
        value = value_of(layer)

        def law(before: Array, after: Array) -> bool:
            return bool((after[before != after] == value).all())

        self._law = law
        if mode == "fill":
            self.click_at(self.somewhere())
        else:
            self.drag()
        layer.mode = "pan_zoom"
        self.state.tool = True

    # ---- the list of objects

    def pick(self) -> bool:
        keys = self.state.objects.regions.keys.tolist()
        if not keys:
            return False
        some = sorted(self.rng.sample(keys, self.rng.randint(1, min(3, len(keys)))))
        self.controller.listing.pick(some)
        self.settle()
        return True

    def list_delete(self) -> None:
        if self.pick():
            self._law = only_taken_out
            self.widget.listed.delete.native.click()

    def list_merge(self) -> None:
        if self.pick():
            self._law = same_pixels
            self.widget.listed.merge.native.click()

    def list_class(self) -> None:
        if self.pick():
            self._law = same_pixels
            self.widget.listed.give.native.click()

    def listing(self) -> None:
        self.state.listing = not self.state.listing

    # ---- classes and rules

    def next_class(self) -> None:
        self.press(Action.NEXT_CLASS)

    def add_class(self) -> None:
        if len(self.state.classes) < 5:
            self.controller.add_class(f"kind {self.rng.randint(0, 99)}")

    def remove_class(self) -> None:
        self.controller.remove_class(self.rng.randrange(len(self.state.classes)))

    def rename_class(self) -> None:
        index = self.rng.randrange(len(self.state.classes))
        self.controller.rename_class(index, f"called {self.rng.randint(0, 99)}", "#00ff88")

    def scheme(self) -> None:
        self.change("scheme", ["instances", "instances", "classes"])

    def rule(self) -> None:
        self.change("rule", ["overwrite", "keep", "keep", "background"])

    def identifier(self) -> None:
        self.change("object_id", [*range(1, 40)])

    def mask_rules(self) -> None:
        self.change("threshold", [0.3, 0.5, 0.7])
        self.change("fill_holes", [True, False])
        self.change("keep_clicked", [True, False])

    def complete(self) -> None:
        self.controller.mark_complete(self.rng.random() < 0.5)

    # ---- what is seen

    def toggle(self) -> None:
        self.press(self.rng.choice((Action.TOOL, Action.SWAP, Action.SHOW, Action.PROBABILITY)))
        if self.rng.random() < 0.7:
            self.state.tool = True

    def plane(self) -> None:
        dims = self.viewer.dims
        for axis in dims.not_displayed:
            dims.set_current_step(axis, self.rng.randrange(max(1, int(dims.nsteps[axis]))))

    def roll(self) -> None:
        self.viewer.dims.roll()

    def three_d(self) -> None:
        self.viewer.dims.ndisplay = 5 - self.viewer.dims.ndisplay
        # As a real hand's does: napari reads what is under where the mouse was last.
        QTest.mouseMove(self.canvas, QPoint(self.canvas.width() // 2, self.canvas.height() // 2))

    def flat(self) -> None:
        self.viewer.dims.ndisplay = 2

    def camera(self) -> None:
        if self.rng.random() < 0.5:
            self.viewer.reset_view()
        else:
            self.viewer.scene.camera.zoom *= self.rng.choice((0.5, 1.5, 2))

    def hover(self) -> None:
        QTest.mouseMove(self.canvas, self.somewhere())
        self.controller.preview.look()

    def see(self) -> None:
        self.controller.show_seen()

    # ---- layers

    def select(self) -> None:
        layers = [*self.viewer.layers, None]
        self.viewer.layers.selection.active = self.rng.choice(layers)

    def rename_layer(self) -> None:
        if self.viewer.layers:
            self.rng.choice(self.viewer.layers).name = f"renamed {self.rng.randint(0, 9)}"

    def hide(self) -> None:
        if self.viewer.layers:
            layer = self.rng.choice(self.viewer.layers)
            layer.visible = not layer.visible

    def reorder(self) -> None:
        n = len(self.viewer.layers)
        if n > 1:
            self.viewer.layers.move(self.rng.randrange(n), self.rng.randrange(n))

    def remove_layer(self) -> None:
        if self.viewer.layers:
            self.viewer.layers.remove(self.rng.choice(self.viewer.layers))

    def set_up_again(self) -> None:
        """Press the button that makes layers where some are missing."""
        if self.widget.images.start.enabled:
            self.widget.images.start.native.click()
            self.settle()
            self._take_up_what_was_left()

    def contrast(self) -> None:
        if self.state.image is not None and not self.state.image.rgb:
            self.state.image.contrast_limits = (0, self.rng.randint(100, 255))
        self.change("contrast_from_layer", [True, False])

    def move_image(self) -> None:
        if self.state.image is not None:
            self.state.image.translate = [self.rng.randint(0, 9)] * self.state.image.ndim

    # ---- images and models

    def open_image(self) -> None:
        """Open one that is not open, set it up, and take up what was left of it."""
        there = {self._name(one) for one in self._images()}
        closed = [name for name in IMAGES if name not in there]
        if not closed:
            return
        name = self.rng.choice(closed)
        layer = self.viewer.add_image(self.pixels[name], name=name, **IMAGES[name][1])
        self.settle()
        self.viewer.dims.ndisplay = 2
        self.controller.set_up(layer)
        if self.state.image is not layer:  # it asks whose labels those are
            self.controller.adopt(layer, afresh=True)
        self.settle()
        self._take_up_what_was_left()
        self.look(None)
        self.viewer.reset_view()

    def _take_up_what_was_left(self) -> None:
        """See that what was left is offered; take it up, or forget it."""
        state = self.state
        if state.annotation is None:
            return
        for _ in range(2):  # what an image that was closed at once has held is looked for again
            assert self.controller.autosave.flush()
            self.settle()
        name, now = self._name(state.image), np.array(state.annotation.data)
        left = self.left[name]
        if now.any() or state.can_undo or state.can_redo or state.begun:
            return
        assert state.unsaved_work or not left, "What was left of the image is not offered."
        if not state.unsaved_work or self.rng.random() < 0.2:
            return
        if self.rng.random() < 0.2:
            self.widget.unsaved_work.forget.native.click()
            left.clear()  # which of them it was is not seen
            self._give_away(name, lambda _: True)
            return
        self.widget.unsaved_work.take_up.native.click()
        self.settle()
        after = np.array(state.annotation.data)
        assert any(same(one, after) for one in self.ever[name]) or not after.any(), (
            "What comes back is not what was left."
        )
        self.left[name] = [one for one in left if not same(one, after)]
        self.ledgers.pop(state.annotation, None)
        self._give_away(name, lambda labels: same(labels, after))

    def _give_away(self, name: str, which: Callable[[Array], bool]) -> None:
        """Note that a journal is no longer that of labels which stayed without their image."""
        for layer, ledger in self.ledgers.items():
            another = ledger.name == name and layer is not self.state.annotation
            if another and which(ledger.labels):
                ledger.given_away = ledger.labels

    def _images(self) -> list[Image]:
        known = [*self.pixels.values()]
        return [one for one in self.viewer.layers if any(one.data is each for each in known)]

    def choose_image(self) -> None:
        images = self._images()
        if images:
            self.controller.choose(self.rng.choice(images))

    def close_image(self) -> None:
        """Take an image out; its other layers with it, or not."""
        images = self._images()
        if not images:
            return
        image = self.rng.choice(images)
        pairing = self.controller.pairings.get(image)
        gone = [image]
        if pairing is not None and self.rng.random() < 0.8:
            gone = pairing.layers()
            self.rng.shuffle(gone)
        for layer in gone:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    def clean_up(self) -> None:
        """Close everything, and begin with an image."""
        self.viewer.layers.clear()
        self.settle()
        self._look_at_labels(None)
        self.open_image()

    def model_switch(self) -> None:
        self.controller.choose_model(self.rng.choice(("default", "another", "third")))

    def model_fails(self) -> None:
        """A model that raises is said once, and loses nothing."""
        self.model.error = RuntimeError("out of memory")
        try:
            self.click()
            self.settle()
        finally:
            self.model.error = None
        self.told.clear()
        self.press(Action.CLEAR)


_WEIGHTS: dict[str, float] = {
    "click": 20, "double_click": 1, "box": 3, "scribble": 2, "lasso": 1,
    "crosshair": 2, "accept": 14,
    "hurried_accept": 4, "skip": 2, "clear": 2, "undo": 7, "redo": 5, "napari_undo": 3,
    "take_up": 4, "delete": 3, "merge": 2, "split": 2, "carry_on": 2, "propagate": 1, "fill_in": 2,
    "reading": 1,
    "paint": 4, "erase": 2, "fill": 1, "list_delete": 2, "list_merge": 1, "list_class": 1,
    "listing": 1, "next_class": 2, "add_class": 1, "remove_class": 1, "rename_class": 1,
    "scheme": 0.7, "rule": 1, "identifier": 1, "mask_rules": 1, "complete": 0.5, "toggle": 3,
    "plane": 4, "roll": 0.7, "three_d": 0.7, "flat": 2, "camera": 2, "hover": 2, "see": 0.3,
    "select": 3, "rename_layer": 2, "hide": 1.5, "reorder": 1, "remove_layer": 2,
    "set_up_again": 3, "contrast": 1, "move_image": 0.5, "open_image": 1.5, "choose_image": 3,
    "close_image": 0.8, "clean_up": 0.4, "model_switch": 1, "model_fails": 0.7,
}  # fmt: skip
