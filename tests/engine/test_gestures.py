"""Boxes, scribbles and lassos in a session: the same law as for clicks."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_clickseg.core.clicks import Click, PromptError
from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.window import Window
from napari_clickseg.engine.segmenter import Superseded
from napari_clickseg.engine.window_prompts import window_prompts

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.core.guidance import Encoding
    from napari_clickseg.engine.estimate import Estimate
    from napari_clickseg.engine.segmenter import Segmenter, Session

    Make = Callable[..., Segmenter]

SHAPE = (90, 130)
ENCODINGS: tuple[Encoding, ...] = ("channels", "likeness", "prompts")
WINDOW = Window(0, 0, 64, 64)


def texture() -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 3)
    return (128 + 40 * noise / noise.std()).clip(0, 255).astype(np.uint8)


def points(least: int) -> st.SearchStrategy[Any]:
    position = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))
    return st.lists(position, min_size=least, max_size=6, unique=True)


def lassos(at: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [*at, (at[0][0] + 7, at[0][1]), (at[0][0] + 7, at[0][1] + 9)]


GESTURES = st.one_of(
    st.tuples(st.just("click"), points(1).map(lambda at: at[0]), st.booleans()),
    st.tuples(st.just("box"), points(1).map(lambda at: (*at[0], at[0][0] + 9, at[0][1] + 12))),
    st.tuples(st.just("scribble"), points(1), st.booleans()),
    st.tuples(st.just("lasso"), points(1).map(lassos), st.booleans()),
)


def make(session: Session, gesture: Any) -> None:
    kind, at, *positive = gesture
    if kind in ("click", "box"):
        getattr(session, kind)(*at, *positive)
    else:
        getattr(session, kind)(at, *positive)


@settings(max_examples=40)
@given(
    st.sampled_from(ENCODINGS),
    st.lists(GESTURES, min_size=1, max_size=8),
    st.sets(st.integers(0, 7)),
    st.sets(st.integers(0, 7)),
)
def test_it_does_not_matter_when_the_prediction_is_asked_for(
    random_segmenter: Make,
    encoding: Encoding,
    gestures: list[Any],
    looks: set[int],
    undone: set[int],
) -> None:
    segmenter = random_segmenter(encoding=encoding)
    at_once, eager = (segmenter.start(texture()) for _ in range(2))
    for index, gesture in enumerate(gestures):
        make(at_once, gesture)
        make(eager, gesture)
        if index in looks:
            eager.predict()
        if index in undone:
            eager.undo()
            eager.predict()
            eager.redo()
    replayed = segmenter.start(texture())
    prediction = at_once.predict()
    for other in (eager.predict(), replayed.evaluate(at_once.history.present)):
        np.testing.assert_array_equal(prediction.probability, other.probability)
        np.testing.assert_array_equal(prediction.mask, other.mask)


def test_undo_takes_each_gesture_back(random_segmenter: Make) -> None:
    session = random_segmenter(encoding="prompts").start(texture())
    seen = [session.predict().mask]
    steps: list[Callable[[], object]] = [
        lambda: session.box(20, 30, 60, 90),
        lambda: session.scribble([(30, 40), (50, 80)]),
        lambda: session.lasso([(10, 10), (10, 30), (30, 30)], False),
        lambda: session.click(40, 60),
    ]
    for step in steps:
        step()
        seen.append(session.predict().mask)
    for mask in reversed(seen[:-1]):
        session.undo()
        np.testing.assert_array_equal(session.predict().mask, mask)
    for mask in seen[1:]:
        session.redo()
        np.testing.assert_array_equal(session.predict().mask, mask)


@pytest.mark.parametrize(
    "bad",
    [
        lambda session: session.box(5, 5, 5, 9),
        lambda session: session.box(-9, -9, -2, -2),
        lambda session: session.box(0, 0, np.nan, 9),
        lambda session: session.box(None, 0, 1, 9),
        lambda session: session.scribble([]),
        lambda session: session.scribble([(200, 200)]),
        lambda session: session.scribble([(1, 2, 3)]),
        lambda session: session.scribble("a"),
        lambda session: session.scribble([(1, np.inf)]),
        lambda session: session.lasso([(1, 1), (2, 2)]),
        lambda session: session.lasso([(1, 1), (2, 2), (3, 3)]),
        lambda session: session.lasso([(200, 1), (210, 2), (230, 3)]),
    ],
)
def test_what_can_not_be_used_is_refused_and_changes_nothing(
    random_segmenter: Make, bad: Callable[[Session], object]
) -> None:
    session = random_segmenter().start(texture())
    session.click(10, 10)
    before = session.history
    with pytest.raises(PromptError) as caught:
        bad(session)
    assert "\n" not in str(caught.value)
    assert session.history is before


def test_a_box_decides_the_window(random_segmenter: Make) -> None:
    seen: list[Window] = []
    segmenter = random_segmenter(encoding="prompts")
    session = segmenter.start(np.zeros((600, 600), np.uint8))
    look = session._prepared().look
    session._prepared().look = lambda window, *rest: (seen.append(window), look(window, *rest))[1]  # type: ignore[method-assign,func-returns-value]
    session.box(300, 300, 339, 349)
    session.predict()
    assert seen[0].box.contains(DrawnBox(300, 300, 339, 349).reach)
    assert seen[0].span < 150


@pytest.mark.parametrize(
    ("gesture", "encoding", "looks"),
    [
        (("box", (20, 30, 60, 90)), "prompts", 3),
        (("scribble", [(30, 40), (50, 80)]), "prompts", 3),
        (("lasso", [(20, 20), (20, 70), (60, 50)]), "prompts", 3),
        (("box", (20, 30, 60, 90)), "likeness", 1),
        (("click", (40, 60)), "prompts", 1),
    ],
)
def test_what_is_drawn_is_looked_at_until_the_answer_has_settled(
    random_segmenter: Make, gesture: Any, encoding: Encoding, looks: int
) -> None:
    """By networks that know what is drawn; each look goes on from the one before, in one window."""
    seen: list[tuple[Window, Estimate | None]] = []
    session = random_segmenter(encoding=encoding).start(texture())
    estimator = session._prepared()
    look = estimator.look

    def watched(window: Window, gestures: Any, previous: Estimate | None) -> Estimate:
        seen.append((window, previous))
        return look(window, gestures, previous)

    estimator.look = watched  # type: ignore[method-assign]
    make(session, gesture)
    session.predict()
    same = [window == seen[-1][0] for window, _ in reversed(seen)]
    assert len([*takewhile(bool, same)]) == looks
    assert all(
        before and before.window == window for window, before in seen[len(seen) - looks + 1 :]
    )
    seen.clear()
    session.click(5, 5, False)
    session.predict()
    assert len(seen) <= 2, "later gestures are answered by a look, or two where the window changes"


def test_networks_that_learned_prompts_are_shown_them_as_they_are() -> None:
    guidance = window_prompts(
        [
            DrawnBox(9.5, 9.5, 29.5, 39.5),
            Scribble(((20, 20), (20, 30))),
            Lasso(((14.5, 14.5), (14.5, 19.5), (19.5, 19.5), (19.5, 14.5)), False),
        ],
        WINDOW,
        None,
        "prompts",
    )
    assert guidance.region is not None
    assert (guidance.region > 0).sum() == 20 * 30 - 25
    assert (guidance.region < 0).sum() == 25
    (stroke,) = guidance.strokes
    np.testing.assert_allclose(stroke.points, [(20, 20), (20, 30)])
    assert guidance.previous is None
    assert not guidance.positive


def test_other_networks_are_shown_clicks_and_a_mask_to_go_on_from() -> None:
    box = window_prompts([DrawnBox(9.5, 9.5, 29.5, 39.5)], WINDOW, None, "channels")
    assert box.region is None
    assert box.previous is not None
    assert abs((box.previous > 0.5).sum() - 20 * 30 * np.pi / 4) < 12, "what it is likeliest to be"
    ((y, x),) = box.positive
    assert abs(y - 19.5) < 1
    assert abs(x - 24.5) < 1
    scribble = window_prompts([Scribble(((20, 10), (20, 50)))], WINDOW, None, "likeness")
    assert not scribble.strokes
    assert len(scribble.positive) == 5
    assert all(y == 20 and 10 < x < 50 for y, x in scribble.positive)
    before = np.full((64, 64), 0.9, np.float32)
    lasso = Lasso(((14.5, 14.5), (14.5, 19.5), (19.5, 19.5), (19.5, 14.5)), False)
    off = window_prompts([lasso], WINDOW, before, "channels")
    assert off.previous is not None
    assert (off.previous == 0).sum() == 25
    assert before.min() > 0.8, "what was found before is not changed"
    assert len(off.negative) == 1


# ---- another reading of the first click


@pytest.fixture
def nested(nested_segmenter: Callable[[], Segmenter]) -> Segmenter:
    return nested_segmenter()


def cell() -> np.ndarray:
    image = np.zeros((400, 400), np.uint8)
    image[150:250, 150:250] = 110
    image[180:220, 180:220] = 250
    return image


def test_a_first_click_can_be_taken_for_another_object(nested: Segmenter) -> None:
    session = nested.start(cell())
    session.click(200, 200)
    assert session.readings == 2
    first = session.predict().mask
    session.reading(1)
    second = session.predict().mask
    areas = sorted(int(mask.sum()) for mask in (first, second))
    assert areas == pytest.approx([40 * 40, 100 * 100], rel=0.05)
    session.click(160, 160)
    later = session.predict().mask
    session.undo()
    np.testing.assert_array_equal(session.predict().mask, second)
    session.undo()
    np.testing.assert_array_equal(session.predict().mask, first)
    session.redo()
    session.redo()
    np.testing.assert_array_equal(session.predict().mask, later)
    replayed = nested.start(cell()).evaluate(session.history.present)
    np.testing.assert_array_equal(replayed.mask, later)


def test_after_the_last_reading_the_first_one_comes_again(nested: Segmenter) -> None:
    session = nested.start(cell())
    session.click(200, 200)
    before = session.history.present
    assert session.reading(2) == before
    assert session.reading(5) == session.reading(1)


def test_to_go_to_another_reading_asks_no_network(nested: Segmenter) -> None:
    session = nested.start(cell())
    session.click(200, 200)
    session.predict()
    asked: list[object] = []
    session._prepared().ask = lambda *_: asked.append(1)  # type: ignore[assignment,return-value]
    session.reading(1)
    session.predict()
    assert not asked


def test_what_is_no_single_first_click_has_one_reading(nested: Segmenter) -> None:
    session = nested.start(cell())
    assert session.readings == 1
    session.box(150, 150, 250, 250)
    assert session.readings == 1
    before = session.history
    session.reading(1)
    assert session.history is before, "no step that does nothing"


# ---- a glimpse


def looks_of(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows with each look of a segmenter."""
    made: list[object] = []
    look = segmenter.look

    def noted(*asked: Any) -> Any:
        made.append(asked)
        return look(*asked)

    monkeypatch.setattr(segmenter, "look", noted)
    return made


@pytest.mark.parametrize("looks", [0, 1, 3, 4, 9])
def test_a_glimpse_that_is_given_up_changes_no_answer_and_no_look_is_made_twice(
    nested: Segmenter, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    made = looks_of(nested, monkeypatch)
    plain = nested.start(cell())
    prompt = plain.click(200, 200)
    expected, needed = plain.predict().probability, len(made)
    assert needed >= 4
    session, stop = nested.start(cell()), lambda: len(made) >= needed + looks
    if looks >= needed:
        glimpse = session.glimpse(prompt, Refinement(), stop)
        np.testing.assert_array_equal(glimpse.probability, expected)
    else:
        with pytest.raises(Superseded):
            session.glimpse(prompt, Refinement(), stop)
        assert len(made) == needed + looks, "it is given up before the next look"
    np.testing.assert_array_equal(session.evaluate(prompt).probability, expected)
    assert len(made) == 2 * needed
    assert session.readings_of(prompt) == plain.readings


def test_a_glimpse_elsewhere_changes_no_answer(nested: Segmenter) -> None:
    plain, session = nested.start(cell()), nested.start(cell())
    with pytest.raises(Superseded):
        session.glimpse(Prompt((Click(20, 20),)), Refinement(), lambda: True)
    session.glimpse(Prompt((Click(160, 160),)), Refinement(), lambda: False)
    for each in (plain, session):
        each.click(200, 200)
    assert session.readings == plain.readings
    np.testing.assert_array_equal(session.predict().probability, plain.predict().probability)
