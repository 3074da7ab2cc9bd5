from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.journal.checked_lines import checked_line, whole_lines
from napari_clickseg.journal.events import Modelled, SavedElsewhere, Undone
from napari_clickseg.journal.recording import JournalError, Recording, read_lines
from tests.journal.sessions import CLASSES, SHAPE, Moment, Session, began

SEEDS = st.integers(0, 2**32 - 1)


def annotated(seed: int, n: int = 25) -> Session:
    base = np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint32)
    session = Session(seed, base if seed % 2 else None)
    for _ in range(n):
        session.do_anything()
    return session


def agrees(recording: Recording, moment: Moment) -> None:
    assert np.array_equal(recording.labels(), moment.labels)
    assert recording.scene == moment.scene
    assert len(recording.past) == moment.undoable
    if moment.redoable >= 0:
        assert len(recording.future) == moment.redoable


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_whatever_was_done_the_journal_gives_the_same_labels_clicks_and_objects(seed: int) -> None:
    session = annotated(seed)
    recording = read_lines(session.content)
    agrees(recording, session.moments[-1][1])
    assert recording.whole == len(session.content)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_labels_that_were_there_at_any_moment_become_those_at_the_end(seed: int) -> None:
    session = annotated(seed, 12)
    recording = read_lines(session.content)
    for _, moment in session.moments:
        assert np.array_equal(recording.labels(moment.labels), session.labels)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.data())
def test_cut_anywhere_it_gives_what_was_there_at_the_last_whole_line(
    seed: int, data: st.DataObject
) -> None:
    session = annotated(seed, 10)
    first = session.moments[0][0]
    for cut in data.draw(st.lists(st.integers(first, len(session.content)), max_size=8)):
        recording = read_lines(session.content[:cut])
        end, moment = [one for one in session.moments if one[0] <= cut][-1]
        agrees(recording, moment)
        assert recording.whole == end


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.data())
def test_a_damaged_byte_costs_what_comes_after_it_and_nothing_before(
    seed: int, data: st.DataObject
) -> None:
    session = annotated(seed, 8)
    at = data.draw(st.integers(session.moments[0][0], len(session.content) - 1))
    damaged = bytearray(session.content)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    end, moment = [one for one in session.moments if one[0] <= at][-1]
    recording = read_lines(bytes(damaged))
    assert recording.whole == end
    agrees(recording, moment)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_undo_goes_back_through_all_that_was_read(seed: int) -> None:
    session = annotated(seed, 15)
    content = session.content
    for _ in range(len(session.past)):
        session.undo()
        content = session.content
    agrees(read_lines(content), session.moments[-1][1])


def test_an_object_that_is_corrected_is_the_very_one_in_the_scene() -> None:
    session = Session(1)
    session.click()
    session.accept()
    session.take_up()
    scene = read_lines(session.content).scene
    (draft,) = scene.drafts.values()
    assert draft.editing is scene.objects[0]


def test_it_knows_what_is_saved_elsewhere() -> None:
    session = Session(2)
    session.accept()
    assert read_lines(session.content).unsaved
    session.note(SavedElsewhere())
    assert not read_lines(session.content).unsaved
    session.undo()
    assert read_lines(session.content).unsaved
    session.redo()
    assert not read_lines(session.content).unsaved
    session.click()
    assert read_lines(session.content).unsaved  # a click on an object that is not accepted yet


def test_a_whole_line_that_makes_no_sense_ends_it_as_a_damaged_one_does() -> None:
    session = Session(3)
    session.accept()
    for bad in ('{"what":"redo"}', '{"what":"dance"}', "[]", '{"what":"began","version":1}'):
        recording = read_lines(
            session.content + checked_line(bad) + checked_line('{"what":"undo"}')
        )
        agrees(recording, session.moments[-1][1])


def test_runs_beyond_the_image_are_not_believed() -> None:
    session = Session(4)
    whole = len(session.content)
    session.accept()
    lines, _ = whole_lines(session.content)
    said = json.loads(lines[-1])
    assert said["writes"]
    smaller = Session(4, None)
    smaller.content = b""
    smaller.note(began(labels=(1, 2, 2)))
    recording = read_lines(smaller.content + session.content[whole:])
    assert recording.lines == 1 or not recording.walk


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"\x00" * 99, checked_line('{"what":"undo"}')]
)
def test_what_is_no_journal_is_said_in_one_line(content: bytes) -> None:
    with pytest.raises(JournalError, match=r"^x.jsonl is no journal"):
        read_lines(content, "x.jsonl")


def test_a_journal_of_a_newer_version_asks_for_an_update() -> None:
    text = began(version=2).model_dump_json()
    with pytest.raises(JournalError, match="update"):
        read_lines(checked_line(text))


def test_each_line_is_json_that_others_can_read() -> None:
    session = annotated(7)
    session.note(Modelled(name="m", sha256="ab"))
    said = [json.loads(line)["said"]["what"] for line in session.content.splitlines()]
    assert said[0] == "began"
    assert said[-1] == "model"


def test_what_ids_mean_and_who_answered_is_read_too() -> None:
    from napari_clickseg.journal.events import Classed, Viewing

    session = Session(5)
    for one in (Classed(classes=CLASSES), Modelled(name="m"), Viewing(contrast=(3, 9), smooth=2)):
        session.note(one)
    recording = read_lines(session.content)
    assert recording.classes == CLASSES
    assert [one.name for one in recording.models] == ["m"]
    assert (recording.seen.contrast, recording.seen.smooth) == ((3, 9), 2)
    assert not recording.unsaved


def test_more_undone_than_was_done_ends_it() -> None:
    session = Session(6)
    text = Undone().model_dump_json()
    assert read_lines(session.content + checked_line(text)).lines == 1
