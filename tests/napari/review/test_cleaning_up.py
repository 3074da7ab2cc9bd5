"""A prediction is cleaned up as it is looked at, without losing what was found or corrected."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg._napari.review import cleaning_up, jobs
from napari_clickseg.cli import main
from napari_clickseg.core.cleanup import CleanUp, cleaned
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.engine.slides.cleaning import found_labels, kept_rules
from tests.core.test_cleanup import speckled
from tests.napari.review.test_review import (
    SHAPE,
    Reviewer,
    drafts,
    make_reviewer,
    mask,
    project,
    propose,
    reviewer,
    told,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_reviewer", "project", "reviewer", "told"]  # the fixtures

PATIENCE = 60.0
RULES = CleanUp(1, 20, 30)
FOUND = speckled(3, SHAPE)


@pytest.fixture
def cleaning(reviewer: Reviewer, project: Path, monkeypatch: pytest.MonkeyPatch) -> Reviewer:
    """A review of an image that is cleaned up in several parts."""
    monkeypatch.setattr(cleaning_up, "_SIDE", 32)
    propose(project, FOUND, c=0.9)
    reviewer.look()
    reviewer.do("next")
    assert reviewer.current == "c" and (reviewer.labels == FOUND).all()
    assert reviewer.state.can_clean_up
    return reviewer


def choose(reviewer: Reviewer, *rules: int) -> None:
    reviewer.state.cleanup = CleanUp(*rules)
    reviewer.settle()


def path_of(project: Path) -> Path:
    queue = ReviewQueue(project)
    return queue.path(queue.reviews()["images/c.png"])


def test_what_is_chosen_is_shown_kept_as_the_command_keeps_it_and_taken_back(
    cleaning: Reviewer, project: Path, tmp_path: Path
) -> None:
    path = path_of(project)
    choose(cleaning, 1, 20, 30)
    wanted = cleaned(FOUND, RULES)
    assert (wanted != FOUND).any()
    np.testing.assert_array_equal(cleaning.labels, wanted)
    np.testing.assert_array_equal(read_labels(path), wanted)
    assert kept_rules(path) == RULES
    np.testing.assert_array_equal(found_labels(path), FOUND)
    assert f"{(wanted != FOUND).sum():,} pixels changed" in cleaning.state.cleaned
    cleaning.do("next")
    assert cleaning.current == "b" and not cleaning.state.cleanup
    assert drafts(project, tmp_path / "home") == [], "a clean-up is no correction"
    cleaning.do("previous")
    assert cleaning.state.cleanup == RULES, "it is shown how it was cleaned up"
    choose(cleaning, 0, 0, 2)  # from what was found, not from what was cleaned
    np.testing.assert_array_equal(cleaning.labels, cleaned(FOUND, CleanUp(smallest=2)))
    choose(cleaning)
    np.testing.assert_array_equal(cleaning.labels, FOUND)
    np.testing.assert_array_equal(read_labels(path), FOUND)
    assert [one.name for one in (project / "predictions" / "found").iterdir()] == []
    assert (
        main(["clean", str(path), "--smooth", "1", "--fill-holes", "20", "--smallest", "30"]) == 0
    )
    np.testing.assert_array_equal(read_labels(path), wanted)
    assert kept_rules(path) == RULES


def test_what_was_corrected_stays_through_every_choice_and_is_accepted(
    cleaning: Reviewer, project: Path
) -> None:
    cleaning.paint(slice(0, 4), slice(0, 4), 9)
    for rules in (RULES, CleanUp(2), CleanUp()):
        choose(cleaning, rules.smooth, rules.fill_holes, rules.smallest)
        wanted = cleaned(FOUND, rules)
        wanted[:4, :4] = 9
        np.testing.assert_array_equal(cleaning.labels, wanted)
    cleaning.state.cleanup = RULES  # and accepted before it is shown
    cleaning.do("accept")
    wanted = cleaned(FOUND, RULES)
    wanted[:4, :4] = 9
    np.testing.assert_array_equal(mask(project, "c"), wanted)
    assert not cleaning.state.can_clean_up or cleaning.current != "c"


def test_the_latest_choice_wins_and_one_that_is_left_half_way_is_dropped(
    cleaning: Reviewer, project: Path, tmp_path: Path
) -> None:
    for smallest in (2, 9, 30, 4):
        cleaning.state.cleanup = CleanUp(smallest=smallest)
        cleaning.controller.deliver()
    cleaning.settle()
    np.testing.assert_array_equal(cleaning.labels, cleaned(FOUND, CleanUp(smallest=4)))
    assert kept_rules(path_of(project)) == CleanUp(smallest=4)
    cleaning.state.cleanup = RULES
    images = cleaning.controller.images
    cleaning.wait(lambda: images._cleaning._shown.written)
    assert images._cleaning.busy
    images.put_away()
    images.open("images/c.png")
    cleaning.settle()
    assert cleaning.state.cleanup == CleanUp(smallest=4)
    np.testing.assert_array_equal(cleaning.labels, cleaned(FOUND, CleanUp(smallest=4)))
    assert drafts(project, tmp_path / "home") == []


def test_a_choice_never_waits_behind_corrections_that_are_kept_again_and_again(
    cleaning: Reviewer, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []
    free = threading.Event()

    def slow(image: str, *_: Any, **__: Any) -> jobs.Saved:
        free.wait(PATIENCE)
        kept.append(image)
        return jobs.Saved(image)

    monkeypatch.setattr(jobs, "keep", slow)
    for _ in range(20):  # as the timer does while the first one is being written
        cleaning.controller.images.keep()
    cleaning.state.cleanup = RULES
    free.set()
    cleaning.wait(lambda: kept_rules(path_of(project)) == RULES)
    assert len(kept) <= 2


def test_what_is_not_written_yet_is_not_taken_for_a_correction(
    cleaning: Reviewer, project: Path, tmp_path: Path
) -> None:
    cleaning.state.cleanup = RULES
    images = cleaning.controller.images
    cleaning.wait(lambda: not images._cleaning.busy)
    images.keep()  # as the timer does
    cleaning.settle()
    images.keep()
    cleaning.settle()
    assert kept_rules(path_of(project)) == RULES and drafts(project, tmp_path / "home") == []


def test_a_new_prediction_of_the_image_has_nothing_of_the_earlier_one(
    cleaning: Reviewer, project: Path
) -> None:
    choose(cleaning, 1, 20, 30)
    propose(project, c=0.9)
    assert kept_rules(path_of(project)) == CleanUp()
    np.testing.assert_array_equal(found_labels(path_of(project)), read_labels(path_of(project)))


def test_what_can_not_be_kept_is_said_and_stays_as_a_correction(
    cleaning: Reviewer, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cleaning_up, "clean_up", full)
    choose(cleaning, 1, 20, 30)
    assert "can't be kept with the prediction" in cleaning.state.message
    wanted = cleaned(FOUND, RULES)
    np.testing.assert_array_equal(cleaning.labels, wanted)
    cleaning.do("next")
    assert drafts(project, tmp_path / "home") == ["c"]
    cleaning.do("previous")
    np.testing.assert_array_equal(cleaning.labels, wanted)
