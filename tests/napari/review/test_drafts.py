"""A draft comes back as it was kept; one that is broken is never believed, and never lost."""

from __future__ import annotations

import random
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_clickseg._napari.project.correction import Correction, Pending
from napari_clickseg._napari.review.drafts import DraftFile, read_draft
from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
from napari_clickseg.core.patch import Patch
from napari_clickseg.data.annotations import Annotations, ProjectClick
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from tests.data.mutating import broken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHAPE = (12, 17)
SECONDS = 5

points = st.lists(st.tuples(st.floats(-1, 20), st.floats(-1, 20)), min_size=1, max_size=4)
objects = st.none() | st.integers(1, 2**32 - 1)
edges = st.tuples(*[st.floats(-1, 9)] * 2, *[st.floats(10, 20)] * 2)
drawn = st.one_of(
    st.builds(lambda corners, positive: Scribble(tuple(corners), positive), points, st.booleans()),
    edges.map(lambda corners: DrawnBox(*corners)),
    edges.map(lambda e: Lasso(((e[0], e[1]), (e[0], e[3]), (e[2], e[1])), False)),
)
clicks = st.lists(
    st.builds(
        ProjectClick,
        y=st.floats(-1, 20),
        x=st.floats(-1, 20),
        positive=st.booleans(),
        object=objects,
    )
    | st.builds(ProjectClick.of, drawn, objects),
    max_size=4,
).map(tuple)
classes = st.none() | st.builds(
    ProjectClasses,
    scheme=st.sampled_from(["classes", "instances"]),
    classes=st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
    .filter(str.strip)
    .map(lambda name: (ProjectClass(id=1, name=name),)),
)


@st.composite
def pending(draw: st.DrawFn) -> Pending:
    made = draw(clicks)
    masks = arrays(bool, SHAPE).filter(np.any).map(Patch.of)
    return Pending(
        clicks=made,
        settled=draw(st.integers(0, len(made))),
        start=draw(st.none() | masks),
        editing=draw(st.none() | st.integers(1, 2**31)),
        reading=draw(st.integers(0, 4)),
    )


corrections = st.builds(
    Correction,
    labels=st.sampled_from([np.uint8, np.uint16, np.int32]).flatmap(
        lambda dtype: arrays(dtype, SHAPE, elements=st.integers(0, 200))
    ),
    notes=st.builds(
        Annotations,
        clicks=clicks,
        classes=st.dictionaries(st.integers(1, 300), st.integers(1, 9), max_size=3),
    ),
    classes=classes,
    pending=pending(),
)


def same(one: Correction, other: Correction) -> bool:
    return bool(
        np.array_equal(one.labels, other.labels)
        and one.labels.dtype == other.labels.dtype
        and (one.notes, one.classes, one.pending) == (other.notes, other.classes, other.pending)
    )


@given(correction=corrections)
def test_what_is_kept_comes_back(
    tmp_path_factory: pytest.TempPathFactory, correction: Correction
) -> None:
    home = tmp_path_factory.mktemp("home")
    first = DraftFile(home, home / "project", "images/a.png")
    first.claim()
    first.begin(np.zeros(SHAPE, np.uint8))
    kept = first.keep(correction)
    first.release()
    second = DraftFile(home, home / "project", "images/a.png")
    second.claim()
    draft = second.load(SHAPE)
    second.release()
    assert kept == bool(correction.labels.any() or correction.pending)
    assert draft is not None if kept else draft is None
    assert draft is None or same(draft, correction)
    assert second.load((5, 5)) is None, "never that of another shape"


def sound(path: Path) -> bytes:
    """Write a draft that says everything a draft can say, and return the file."""
    mask = np.zeros(SHAPE, bool)
    mask[3:6, 4:9] = True
    made = tuple(ProjectClick(y=n, x=n, object=3) for n in range(3))
    file = DraftFile(path, path / "project", "images/a.png")
    file.begin(np.zeros(SHAPE, np.uint8))
    file.keep(
        Correction(
            np.arange(mask.size, dtype=np.uint16).reshape(SHAPE),
            Annotations(clicks=made, classes={3: 1}),
            ProjectClasses(scheme="instances", classes=(ProjectClass(id=1, name="a"),)),
            Pending(made, 1, Patch.of(mask), 3),
        )
    )
    return file.path.read_bytes()


def parts_broken(data: Path, rng: random.Random) -> None:
    """Break one of the arrays in a draft, so that the archive around it stays sound."""
    with zipfile.ZipFile(data) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(parts))
    parts[name] = broken(parts[name], rng)
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def broken_drafts(folder: Path, seed: int, count: int) -> Iterator[Path]:
    whole, rng = sound(folder), random.Random(seed)
    path = folder / "a.npz"
    for number in range(count):
        path.write_bytes(whole if number % 2 else broken(whole, rng))
        if number % 2:
            parts_broken(path, rng)
        yield path


def believed(path: Path) -> Any:
    """Read a draft as the program does: a sound one, or None where it is refused."""
    began = time.process_time()
    try:
        draft = read_draft(path, SHAPE)
    except ValueError as error:
        assert "\n" not in str(error)
        return None
    finally:
        assert time.process_time() - began < SECONDS
    assert draft.labels.shape == SHAPE
    assert draft.labels.min() >= 0
    assert draft.pending.settled <= len(draft.pending.clicks)
    start = draft.pending.start
    assert start is None or (start.box.bottom <= SHAPE[0] and start.box.right <= SHAPE[1])
    return draft


def test_what_is_broken_is_refused_or_makes_sense(tmp_path: Path) -> None:
    verdicts = [believed(path) for path in broken_drafts(tmp_path, 0, 300)]
    assert any(each is None for each in verdicts)
    assert any(each is not None for each in verdicts)


@pytest.mark.slow
def test_what_of_thousands_is_broken_is_refused_or_makes_sense(tmp_path: Path) -> None:
    for path in broken_drafts(tmp_path, 1, 10_000):
        believed(path)


def test_a_broken_draft_is_put_aside_as_it_is(tmp_path: Path) -> None:
    whole = sound(tmp_path)
    file = DraftFile(tmp_path, tmp_path / "project", "images/a.png")
    for content in (b"", whole[:100], whole[::-1]):
        file.path.write_bytes(content)
        assert file.load(SHAPE) is None
        assert file.broken is not None
        assert file.broken.read_bytes() == content
