"""A journal that is written anew says the same in fewer words, and is never lost on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.journal.compacting import compact, compacted
from napari_clickseg.journal.events import SavedElsewhere
from napari_clickseg.journal.recording import read_journal, read_lines
from tests.journal.sessions import Session

if TYPE_CHECKING:
    from napari_clickseg.journal.recording import Recording

ROOT = Path(__file__).parents[2]


def wandering(seed: int, n: int = 25) -> Session:
    """A session with labels that were there before, and much that was taken back."""
    base = (np.random.default_rng(seed).random((2, 12, 16)) < 0.1).astype(np.uint32) * 9
    session = Session(seed, base)
    for _ in range(n):
        session.do_anything()
    return session


def steps(one: Recording) -> list[tuple[object, ...]]:
    every = (*one.past, *one.future)
    return [(step.before, step.after, step.plane, step.end) for step in every]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_written_anew_gives_the_same_from_whatever_is_there(seed: int) -> None:
    session = wandering(seed)
    old = read_lines(session.content)
    content = compacted(old)
    if content is None:  # a step that was saved is gone for good
        return
    new = read_lines(content)
    assert new.whole == len(content)
    assert new.scene == old.scene and steps(new) == steps(old)
    assert (new.unsaved, new.classes, new.seen) == (old.unsaved, old.classes, old.seen)
    for _, moment in session.moments:
        assert np.array_equal(new.labels(moment.labels), old.labels(moment.labels))
    assert np.array_equal(new.labels(), old.labels())


def test_steps_that_are_gone_and_the_way_back_and_forth_go() -> None:
    session = Session(3)
    session.accept()
    for _ in range(50):
        session.accept()
        session.undo()
        session.redo()
        session.undo()
    session.accept()
    content = compacted(read_lines(session.content))
    assert content is not None and len(content) < len(session.content) / 10


def test_what_was_saved_stays_saved_and_what_was_not_does_not() -> None:
    session = Session(4)
    session.accept()
    session.note(SavedElsewhere())
    assert not read_lines(compacted(read_lines(session.content)) or b"").unsaved
    session.undo()  # the file has what is undone here
    assert read_lines(compacted(read_lines(session.content)) or b"").unsaved


def test_a_damaged_end_goes_and_the_date_stays(tmp_path: Path) -> None:
    session = Session(3)
    for _ in range(20):
        session.accept()
        session.undo()
    session.accept()
    path = tmp_path / "j.jsonl"
    path.write_bytes(session.content + b'{"crc":"0')
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert compact(path)
    assert read_journal(path).whole == path.stat().st_size < len(session.content) / 5
    assert path.stat().st_mtime == 1_700_000_000
    assert not compact(path)  # there is nothing more to be gained
    assert [one.name for one in tmp_path.iterdir()] == ["j.jsonl"]


KILLS = """
import sys
from pathlib import Path
from napari_clickseg.journal.compacting import compact
from napari_clickseg.util.files import sweep
from tests.data.killing import killed_at
old, folder = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
path = folder / "j.jsonl"
path.write_bytes(old)
assert compact(path)
new = path.read_bytes()
for point in range(1, 1000):
    path.write_bytes(old)
    killed = killed_at(point, lambda folder: compact(folder / "j.jsonl"), folder)
    there = path.read_bytes()
    sweep(folder)
    alone = [one.name for one in folder.iterdir()] == ["j.jsonl"]
    print("old" if there == old else "new" if there == new else "mixed", alone)
    if not killed:
        break
"""


@pytest.mark.skipif(os.name == "nt", reason="processes can't be forked")
def test_killed_at_any_moment_one_of_both_is_there_as_a_whole(tmp_path: Path) -> None:
    session = Session(3)
    for _ in range(20):
        session.accept()
        session.undo()
    session.accept()
    (tmp_path / "old").write_bytes(session.content)
    (tmp_path / "place").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLS, tmp_path / "old", tmp_path / "place"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    outcomes = done.stdout.splitlines()
    assert set(outcomes) == {"old True", "new True"}
    assert outcomes.count("old True") > 2
