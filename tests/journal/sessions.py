"""Sessions of annotating, made up: what a user did, and what the labels were at each moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.journal.checked_lines import checked_line
from napari_clickseg.journal.events import (
    Began,
    Classed,
    Laid,
    Modelled,
    Redone,
    SavedElsewhere,
    Scribe,
    Stepped,
    Undone,
    Viewing,
)
from napari_clickseg.journal.relabelling import Relabelling
from napari_clickseg.journal.scene import Accepted, Draft, Drawn, Mark, Scene

SHAPE = (2, 12, 16)
CLASSES = ProjectClasses(
    scheme="instances", classes=(ProjectClass(id=1, name="Käse", colour="#ff0000"),)
)


def began(**other: Any) -> Began:
    fields: dict[str, Any] = {"shape": SHAPE, "dtype": "uint8", "digest": "0" * 32}
    return Began(**(fields | {"labels": SHAPE, "at": "2026-11-30T08:00:00+00:00"} | other))


@dataclass
class Moment:
    """What there was after a line."""

    labels: np.ndarray
    scene: Scene
    undoable: int
    redoable: int


class Session:
    """A user who annotates, and what an honest witness remembers after each line."""

    def __init__(self, seed: int, base: np.ndarray | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        self.labels = np.zeros(SHAPE, np.uint32)
        self.scene = Scene()
        self.past: list[tuple[Scene, Scene, list[tuple[np.ndarray, ...]]]] = []
        self.future: list[tuple[Scene, Scene, list[tuple[np.ndarray, ...]]]] = []
        self.scribe = Scribe()
        self.content = b""
        self.moments: list[tuple[int, Moment]] = []
        self._key = 0
        self.note(began())
        if base is not None and base.any():
            self.labels, at = base.copy(), np.flatnonzero(base)
            self.note(Laid(Relabelling.of(at, np.zeros(at.size), base.reshape(-1)[at])))

    def note(self, event: Any) -> None:
        for text in self.scribe.texts(event):
            self.content += checked_line(text)
        # An id that was chosen is noted with the next step: until then a journal can't know it.
        said = self.moments and not isinstance(event, (Undone, Redone))
        scene = self.moments[-1][1].scene if said else self.scene
        moment = Moment(self.labels.copy(), scene, len(self.past), len(self.future))
        self.moments.append((len(self.content), moment))

    def plane(self) -> Plane:
        if self.rng.random() < 0.2:  # a stack looked at from the side
            return Plane((0, 2), (0, int(self.rng.integers(12)), 0), (2, 16))
        return Plane((1, 2), (int(self.rng.integers(2)), 0, 0), (12, 16))

    def do_anything(self) -> None:
        acts = [self.click, self.click, self.draw, self.accept, self.accept, self.paint, self.undo]
        acts += [self.redo, self.take_up, self.delete, self.choose_id, self.say, self.undo]
        acts[int(self.rng.integers(len(acts)))]()

    def click(self) -> None:
        self._key += 1
        at = tuple(float(x) for x in self.rng.uniform(-1, 14, 3).round(3))
        mark = Mark(self._key, at, bool(self.rng.random() < 0.7))
        self._step(self.scene.with_marks([*self.scene.marks, mark]), self.plane())

    def draw(self) -> None:
        self._key += 1
        shapes = (
            DrawnBox(1, 2, 4.5, 6.25),
            Scribble(((1.0, 2.0), (3.0, 4.5)), positive=False),
            Lasso(((1.0, 1.0), (1.0, 7.0), (6.0, 4.0)), positive=True),
        )
        mark = Drawn(self._key, self.plane(), shapes[int(self.rng.integers(3))])
        self._step(self.scene.with_marks([*self.scene.marks, mark]), mark.plane)

    def accept(self) -> None:
        plane = self.plane()
        mask = self.rng.random(plane.shape) < 0.3
        value, scene = self.scene.value(plane), self.scene
        rows, columns = np.nonzero(mask)
        note = ObjectNote(score=0.5, clicks=len(scene.on(plane)), model="m")
        new = Accepted(plane, value, scene.on(plane), Patch.of(mask), 1, note)
        after = scene.with_draft(plane, None).with_object(new, scene.draft(plane).editing)
        self._write(after.used(value), plane, rows, columns, value)

    def paint(self) -> None:
        plane = self.plane()
        rows, columns = np.nonzero(self.rng.random(plane.shape) < 0.2)
        self._write(self.scene, plane, rows, columns, int(self.rng.integers(4)))

    def take_up(self) -> None:
        if self.scene.objects:
            one = self.scene.objects[int(self.rng.integers(len(self.scene.objects)))]
            draft = Draft(one.patch, one.marks, one, reading=1)
            self._step(self.scene.with_draft(one.plane, draft, one.marks), one.plane)

    def delete(self) -> None:
        if self.scene.objects:
            one = self.scene.objects[0]
            kept = tuple(o for o in self.scene.objects if o is not one)
            scene = replace(self.scene.with_draft(one.plane, Draft(quiet=True)), objects=kept)
            rows, columns = np.nonzero(one.patch.mask)
            rows, columns = rows + one.patch.box.top, columns + one.patch.box.left
            self._write(scene, one.plane, rows, columns, 0)

    def choose_id(self) -> None:  # which is no step
        self.scene = replace(self.scene, object_id=int(self.rng.integers(1, 9)))

    def say(self) -> None:
        said = (Classed(classes=CLASSES), Modelled(name="m", sha256="ab"), Viewing(contrast=(0, 1)))
        self.note((*said, SavedElsewhere())[int(self.rng.integers(4))])

    def undo(self) -> None:
        if self.past:
            before, after, writes = self.past.pop()
            self.future.append((before, after, writes))
            for at, old, _ in reversed(writes):
                self.labels[tuple(at)] = old
            self.scene = before
            self.note(Undone())

    def redo(self) -> None:
        if self.future:
            before, after, writes = self.future.pop()
            self.past.append((before, after, writes))
            for at, _, new in writes:
                self.labels[tuple(at)] = new
            self.scene = after
            self.note(Redone())

    def _step(self, after: Scene, plane: Plane, writes: Any = ()) -> None:
        before, self.scene = self.scene, after
        self.past.append((before, after, list(writes)))
        self.future = []

        def noted() -> tuple[Relabelling, ...]:
            return tuple(
                Relabelling.of(np.ravel_multi_index(tuple(at), SHAPE), old, new)
                for at, old, new in writes
            )

        # The line of a change that was no step comes first, and stands by itself.
        texts = self.scribe.texts(Stepped(before, after, plane, None, noted))
        if len(texts) == 2:
            self.content += checked_line(texts[0])
            undone = len(self.past) - 1
            back = self.labels.copy()
            for at, old, _ in reversed(writes):
                back[tuple(at)] = old
            self.moments.append((len(self.content), Moment(back, before, undone, -1)))
        self.content += checked_line(texts[-1])
        now = Moment(self.labels.copy(), after, len(self.past), 0)
        self.moments.append((len(self.content), now))

    def _write(
        self, after: Scene, plane: Plane, rows: np.ndarray, columns: np.ndarray, value: int
    ) -> None:
        at = np.broadcast_arrays(*plane.key(rows, columns))
        old = self.labels[tuple(at)]
        changed = old != value
        at, old = [one[changed] for one in at], old[changed]
        new = np.full(old.shape, value)
        self.labels[tuple(at)] = new
        self._step(after, plane, [(np.array(at), old, new)])
