"""Kills a process that changes a project at every point at which it touches a file.

Run as a program with a change's name and two folders: the project as it was, and a place to work
in. Prints for each point what the project is at the next opening: before, after, or a mixture.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.annotations import ProjectClick
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.masks import file_digest
from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.review_table import TABLE, read_reviews
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = np.arange(400, dtype=np.uint8).reshape(20, 20)
ONE, OTHER = (np.zeros((20, 20), np.uint16) for _ in range(2))
ONE[2:7, 2:7], OTHER[9:15, 9:15] = 1, 700  # which needs a .tif
CLICKS = [(ProjectClick(y=y, x=y, positive=True),) for y in (4.0, 12.0)]
CELLS = ProjectClasses(scheme="classes", classes=(ProjectClass(id=1, name="cell"),))
TOUCHING = ("open", "os.", "shutil.", "tempfile.")
KILLED = 9


def begin(folder: Path) -> None:
    """Make the project as it was before."""
    project = ProjectWriter(folder)
    project.add("a", IMAGE, ONE, clicks=CLICKS[0])
    project.add("b", IMAGE + 1)
    project.add("c", IMAGE + 2, ONE, clicks=CLICKS[0])
    project.add("d", IMAGE + 3)
    queue = ReviewQueue(folder)
    for name in "bd":
        queue.propose(f"images/{name}.png", ONE, model="m", uncertainty=0.5)
    queue.accept("images/d.png", ONE)


CHANGES: dict[str, Callable[[Path], Any]] = {
    "a new image with mask and clicks": lambda folder: ProjectWriter(folder).add(
        "e", IMAGE + 4, OTHER, clicks=CLICKS[1], classes=CELLS
    ),
    "another image, mask and clicks": lambda folder: ProjectWriter(folder).add(
        "a", IMAGE + 9, OTHER, clicks=CLICKS[1]
    ),
    "another mask of the same kind, without clicks": lambda folder: ProjectWriter(folder).add(
        "a", IMAGE, ONE * 2
    ),
    "a first mask": lambda folder: ProjectWriter(folder).annotate(
        "images/b.png", OTHER, clicks=CLICKS[1]
    ),
    "another mask": lambda folder: ProjectWriter(folder).annotate(
        "images/a.png",
        OTHER,
        clicks=CLICKS[1],
        replacing=file_digest(folder / "masks/a.png"),
    ),
    "another mask, without clicks": lambda folder: ProjectWriter(folder).annotate(
        "images/a.png", OTHER, replacing=file_digest(folder / "masks/a.png")
    ),
    "an accepted prediction": lambda folder: ReviewQueue(folder).accept(
        "images/b.png", OTHER, clicks=CLICKS[1]
    ),
    "an accepted prediction that is taken back": lambda folder: ReviewQueue(folder).take_back(
        "images/d.png", replacing=file_digest(folder / "masks/d.png")
    ),
    "fewer images": lambda folder: ProjectWriter(folder).keep_only(["images/a.png"]),
    "classes": lambda folder: ProjectWriter(folder).set_classes(CELLS),
}


def content(folder: Path) -> dict[str, bytes]:
    """Return every file but the empty ones that are held; of reviews, what became of each."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    reviews = read_reviews(folder / TABLE)
    files[TABLE] = repr(
        {name: (one.prediction, one.state) for name, one in reviews.items()}
    ).encode()
    return files


def killed_at(point: int, change: Callable[[Path], Any], folder: Path) -> bool:
    """Make a change in a process that ends before it touches a file of the folder that often."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    touched = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal touched
        if event.startswith(TOUCHING) and any(str(folder) in str(one) for one in arguments):
            if touched == point:
                os._exit(KILLED)
            touched += 1

    sys.addaudithook(watch)
    try:
        change(folder)
    finally:
        os._exit(0)


def opened(folder: Path, by: str) -> dict[str, bytes]:
    """Open a project as somebody does who reads it, or writes to it, and return what is there."""
    if by == "reading":
        read_project(folder)
    else:
        ProjectWriter(folder)
    return content(folder)


def state_of(place: Path, by: str, before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """Say what a project is at the next opening; a mixture is told by what differs."""
    state = opened(place, by)
    if state in (before, after):
        return "before" if state == before else "after"
    names = {name for name in {*state, *before} if state.get(name) != before.get(name)}
    return "mixture: " + ", ".join(sorted(names))


def main(name: str, old: Path, place: Path, every: int) -> None:
    """Kill at each point, or at some of them; where a step was begun, kill its undoing as well."""
    before, change = content(old), CHANGES[name]

    def put_back() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(old, place)

    put_back()
    change(place)
    after, point, killed = content(place), 0, True
    while killed:
        put_back()
        killed = killed_at(point, change, place)
        begun = (place / ".unfinished.json").exists()
        by = "reading" if point % 2 else "writing"
        print("killed" if killed else "ended", state_of(place, by, before, after))  # noqa: T201
        again = 0
        while begun:
            put_back()
            killed_at(point, change, place)
            begun = killed_at(again, lambda folder: opened(folder, "writing"), place)
            print("killed twice", state_of(place, by, before, after))  # noqa: T201
            again += every
        point += every if killed else 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
