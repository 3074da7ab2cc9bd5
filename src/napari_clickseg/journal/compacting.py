"""A journal written anew with what can still be taken up or undone, and without the rest."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.journal.checked_lines import checked_line
from napari_clickseg.journal.events import (
    Classed,
    Completed,
    Laid,
    SavedElsewhere,
    Scribe,
    Stepped,
    Undone,
)
from napari_clickseg.journal.recording import JournalError, read_journal, read_lines
from napari_clickseg.journal.relabelling import Relabelling, Runs, joined
from napari_clickseg.util.files import begin, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_clickseg.journal.events import JournalEvent
    from napari_clickseg.journal.recording import Recording, Step
    from napari_clickseg.journal.relabelling import Ints

_MOST = 1 << 22  # changes of pixels up to which it is tried: it takes memory
_WORTH = 0.8  # of the size that was: what is not much smaller is left as it is


def compact(path: Path) -> bool:
    """Write a journal anew, if that makes it much smaller; nobody else may use it meanwhile.

    The new file takes the place of the old one when all of it is on the disk: whenever the
    program ends, one of them is there as a whole.

    Returns
    -------
    bool
        Whether it was written anew.

    Raises
    ------
    JournalError, OSError
        If it can't be read or written. The old one is still there.
    """
    recording, before = read_journal(path), path.stat()
    content = compacted(recording)
    if content is None or len(content) > _WORTH * before.st_size:
        return False
    partial = begin(path)
    try:
        with partial.open("r+b") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.utime(partial, ns=(before.st_atime_ns, before.st_mtime_ns))  # when it was left
        partial.replace(path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
    return True


def compacted(recording: Recording) -> bytes | None:
    """Return the content of a journal that gives the same: labels, scene, undo and redo.

    What goes are steps that were undone and can't be redone, the way back and forth, and what was
    said of classes and model meanwhile. Labels that have been through a part of the old journal
    come out of the new one as they come out of the old one.

    Returns
    -------
    bytes or None
        None where it can't be said in fewer words.
    """
    steps = (*recording.past, *reversed(recording.future))
    kept = _kept_saved(recording, steps)
    if sum(one.runs.size for one in recording.walk) > _MOST or kept is None or not steps:
        return None
    out: list[JournalEvent] = [recording.began]
    out += [Classed(classes=recording.classes)] if recording.classes is not None else []
    out += [recording.seen, *recording.models, *_laid(recording)]
    out += [Completed(index=at, complete=on) for at, on in recording.complete_saved.items()]
    for number, step in enumerate(steps):
        if number == kept:
            out.append(SavedElsewhere())
        out.append(_stepped(step))
    if kept == len(steps):
        out.append(SavedElsewhere())
    out += [Completed(index=at, complete=on) for at, on in recording.unsaved_complete.items()]
    out += [Undone()] * len(recording.future)
    scribe = Scribe()
    content = b"".join(checked_line(text) for one in out for text in scribe.texts(one))
    return content if _same(recording, content) else None


def _stepped(step: Step) -> Stepped:
    return Stepped(step.before, step.after, step.plane, step.end, lambda: step.writes)


def _kept_saved(recording: Recording, steps: Sequence[Step]) -> int | None:
    """Return after how many steps it was saved; None where a step is gone that was saved.

    It is beyond all steps where nothing was saved.
    """
    saved = [id(step) for step in recording.saved]
    if not saved:
        return len(steps) + 1
    seen: list[int] = []
    for number, step in enumerate(steps, 1):
        seen += [id(step)] if step.writes else []
        if seen == saved:
            return number
    return None


def _laid(recording: Recording) -> Iterator[Laid]:
    """Yield what makes labels as they were before the first step of all that they have been since.

    Each pixel has gone from id to id. Whichever of them it has by now, the steps lead on from the
    first one, so that all the others become that first.
    """
    walk = recording.walk
    every = joined([one.runs for one in walk])
    at = every.positions()
    if not at.size:
        return
    labels = _first(walk, at)
    for one in walk:
        one.apply(labels, every)
    for step in reversed(recording.past):
        for write in reversed(step.writes):
            write.reversed().apply(labels, every)
    pairs = np.concatenate(
        [np.stack([one.runs.positions(), ids]) for one in walk for ids in (one.old, one.new)],
        axis=1,
    )
    pairs = np.unique(pairs, axis=1)
    other = pairs[1] != labels[np.searchsorted(at, pairs[0])]
    pairs = pairs[:, other]
    if not pairs.size:
        return
    begins = np.flatnonzero(np.concatenate([[True], np.diff(pairs[0]) != 0]))
    lengths = np.diff(np.append(begins, pairs.shape[1]))
    rank = np.arange(pairs.shape[1]) - np.repeat(begins, lengths)
    for level in range(int(rank.max()) + 1):
        where, old = pairs[:, rank == level]
        yield Laid(Relabelling.of(where, old, labels[np.searchsorted(at, where)]))


def _first(walk: Sequence[Relabelling], at: Ints) -> Ints:
    """Return the ids that pixels had before anything happened."""
    labels = np.zeros(at.size, np.int64)
    for one in reversed(walk):
        labels[np.searchsorted(at, one.runs.positions())] = one.old
    return labels


def _same(old: Recording, content: bytes) -> bool:
    """Whether a new journal says what the old one says: nothing goes before that is known."""
    try:
        new = read_lines(content)
    except JournalError:
        return False
    every = joined([one.runs for one in old.walk])
    at = every.positions()
    first = _first(old.walk, at)
    same = (
        new.whole == len(content)
        and new.scene == old.scene
        and [_content(step) for step in new.past] == [_content(step) for step in old.past]
        and [_content(step) for step in new.future] == [_content(step) for step in old.future]
        and (new.classes, new.models, new.seen) == (old.classes, old.models, old.seen)
        and new.unsaved == old.unsaved
        and (new.complete, new.unsaved_complete) == (old.complete, old.unsaved_complete)
    )
    starts = (first, np.zeros_like(first))
    return same and all(
        np.array_equal(_walked(old, start, every), _walked(new, start, every)) for start in starts
    )


def _content(step: Step) -> tuple[object, ...]:
    sizes = tuple(write.runs.size for write in step.writes)
    return step.before, step.after, step.plane, step.end, sizes


def _walked(recording: Recording, start: Ints, every: Runs) -> Ints:
    labels = start.copy()
    for one in recording.walk:
        one.apply(labels, every)
    return labels
