"""A journal, read: what was made of an image, and how it came about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.journal.checked_lines import whole_lines
from napari_clickseg.journal.events import (
    VERSION,
    Began,
    Classed,
    Completed,
    Modelled,
    Redone,
    SavedElsewhere,
    Undone,
    Viewing,
    line_of,
)
from napari_clickseg.journal.relabelling import Relabelling, changed_between
from napari_clickseg.journal.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.core.plane import Plane
    from napari_clickseg.journal.events import Line
    from napari_clickseg.journal.relabelling import Runs

_MOST_PIXELS = 1 << 28  # of labels that are made of a journal alone


class JournalError(ValueError):
    """A file that is no journal, or none that can be read; the message says what to do."""


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """A step of the user, which can be undone.

    Parameters
    ----------
    plane, end : Plane, optional
        Where it happened, and the plane that it led to.
    writes : tuple of Relabelling
        What was written into the annotation.
    """

    before: Scene
    after: Scene
    plane: Plane | None = None
    end: Plane | None = None
    writes: tuple[Relabelling, ...] = ()


@dataclass(frozen=True, eq=False)
class Recording:
    """What a journal says.

    Parameters
    ----------
    began : Began
        Which image it is about.
    scene : Scene
        What was there at the end.
    past, future : tuple of Step
        Steps, oldest first; undone ones, the next to be redone last.
    walk : tuple of Relabelling
        All that changed the labels, in order, with what was taken back.
    classes : ProjectClasses, optional
        What ids mean.
    models : tuple of Modelled
        That answered, in order.
    seen : Viewing
        How the image was seen at the end.
    saved : tuple of Step
        The steps that were in the labels when they were saved elsewhere.
    complete, complete_saved : mapping of tuple of int to bool
        Of which planes, by position, it was said whether all objects are labelled; and what of that
        was saved elsewhere.
    lines : int
        How many were read.
    whole : int
        Bytes of the file that were read; what follows is cut off or damaged.
    """

    began: Began
    scene: Scene = field(default_factory=Scene)
    past: tuple[Step, ...] = ()
    future: tuple[Step, ...] = ()
    walk: tuple[Relabelling, ...] = ()
    classes: Any = None
    models: tuple[Modelled, ...] = ()
    seen: Viewing = field(default_factory=Viewing)
    saved: tuple[Step, ...] = ()
    complete: Mapping[tuple[int, ...], bool] = field(default_factory=dict)
    complete_saved: Mapping[tuple[int, ...], bool] = field(default_factory=dict)
    lines: int = 0
    whole: int = 0

    @property
    def unsaved(self) -> bool:
        """Whether there is something in it that is not saved elsewhere."""
        written = [id(step) for step in self.past if step.writes]
        others = written != [id(step) for step in self.saved]
        return bool(self.scene.marks) or others or bool(self.unsaved_complete)

    @property
    def unsaved_complete(self) -> dict[tuple[int, ...], bool]:
        """What was said of completeness and is not saved elsewhere."""
        saved = self.complete_saved
        return {at: on for at, on in self.complete.items() if saved.get(at) is not on}

    def labels(self, there: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """Return the labels at the end.

        Parameters
        ----------
        there : int array, optional
            The labels to begin with: those that were there at the beginning, or any since then.
            Without them, nothing.

        Returns
        -------
        int array
            Of the annotation's shape.

        Raises
        ------
        JournalError
            If there are more pixels than a memory holds, of labels that begin with nothing.
        """
        sides = [int(n) for n in self.began.labels]
        if there is None and max(*sides, math.prod(sides), 0) > _MOST_PIXELS:
            raise JournalError(
                f"The journal is of labels of {' × '.join(map(str, sides))} pixels, which are too "
                "many to be laid out at once; give the labels that it began with."
            )
        out = np.zeros(self.began.labels, np.int64) if there is None else there.copy(order="C")
        flat = out.reshape(-1)

        def read(runs: Runs) -> npt.NDArray[Any]:
            return flat[runs.positions()]

        for one in changed_between(self.walk, read):
            flat[one.runs.positions()] = one.new
        return out


def read_journal(path: Path) -> Recording:
    """Read a journal up to its last whole line.

    Raises
    ------
    JournalError
        If it can't be read, is no journal, or is one of a newer version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror or error}.") from error
    return read_lines(content, path)


def read_lines(content: bytes, path: Path | str = "The journal") -> Recording:
    """Read the content of a journal up to its last whole line.

    Parameters
    ----------
    path : Path or str
        Which the message names.

    Raises
    ------
    JournalError
        If it is no journal, or one of a newer version.
    """
    said, _ = whole_lines(content)
    recording, whole, start = None, 0, 0
    for number, text in enumerate(said):
        start = content.index(b"\n", start) + 1
        try:
            line = line_of(text)
            recording = _began(line, path) if recording is None else _with(recording, line)
        except JournalError:
            raise
        except (ValueError, OverflowError, RecursionError):
            break  # it is whole, but makes no sense: what came before it stands
        whole = start
        recording = replace(recording, lines=number + 1, whole=whole)
    if recording is None:
        raise JournalError(f"{path} is no journal of this program.")
    return recording


def _began(line: Line, path: Path | str) -> Recording:
    if not isinstance(line, Began):
        raise JournalError(f"{path} is no journal of this program.")
    if line.version > VERSION:
        raise JournalError(
            f"{path} has version {line.version}, this program knows up to {VERSION}; update "
            "napari-clickseg."
        )
    return Recording(line)


def _with(one: Recording, line: Line) -> Recording:
    """Return what is known with one more line."""
    size = int(np.prod([int(n) for n in one.began.labels], dtype=object))
    if isinstance(line, Undone):
        return _undone(one)
    if isinstance(line, Redone):
        return _redone(one)
    if isinstance(line, SavedElsewhere):
        steps = tuple(step for step in one.past if step.writes)
        return replace(one, saved=steps, complete_saved=one.complete)
    if isinstance(line, Completed):
        if len(line.index) != len(one.began.labels):
            raise ValueError("there is no such plane")
        return replace(one, complete={**one.complete, line.index: line.complete})
    if isinstance(line, Classed):
        return replace(one, classes=line.classes)
    if isinstance(line, Modelled):
        return replace(one, models=(*one.models, line))
    if isinstance(line, Viewing):
        return replace(one, seen=line)
    if isinstance(line, Began):
        raise ValueError("it begins twice")
    if line.what == "laid":
        return replace(one, walk=(*one.walk, line.change.relabelling(size)))
    if line.what == "scene":
        return replace(one, scene=line.scene.after(one.scene))
    before = one.scene
    step = Step(
        before,
        line.scene.after(before),
        line.plane.plane if line.plane is not None else None,
        line.end.plane if line.end is not None else None,
        tuple(write.relabelling(size) for write in line.writes),
    )
    walk = (*one.walk, *step.writes)
    return replace(one, scene=step.after, past=(*one.past, step), future=(), walk=walk)


def _undone(one: Recording) -> Recording:
    if not one.past:
        raise ValueError("there is nothing to undo")
    step = one.past[-1]
    back = tuple(write.reversed() for write in reversed(step.writes))
    future, walk = (*one.future, step), (*one.walk, *back)
    return replace(one, scene=step.before, past=one.past[:-1], future=future, walk=walk)


def _redone(one: Recording) -> Recording:
    if not one.future:
        raise ValueError("there is nothing to redo")
    step = one.future[-1]
    past, walk = (*one.past, step), (*one.walk, *step.writes)
    return replace(one, scene=step.after, past=past, future=one.future[:-1], walk=walk)
